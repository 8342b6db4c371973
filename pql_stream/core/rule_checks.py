"""What is wrong with a rule of a pack."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import NamedTuple

from pql_stream.core.feature_checks import is_number, is_time, is_whole, is_word
from pql_stream.core.features import Feature
from pql_stream.core.problems import Path, Problem, name_problems, one_of, points_text, shown
from pql_stream.core.reason_checks import reason_problems
from pql_stream.core.rules import (
    AtLeastRule,
    Band,
    BelowRule,
    FlagRule,
    GreatestRule,
    LinearRule,
    Rule,
    SecondsBetween,
    WordsRule,
    highest_count,
    linear_count,
    reads_of,
)
from pql_stream.core.values import Number
from pql_stream.core.words import word


class KnownFeatures(NamedTuple):
    """The features of a pack; *unread* are there too but could not be read, None: there may be any."""

    by_name: Mapping[str, Feature]
    unread: Collection[str] | None

    def find(self, path: Path, name: str, problems: list[Problem]) -> Feature | None:
        """The feature *name*, named at *path*; a problem is added if there is none."""
        feature = self.by_name.get(name)
        if feature is None and self.unread is not None and name not in self.unread:
            problems.append(Problem(path, f"no feature {shown(name)}: {one_of(name, self.by_name)}"))
        return feature

    def expect(
        self, path: Path, name: str, fits: Callable[[Feature], bool], wanted: str, problems: list[Problem]
    ) -> Feature | None:
        """The feature *name*, if there is one and it *fits*; else a problem is added."""
        feature = self.find(path, name, problems)
        if feature is None or fits(feature):
            return feature
        problems.append(Problem(path, f"{shown(name)} is of kind {feature.kind}: {wanted}"))
        return None


_NUMBER = "name a count, or a feature whose values are read as whole, number or amount"
_TIME = "name a feature of kind earliest or latest_time"
_WORD = "name a feature of kind latest that is read as word or label"
_FLAG = "name a feature of kind flag"


def rule_problems(rule: Rule, features: KnownFeatures) -> list[Problem]:
    """Every problem of *rule*, given the *features* of its pack."""
    path: Path = ("rules", rule.name)
    problems = name_problems(path, rule.name)
    if isinstance(rule, GreatestRule):
        if len(rule.of) < 2:
            problems.append(Problem((*path, "of"), "the greatest of fewer than two: name two parts or more"))
        for place, part in enumerate(rule.of):
            problems += _part_problems((*path, "of", place), part, features)
        problems += _input_name_problems(path, rule)
    else:
        problems += _part_problems(path, rule, features)
    return problems + _points_max_problems(path, rule)


def most_points(rule: Rule) -> int:
    """The hundredths that *rule* gives at best."""
    match rule:
        case AtLeastRule() | BelowRule():
            return max((band.points for band in rule.bands), default=0)
        case LinearRule():
            return rule.points_max
        case WordsRule():
            return max((points for _, points in rule.points), default=0)
        case FlagRule():
            return rule.points
    return max((most_points(part) for part in rule.of), default=0)


def _points_max_problems(path: Path, rule: Rule) -> list[Problem]:
    most = most_points(rule)
    if most <= 0:
        return [Problem((*path, "max"), "the rule earns nothing: give it points above 0, or remove it")]
    if rule.points_max != most:
        gives = f"{points_text(rule.points_max)}, but the rule can give {points_text(most)}"
        return [Problem((*path, "max"), f"{gives}: write max: {points_text(most)}, or mend the points")]
    return []


def _input_name_problems(path: Path, rule: GreatestRule) -> list[Problem]:
    """The parts' inputs are shown side by side under the names of what they read, so these must differ."""
    names: set[str] = set()
    problems = []
    for place, part in enumerate(rule.of):
        name = "_".join(reads_of(part))
        if name in names:
            message = f"another part reads {shown(name)} already: make one part of the two"
            problems.append(Problem((*path, "of", place), message))
        names.add(name)
    return problems


def _part_problems(path: Path, rule: Rule, features: KnownFeatures) -> list[Problem]:
    return _input_problems(path, rule, features) + reason_problems(path, rule)


def _input_problems(path: Path, rule: Rule, features: KnownFeatures) -> list[Problem]:
    match rule:
        case AtLeastRule():
            return _at_least_problems(path, rule, features)
        case BelowRule():
            return _below_problems(path, rule, features)
        case LinearRule():
            return _linear_problems(path, rule, features)
        case WordsRule():
            return _words_problems(path, rule, features)
        case FlagRule():
            return _flag_problems(path, rule, features)
    return [Problem(path, "a greatest within a greatest: name its parts here")]


def _band_input(
    path: Path, source: str | SecondsBetween, features: KnownFeatures, problems: list[Problem]
) -> Feature | None:
    """The feature that bands are laid over; None where it is a span of time, or unusable."""
    at = (*path, "input")
    if isinstance(source, str):
        return features.expect(at, source, is_number, _NUMBER, problems)
    features.expect((*at, "seconds_from"), source.start, is_time, _TIME, problems)
    features.expect((*at, "to"), source.end, is_time, _TIME, problems)
    if source.start == source.end:
        problems.append(Problem(at, "from a time to itself is no time: name two features"))
    return None


