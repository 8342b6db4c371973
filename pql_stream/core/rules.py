"""
Rules: features to points. Data that is compiled once, at load, into one flat function each.

Points are integers of hundredths, so that contributions add up exactly. Unknown earns nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import msgspec

from pql_stream.core.features import Feature, FeatureValue
from pql_stream.core.values import ABOVE_ZERO, Number

Features = tuple[FeatureValue, ...] | list[FeatureValue]
"""The feature values of one lead, in the order of the pack."""
Slots = Mapping[str, tuple[int, Feature]]
"""Feature name -> its place among the values, and its definition."""
RuleInput = Any
"""A JSON value: a number, a word, true, null, or an object of them by feature."""
HUNDREDTHS = 100


class Band(msgspec.Struct, frozen=True):
    """From *bound* on (or, in a `below` rule, under it) the rule gives *points* hundredths."""

    bound: Number
    points: int
    above: bool = False
    """The bound itself does not belong to the band."""
    reason: str = ""


class SecondsBetween(msgspec.Struct, frozen=True):
    """The time from one time feature to another, as a rule's input."""

    start: str
    end: str


class _Rule(msgspec.Struct, frozen=True):
    """
    What all rules have: who they are and the most they can give.

    *reason* says in a salesperson's words what the points are for; `{input}` is the rule's input.
    """

    name: str
    group: str
    points_max: int
    reason: str


class AtLeastRule(_Rule, frozen=True, tag="at_least"):
    """More is better: the highest band that the input reaches. Bands are sorted, rising."""

    input: str | SecondsBetween
    bands: tuple[Band, ...]


class BelowRule(_Rule, frozen=True, tag="below"):
    """Less is better: the lowest band whose bound the input stays under. Bands are sorted, rising."""

    input: str | SecondsBetween
    bands: tuple[Band, ...]


class LinearRule(_Rule, frozen=True, tag="linear"):
    """So many hundredths for each of every input, up to *points_max*."""

    points_each: tuple[tuple[str, int], ...]


class WordsRule(_Rule, frozen=True, tag="words"):
    """Points by word; words that are not listed earn nothing."""

    input: str
    points: tuple[tuple[str, int], ...]


class FlagRule(_Rule, frozen=True, tag="flag"):
    """All or nothing."""

    input: str
    points: int


class GreatestRule(_Rule, frozen=True, tag="greatest"):
    """The greatest of several; the first of equals gives the reason. Its input is an object by feature."""

    of: tuple[AtLeastRule | BelowRule | LinearRule | WordsRule | FlagRule, ...]


Rule = AtLeastRule | BelowRule | LinearRule | WordsRule | FlagRule | GreatestRule


class CompiledRule(msgspec.Struct, frozen=True):
    """*points* and *input* are asked when a feature moved, *reason* when a lead qualifies."""

    name: str
    group: str
    points_max: int
    reads: tuple[str, ...]
    points: Callable[[Features], int]
    input: Callable[[Features], RuleInput]
    reason: Callable[[Features], str]


def compile_rule(rule: Rule, slots: Slots) -> CompiledRule:
    """*rule* over the feature values at *slots*."""
    match rule:
        case AtLeastRule():
            return _compile_at_least(rule, slots)
        case BelowRule():
            return _compile_below(rule, slots)
        case LinearRule():
            return _compile_linear(rule, slots)
        case WordsRule():
            return _compile_words(rule, slots)
        case FlagRule():
            return _compile_flag(rule, slots)
        case _:  # GreatestRule, the last of the kinds
            return _compile_greatest(rule, slots)


def reads_of(rule: Rule) -> tuple[str, ...]:
    """The features that *rule* reads."""
    match rule:
        case AtLeastRule() | BelowRule():
            return (rule.input,) if isinstance(rule.input, str) else (rule.input.start, rule.input.end)
        case LinearRule():
            return tuple(name for name, _ in rule.points_each)
        case WordsRule() | FlagRule():
            return (rule.input,)
        case _:  # GreatestRule, the last of the kinds
            return tuple(dict.fromkeys(name for part in rule.of for name in reads_of(part)))


def highest_count(bands: tuple[Band, ...]) -> int:
    """The count from which on no band can be gained."""
    highest = bands[-1]
    return int(highest.bound) + (1 if highest.above or highest.bound > int(highest.bound) else 0)


