"""Reasons: the sentence that tells a salesperson what a rule's points are for. Asked when a lead qualifies."""

from __future__ import annotations

from collections.abc import Callable

from pql_stream.core.rules import (
    AtLeastRule,
    BelowRule,
    Features,
    FlagRule,
    LinearRule,
    RuleInput,
    SecondsBetween,
    WordsRule,
)
from pql_stream.core.values import Number

Sentence = Callable[[Features], str]


def banded_reason(
    rule: AtLeastRule | BelowRule,
    number: Callable[[Features], Number | None],
    shown: Callable[[Features], RuleInput],
) -> Sentence:
    """The band's own sentence, else the rule's; *number* is what the bands are laid over, *shown* what people see."""
    own_reason = _own_at_least if isinstance(rule, AtLeastRule) else _own_below

    def reason(features: Features) -> str:
        value = number(features)
        own = "" if value is None else own_reason(rule, value)
        return _sentence(own or rule.reason, rule.input, shown(features))

    return reason


def _own_at_least(rule: AtLeastRule | BelowRule, value: Number) -> str:
    return next((b.reason for b in reversed(rule.bands) if value > b.bound or (value == b.bound and not b.above)), "")


def _own_below(rule: AtLeastRule | BelowRule, value: Number) -> str:
    return next((band.reason for band in rule.bands if value < band.bound), "")


def plain_reason(rule: LinearRule | WordsRule | FlagRule, shown: Callable[[Features], RuleInput]) -> Sentence:
    """The rule's sentence with its input, or inputs, filled in."""

    def reason(features: Features) -> str:
        value = shown(features)
        match rule:
            case FlagRule():
                return rule.reason  # shown as it stands: there is nothing to fill in
            case LinearRule():
                return rule.reason.format_map(value if isinstance(value, dict) else {"input": value})
            case _:  # WordsRule, the last of the kinds
                return _sentence(rule.reason, rule.input, value)

    return reason


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
