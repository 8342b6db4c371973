"""
Scoring: the rules of a pack, written out as flat code when it is loaded.

Rules are asked for most events that say something new, and all inputs are shown in each change, so a
loop over bands and a call for each part would be the most of what scoring costs. Instead a rule becomes
two expressions over `f`, the feature values of a lead: its points, and its input as people see it. Two
bands over the value at place 3 give

    (0 if (v := f[3]) is None else (n2 if v >= n4 else (n1 if v >= n3 else 0)))

where n1 to n4 are names in a namespace that holds the bands' numbers. Nothing that the author of a pack
wrote becomes code, neither words nor numbers: an expression is made of places of features, of names
made here, and of what stands in this file. A pack may have thousands of bands, parts and rules, so
nothing nests by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from pql_stream.core.features import MEMBER_BYTES
from pql_stream.core.reasons import Sentence, banded_reason, plain_reason
from pql_stream.core.refs import EncodedRef
from pql_stream.core.rules import (
    AtLeastRule,
    BelowRule,
    Features,
    FlagRule,
    GreatestRule,
    LinearRule,
    Rule,
    RuleInput,
    SecondsBetween,
    Slots,
    WordsRule,
    cut,
    highest_count,
    linear_count,
    reads_of,
)

Expression = str
"""Python over `f`. It may set `v`, which is of no use beyond the expression that set it."""


class CompiledRule(msgspec.Struct, frozen=True):
    """*points* is asked when a feature moved that the rule reads, *reason* when a lead qualifies."""

    name: str
    group: str
    points_max: int
    reads: tuple[str, ...]
    points: Callable[[Features], int]
    input: Callable[[Features], RuleInput]
    reason: Sentence


class ContributionsJson(NamedTuple):
    """
    The inputs of rules as JSON, for a template of bytes.

    *templates* has that of each rule's input, with a ``%b`` for each of its parts; *parts* has what belongs there for
    the features of a lead: behind the parts of each rule what moved its points, out of as many as there are rules.
    """

    templates: tuple[bytes, ...]
    parts: Callable[[Features, tuple[EncodedRef, ...]], tuple[bytes, ...]]


class _Leaf(NamedTuple):
    """Something that a rule looks at, as people see it."""

    value: Expression
    kind: Literal["count", "flag", "any"]


_Shown = _Leaf | dict[str, "_Shown"]
"""An input, or several by what they are called."""

_encode = msgspec.json.Encoder().encode


class _Counts(dict[int, bytes]):
    """Counts as JSON, remembered: none is above the highest band of a pack."""

    def __missing__(self, count: int) -> bytes:
        encoded = self[count] = _encode(count)
        return encoded


class RuleCompiler:
    """Writes rules over the feature values at *slots* as expressions, and makes functions of them."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._names: dict[str, Any] = {
            "cut": cut,
            "counts": _Counts(),
            "encode": _encode,
            "true": b"true",
            "false": b"false",
        }

    def rule(self, rule: Rule) -> CompiledRule:
        """*rule*, ready to be asked."""
        points, shown = self._function(self._points(rule)), self._function(self._value(self._shown(rule)))
        reason: Sentence
        match rule:
            case GreatestRule():
                parts = tuple(self.rule(part) for part in rule.of)

                def reason(features: Features) -> str:
                    return max(parts, key=lambda part: part.points(features)).reason(features)

            case AtLeastRule() | BelowRule():
                reason = banded_reason(rule, self._function(self._number(rule.input)), shown)
            case _:
                reason = plain_reason(rule, shown)
        return CompiledRule(rule.name, rule.group, rule.points_max, reads_of(rule), points, shown, reason)

    def inputs(self, rules: Iterable[Rule]) -> Callable[[Features], tuple[RuleInput, ...]]:
        """What each of *rules* looks at, as people see it, in one function."""
        return self._function(f"({''.join(f'{self._value(self._shown(rule))}, ' for rule in rules)})")

    def contributions_json(self, rules: Iterable[Rule]) -> ContributionsJson:
        """The same as JSON, beside what moved the points of each."""
        shown = [self._shown(rule) for rule in rules]
        parts = (
            f"{''.join(f'{self._json(leaf)}, ' for leaf in _leaves(one))}moved_by[{place}], "
            for place, one in enumerate(shown)
        )
        return ContributionsJson(
            tuple(_json_template(one) for one in shown),
            self._function(f"({''.join(parts)})", "f, moved_by"),
        )

    def sums(self, parts: Mapping[str, Iterable[int]]) -> Callable[[tuple[int, ...]], dict[str, int]]:
        """Of a tuple the sums of some *parts*, given by the places of their members."""
        return self._function(self._object((name, _sum(f"f[{i}]" for i in places)) for name, places in parts.items()))

    def _function(self, expression: Expression, parameters: str = "f") -> Callable[..., Any]:
        made: Callable[..., Any] = eval(f"lambda {parameters}: {expression}", self._names)  # noqa: S307 - see above: ours
        return made

    def _name(self, value: object) -> Expression:
        """A name for *value*, which a pack's author wrote."""
        name = f"n{len(self._names)}"
        self._names[name] = value
        return name

    def _number(self, source: str | SecondsBetween) -> Expression:
        """The number, or word, that a rule looks at; None where it is unknown."""
        if isinstance(source, SecondsBetween):
            start, end = (f"f[{self._slots[name][0]}]" for name in (source.start, source.end))
            # Exact enough: dividing keeps the order of milliseconds against any bound in whole seconds.
            return f"(None if {start} is None or {end} is None else ({end} - {start}) / 1000)"
        slot, feature = self._slots[source]
        value = f"f[{slot}]"
        if feature.is_count:
            return f"({value} if {value}.__class__ is int else len({value}) // {MEMBER_BYTES})"
        return f"(None if {value} is None else {value}[2])" if feature.kind == "latest" else value

    def _points(self, rule: Rule) -> Expression:
        match rule:
            case AtLeastRule():
                return self._at_least_points(rule)
            case BelowRule():
                return self._below_points(rule)
            case LinearRule():
                return self._linear_points(rule)
            case WordsRule():
                # A lookup, bound once; None is no word.
                return f"{self._name(dict(rule.points).get)}({self._number(rule.input)}, 0)"
            case FlagRule():
                return f"({self._name(rule.points)} if f[{self._slots[rule.input][0]}] else 0)"
            case _:  # GreatestRule, the last of the kinds
                return f"max(0, {', '.join(self._points(part) for part in rule.of)})"

    def _at_least_points(self, rule: AtLeastRule) -> Expression:
        given = ["0", *(self._name(band.points) for band in rule.bands)]
        reached = [f"v {'>' if band.above else '>='} {self._name(band.bound)}" for band in rule.bands]
        return f"(0 if (v := {self._number(rule.input)}) is None else {_after_the_last(reached, given)})"

    def _below_points(self, rule: BelowRule) -> Expression:
        given = [*(self._name(band.points) for band in rule.bands), "0"]
        missed = [f"v >= {self._name(band.bound)}" for band in rule.bands]
        # Unknown earns nothing, exactly like too late, and so does less than nothing: a first success
        # before the trial began is a fault of somebody's clock.
        return f"(0 if (v := {self._number(rule.input)}) is None or v < 0 else {_after_the_last(missed, given)})"

    def _linear_points(self, rule: LinearRule) -> Expression:
        points_max = self._name(rule.points_max)
        # A double times hundredths may be beyond an integer; the cap ends it first.
        parts = [
            f"(int(min(v * {self._name(each)}, {points_max})) if (v := {self._number(name)}) else 0)"
            for name, each in rule.points_each
        ]
        return parts[0] if len(parts) == 1 else f"min({_sum(parts)}, {points_max})"

    def _shown(self, rule: Rule) -> _Shown:
        """The input as people see it: several side by side, by what they are called."""
        match rule:
            case AtLeastRule() | BelowRule():
                return self._shown_number(rule.input, highest_count(rule.bands))
            case LinearRule():
                shown: dict[str, _Shown] = {
                    name: self._shown_number(name, linear_count(rule.points_max, each))
                    for name, each in rule.points_each
                }
                return next(iter(shown.values())) if len(shown) == 1 else shown
            case WordsRule():
                return _Leaf(self._number(rule.input), "any")
            case FlagRule():
                return _Leaf(f"(f[{self._slots[rule.input][0]}] is True)", "flag")
            case _:  # GreatestRule, the last of the kinds
                return {"_".join(reads_of(part)): self._shown(part) for part in rule.of}

    def _shown_number(self, source: str | SecondsBetween, highest: int) -> _Leaf:
        """A count stops at *highest*; other numbers have two decimals at most, cut (R20)."""
        number = self._number(source)
        if isinstance(source, SecondsBetween) or not self._slots[source][1].is_count:
            return _Leaf(f"(cut(v) if (v := {number}).__class__ is float else v)", "any")
        stops = self._slots[source][1].at_most <= highest
        return _Leaf(number if stops else f"min({number}, {self._name(highest)})", "count")

    def _value(self, shown: _Shown) -> Expression:
        return shown.value if isinstance(shown, _Leaf) else self._object((k, self._value(v)) for k, v in shown.items())

    def _json(self, leaf: _Leaf) -> Expression:
        match leaf.kind:
            case "count":
                return f"counts[{leaf.value}]"
            case "flag":
                return f"(true if {leaf.value} else false)"
            case _:
                return f"encode({leaf.value})"

    def _object(self, parts: Iterable[tuple[str, Expression]]) -> Expression:
        return f"{{{', '.join(f'{self._name(name)}: {part}' for name, part in parts)}}}"


def _leaves(shown: _Shown) -> Iterator[_Leaf]:
    if isinstance(shown, _Leaf):
        yield shown
    else:
        for part in shown.values():
            yield from _leaves(part)


def _json_template(shown: _Shown) -> bytes:
    if isinstance(shown, _Leaf):
        return b"%b"
    fields = (_encode(name).replace(b"%", b"%%") + b":" + _json_template(part) for name, part in shown.items())
    return b"{" + b",".join(fields) + b"}"


def _after_the_last(tests: Sequence[Expression], outcomes: Sequence[Expression]) -> Expression:
    """
    The outcome behind the last of *tests* that holds, the first of the outcomes if none does.

    Where a test holds so do all before it, so half of them are settled by the one in the middle.
    """
    if not tests:
        return outcomes[0]
    middle = len(tests) // 2
    behind = _after_the_last(tests[middle + 1 :], outcomes[middle + 1 :])
    before = _after_the_last(tests[:middle], outcomes[: middle + 1])
    return f"({behind} if {tests[middle]} else {before})"


def _sum(parts: Iterable[Expression]) -> Expression:
    return f"sum(({''.join(f'{part}, ' for part in parts)}))"