def _at_least_problems(path: Path, rule: AtLeastRule, features: KnownFeatures) -> list[Problem]:
    problems: list[Problem] = []
    feature = _band_input(path, rule.input, features, problems)
    whole = feature is not None and is_whole(feature)
    at = (*path, "bands")
    problems += _bound_problems(at, rule.bands, whole=whole)
    floors = [_floor(band, whole=whole) for band in rule.bands]
    problems += _order_problems(at, rule.bands, floors)
    if feature is not None and feature.is_count and floors and floors[0] <= (0, False):
        message = "a lead of whom nothing is known has a count of 0 and must earn nothing: begin at 1"
        problems.append(Problem((*at, 0), message))
    for place, (before, band) in enumerate(pairwise((Band(0, 0), *rule.bands))):
        if band.points <= before.points:
            problems.append(Problem((*at, place), _idle_band(band, before, "before")))
    if feature is not None and feature.is_count and rule.bands:
        problems += _at_most_problems(feature, highest_count(rule.bands), rule.name)
    return problems


def _below_problems(path: Path, rule: BelowRule, features: KnownFeatures) -> list[Problem]:
    problems: list[Problem] = []
    feature = _band_input(path, rule.input, features, problems)
    if feature is not None and feature.is_count:
        message = "a lead of whom nothing is known has a count of 0 and must earn nothing: use at_least"
        problems.append(Problem((*path, "input"), message))
    at = (*path, "bands")
    problems += _bound_problems(at, rule.bands, whole=feature is not None and is_whole(feature))
    problems += _order_problems(at, rule.bands, [(band.bound, False) for band in rule.bands])
    if rule.bands and rule.bands[0].bound == 0:
        problems.append(Problem((*at, 0), "nothing lies below 0: write a bound above 0, or remove the band"))
    for place, (band, after) in enumerate(pairwise((*rule.bands, Band(0, 0)))):
        if band.points <= after.points:
            problems.append(Problem((*at, place), _idle_band(band, after, "after")))
    return problems


def _idle_band(band: Band, beside: Band, where: str) -> str:
    has, needs = points_text(band.points), points_text(beside.points)
    return f"{has} points: write more than {needs}, which a lead has {where} this band, or remove it"


def _bound_problems(path: Path, bands: tuple[Band, ...], *, whole: bool) -> list[Problem]:
    problems = [] if bands else [Problem(path, "no bands: write at least one")]
    for place, band in enumerate(bands):
        if not 0 <= band.bound < math.inf:
            problems.append(Problem((*path, place), f"{band.bound}: bounds are numbers from 0"))
        elif whole and band.bound != int(band.bound):
            message = f"the input is a whole number: write {int(band.bound)} or {int(band.bound) + 1}"
            problems.append(Problem((*path, place), f"{band.bound}, but {message}"))
    return problems


def _floor(band: Band, *, whole: bool) -> tuple[Number, bool]:
    """Where the band begins, so that floors compare: over whole numbers "above 3" is "at least 4"."""
    return (band.bound + 1, False) if whole and band.above else (band.bound, band.above)


def _order_problems(path: Path, bands: tuple[Band, ...], floors: list[tuple[Number, bool]]) -> list[Problem]:
    problems = []
    for place, (before, floor) in enumerate(pairwise(floors), start=1):
        if floor == before:
            problems.append(Problem((*path, place), "the same bound as the band before it: keep one of them"))
        elif floor < before:
            message = f"{bands[place].bound:,} after {bands[place - 1].bound:,}: write the lowest bound first"
            problems.append(Problem((*path, place), message))
    return problems


def _linear_problems(path: Path, rule: LinearRule, features: KnownFeatures) -> list[Problem]:
    problems: list[Problem] = []
    at = (*path, "points_each")
    if not rule.points_each:
        problems.append(Problem(at, "no input: name at least one feature"))
    if rule.points_max <= 0:
        problems.append(Problem((*path, "max"), "nothing can be earned: write a maximum above 0"))
    for name, each in rule.points_each:
        feature = features.expect((*at, name), name, is_number, _NUMBER, problems)
        if not 0 < each <= rule.points_max:
            message = f"{points_text(each)} each: write above 0, and no more than the rule's max"
            problems.append(Problem((*at, name), message))
        elif feature is not None and feature.is_count:
            problems += _at_most_problems(feature, linear_count(rule.points_max, each), rule.name)
    return problems


def _at_most_problems(feature: Feature, highest: int, rule: str) -> list[Problem]:
    if feature.at_most >= highest:
        return []
    message = f"counting stops before rule {shown(rule)} has given all: write {highest:,}"
    return [Problem(("features", feature.name, "at_most"), f"{feature.at_most:,}: {message}")]


def _words_problems(path: Path, rule: WordsRule, features: KnownFeatures) -> list[Problem]:
    problems: list[Problem] = []
    feature = features.expect((*path, "input"), rule.input, is_word, _WORD, problems)
    known = feature.words if feature is not None else frozenset()
    at = (*path, "points")
    for text, points in rule.points:
        if not text or word(text) != text:
            problems.append(Problem((*at, text), f"{shown(text)} never occurs: write {shown(word(text))}"))
        elif known and text not in known:
            hint = one_of(text, sorted(known))
            problems.append(Problem((*at, text), f"feature {shown(rule.input)} never has this word: {hint}"))
        if points < 0:
            problems.append(Problem((*at, text), f"{points_text(points)} points: write 0 or more"))
    return problems


def _flag_problems(path: Path, rule: FlagRule, features: KnownFeatures) -> list[Problem]:
    problems: list[Problem] = []
    features.expect((*path, "input"), rule.input, lambda feature: feature.kind == "flag", _FLAG, problems)
    return problems
