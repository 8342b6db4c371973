"""
Rules: features to points, as data; `core.scoring` makes functions of them.

Points are integers of hundredths, so that contributions add up exactly. Unknown earns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def cut(number: RuleInput) -> RuleInput:
    """
    Two decimals, cut downwards, so that a number never shows the bound of the next band.

    What is above zero stays so: bands may begin right there. What is no fraction stays as it is.
    """
    if number.__class__ is not float:
        return number
    nearest = round(number, 2)
    shown = nearest if nearest <= number else round(nearest - 0.01, 2)
    return shown or (ABOVE_ZERO if number > 0 else 0)