def linear_count(points_max: int, points_each: int) -> int:
    """The count at which a linear rule has reached its cap by this input alone."""
    return -(-points_max // points_each)


def _compiled(
    rule: Rule,
    *,
    points: Callable[[Features], int],
    input_: Callable[[Features], RuleInput],
    reason: Callable[[Features], str],
) -> CompiledRule:
    return CompiledRule(rule.name, rule.group, rule.points_max, reads_of(rule), points, input_, reason)


def _number(source: str | SecondsBetween, slots: Slots) -> Callable[[Features], Number | None]:
    """The number that a rule looks at; None where it is unknown."""
    if isinstance(source, SecondsBetween):
        return _seconds(slots[source.start][0], slots[source.end][0])
    slot, feature = slots[source]
    if feature.is_count:
        return _count(slot)
    return _latest(slot) if feature.kind == "latest" else itemgetter(slot)


def _seconds(start: int, end: int) -> Callable[[Features], float | None]:
    def seconds(features: Features) -> float | None:
        started_at_ms, ended_at_ms = features[start], features[end]
        if started_at_ms is None or ended_at_ms is None:
            return None
        # Exact enough: dividing keeps the order of milliseconds against any bound in whole seconds.
        return (ended_at_ms - started_at_ms) / 1000  # type: ignore[no-any-return]  # feature values are Any

    return seconds


def _count(slot: int) -> Callable[[Features], int]:
    def count(features: Features) -> int:
        value = features[slot]
        return value if value.__class__ is int else len(value)

    return count


def _latest(slot: int) -> Callable[[Features], Any]:
    def latest(features: Features) -> Any:  # noqa: ANN401 - a word or a number
        stamped = features[slot]
        return None if stamped is None else stamped[2]

    return latest


def _shown(source: str | SecondsBetween, highest: int, slots: Slots) -> Callable[[Features], RuleInput]:
    """The number as people see it: a count stops at *highest*; else two decimals at most, cut (R20)."""
    number = _number(source, slots)
    if isinstance(source, SecondsBetween) or not slots[source][1].is_count:
        return lambda features: cut(number(features))
    if slots[source][1].at_most <= highest:
        return number
    return lambda features: min(number(features) or 0, highest)


def cut(number: Number | None) -> Number | None:
    """
    Two decimals, cut downwards, so that a number never shows the bound of the next band.

    What is above zero stays so: bands may begin right there.
    """
    if number.__class__ is not float or number is None:
        return number
    nearest = round(number, 2)
    shown = nearest if nearest <= number else round(nearest - 0.01, 2)
    return shown or (ABOVE_ZERO if number > 0 else 0)


def _compile_at_least(rule: AtLeastRule, slots: Slots) -> CompiledRule:
    number = _number(rule.input, slots)
    falling = tuple((band.bound, band.above, band.points, band.reason) for band in reversed(rule.bands))
    shown = _shown(rule.input, highest_count(rule.bands), slots)

    def points(features: Features) -> int:
        value = number(features)
        if value is not None:
            for bound, above, given, _ in falling:
                if value > bound or (value == bound and not above):
                    return given
        return 0

    def reason(features: Features) -> str:
        value = number(features)
        own = ""
        if value is not None:
            own = next((r for b, above, _, r in falling if value > b or (value == b and not above)), "")
        return _sentence(own or rule.reason, rule.input, shown(features))

    return _compiled(rule, points=points, input_=shown, reason=reason)


def _compile_below(rule: BelowRule, slots: Slots) -> CompiledRule:
    number = _number(rule.input, slots)
    rising = tuple((band.bound, band.points, band.reason) for band in rule.bands)
    shown = _shown(rule.input, highest_count(rule.bands), slots)

    # Unknown earns nothing, exactly like too late, and so does less than nothing: a first success
    # before the trial began is a fault of somebody's clock.
    def points(features: Features) -> int:
        value = number(features)
        if value is not None and value >= 0:
            for bound, given, _ in rising:
                if value < bound:
                    return given
        return 0

    def reason(features: Features) -> str:
        value = number(features)
        own = "" if value is None else next((r for b, _, r in rising if value < b), "")
        return _sentence(own or rule.reason, rule.input, shown(features))

    return _compiled(rule, points=points, input_=shown, reason=reason)


def _compile_linear(rule: LinearRule, slots: Slots) -> CompiledRule:
    points_max = rule.points_max
    numbers = tuple((_number(name, slots), each) for name, each in rule.points_each)
    inputs = tuple((name, _shown(name, linear_count(points_max, each), slots)) for name, each in rule.points_each)

    def points(features: Features) -> int:
        total = 0
        for number, each in numbers:
            value = number(features)
            if value:
                # A double times hundredths may be beyond an integer; the cap ends it first.
                total += int(min(value * each, points_max))
        return min(total, points_max)

    def shown_together(features: Features) -> RuleInput:
        return {name: shown(features) for name, shown in inputs}

    shown = inputs[0][1] if len(inputs) == 1 else shown_together

    def reason(features: Features) -> str:
        value = shown(features)
        return rule.reason.format_map(value if isinstance(value, dict) else {"input": value})

    return _compiled(rule, points=points, input_=shown, reason=reason)


def _compile_words(rule: WordsRule, slots: Slots) -> CompiledRule:
    shown = _latest(slots[rule.input][0])
    points_by_word = dict(rule.points)

    def points(features: Features) -> int:
        return points_by_word.get(shown(features), 0)

    def reason(features: Features) -> str:
        return _sentence(rule.reason, rule.input, shown(features))

    return _compiled(rule, points=points, input_=shown, reason=reason)


def _compile_flag(rule: FlagRule, slots: Slots) -> CompiledRule:
    slot = slots[rule.input][0]
    return _compiled(
        rule,
        points=lambda features: rule.points if features[slot] else 0,
        input_=lambda features: bool(features[slot]),
        reason=lambda _features: rule.reason,
    )


def _compile_greatest(rule: GreatestRule, slots: Slots) -> CompiledRule:
    parts = tuple(compile_rule(part, slots) for part in rule.of)
    numbers = tuple(part.points for part in parts)

    def points(features: Features) -> int:
        greatest = 0
        for number in numbers:
            greatest = max(greatest, number(features))
        return greatest

    inputs = tuple(("_".join(part.reads), part.input) for part in parts)

    def shown(features: Features) -> RuleInput:
        return {name: part_input(features) for name, part_input in inputs}

    def reason(features: Features) -> str:
        return max(parts, key=lambda part: part.points(features)).reason(features)

    return _compiled(rule, points=points, input_=shown, reason=reason)


def _sentence(template: str, source: str | SecondsBetween, shown: RuleInput) -> str:
    if isinstance(source, SecondsBetween):
        return template.format(input=_duration(shown))
    return template.format(input=f"{shown:,}" if isinstance(shown, int | float) else shown)


def _duration(seconds: float | None) -> str:
    """Seconds in the largest unit that fits, cut: "45 minutes"."""
    for unit, unit_s in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds is not None and seconds >= unit_s:
            count = int(seconds // unit_s)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "no time"
