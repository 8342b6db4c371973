"""What is wrong with a pack that has the right form: every problem, with the path of what it is about."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

from pql_stream.core.feature_checks import feature_problems
from pql_stream.core.packs import Group, ModelPack, Tier
from pql_stream.core.problems import Problem, name_problems, one_of, points_text, repeated_problems, shown
from pql_stream.core.rule_checks import KnownFeatures, most_points, rule_problems
from pql_stream.core.rules import HUNDREDTHS

SCORE_MAX = 100 * HUNDREDTHS
VERSION_MAX = 1_000_000


class Gaps(NamedTuple):
    """
    What of a pack could not be read: nothing is said that would only follow from its absence.

    *sections* are the top-level fields that are not complete; *features* the names of those that are
    there and could not be read, None where not even their names are known.
    """

    sections: Collection[str] = ()
    features: Collection[str] | None = ()


NO_GAPS = Gaps()


def pack_problems(pack: ModelPack, gaps: Gaps = NO_GAPS) -> list[Problem]:
    """Every problem of *pack*; without one it can be compiled, and scores any event."""
    features = KnownFeatures({feature.name: feature for feature in pack.features}, gaps.features)
    problems = _head_problems(pack, gaps)
    problems += repeated_problems(("features",), (feature.name for feature in pack.features))
    for feature in pack.features:
        problems += feature_problems(feature)
    problems += repeated_problems(("rules",), (rule.name for rule in pack.rules))
    for rule in pack.rules:
        problems += rule_problems(rule, features)
    problems += _group_problems(pack, gaps)
    problems += _tier_problems(pack, gaps)
    return problems + _profile_problems(pack.profile, features, gaps)


def _head_problems(pack: ModelPack, gaps: Gaps) -> list[Problem]:
    problems = [] if "pack" in gaps.sections else name_problems(("pack",), pack.name)
    if "version" not in gaps.sections and not 1 <= pack.version <= VERSION_MAX:
        message = f"{pack.version:,}: versions count from 1 to {VERSION_MAX:,}"
        problems.append(Problem(("version",), message))
    if not pack.rules and "rules" not in gaps.sections:
        problems.append(Problem(("rules",), "no rules: write at least one"))
    return problems


def _group_problems(pack: ModelPack, gaps: Gaps) -> list[Problem]:
    problems = repeated_problems(("groups",), (group.name for group in pack.groups))
    for group in pack.groups:
        problems += name_problems(("groups", group.name), group.name)
    if "groups" in gaps.sections:
        return problems
    totals: dict[str, list[int]] = {group.name: [] for group in pack.groups}
    for rule in pack.rules:
        if rule.group in totals:
            totals[rule.group].append(rule.points_max)
        else:
            message = f"no group {shown(rule.group)}: {one_of(rule.group, totals)}"
            problems.append(Problem(("rules", rule.name, "group"), message))
    if "rules" in gaps.sections:
        return problems
    for group in pack.groups:
        problems += _group_max_problems(group, totals[group.name])
    return problems


def _group_max_problems(group: Group, rule_maxima: list[int]) -> list[Problem]:
    if not rule_maxima:
        message = f"no rule is in group {shown(group.name)}: remove it"
        return [Problem(("groups", group.name), message)]
    total = sum(rule_maxima)
    if group.points_max != total:
        gives = f"{points_text(group.points_max)}, but its rules can give {points_text(total)}"
        return [Problem(("groups", group.name, "max"), f"{gives}: write max: {points_text(total)}")]
    return []


def _tier_problems(pack: ModelPack, gaps: Gaps) -> list[Problem]:
    if "tiers" in gaps.sections:
        return []
    if not pack.tiers:
        return [Problem(("tiers",), "no tiers: write at least one, from 0")]
    problems = _lowest_tier_problems(pack.tiers[0])
    problems += repeated_problems(("tiers",), (tier.name for tier in pack.tiers))
    for place, tier in enumerate(pack.tiers):
        problems += name_problems(("tiers", place, "name"), tier.name)
        if tier.handoff is not None:
            problems += name_problems(("tiers", place, "handoff"), tier.handoff)
    for place, (before, tier) in enumerate(pairwise(pack.tiers), start=1):
        problems += _next_tier_problems(place, before, tier)
    return problems if "rules" in gaps.sections else problems + _reach_problems(pack)


def _lowest_tier_problems(lowest: Tier) -> list[Problem]:
    problems = []
    if lowest.score_from != 0:
        message = f"the lowest tier begins at {points_text(lowest.score_from)}: write from: 0"
        problems.append(Problem(("tiers", 0, "from"), message))
    # A lead that is in the lowest tier never rose to it, so nobody is told.
    if lowest.handoff is not None:
        problems.append(Problem(("tiers", 0, "handoff"), "the lowest tier is never handed off: remove it"))
    if lowest.sales_ready:
        message = "every lead begins in the lowest tier, ready for sales or not: remove it"
        problems.append(Problem(("tiers", 0, "sales_ready"), message))
    return problems


def _next_tier_problems(place: int, before: Tier, tier: Tier) -> list[Problem]:
    problems = []
    if tier.score_from <= before.score_from:
        message = f"{points_text(tier.score_from)} after {points_text(before.score_from)}: tiers rise"
        problems.append(Problem(("tiers", place, "from"), f"{message}, write the lowest first"))
    if before.sales_ready and not tier.sales_ready:
        message = f"{shown(before.name)} below it is ready for sales: write sales_ready: true here too"
        problems.append(Problem(("tiers", place), message))
    return problems


def _reach_problems(pack: ModelPack) -> list[Problem]:
    most = sum(most_points(rule) for rule in pack.rules)
    problems = []
    if most > SCORE_MAX:
        message = f"all rules together can give {points_text(most)} points: 100 is the most"
        problems.append(Problem(("rules",), message))
    for place, tier in enumerate(pack.tiers):
        if tier.score_from > most:
            message = f"{points_text(tier.score_from)} cannot be reached: all rules give {points_text(most)}"
            problems.append(Problem(("tiers", place, "from"), f"{message}, write that or less"))
    return problems


def _profile_problems(profile: tuple[str, ...], features: KnownFeatures, gaps: Gaps) -> list[Problem]:
    if "profile" in gaps.sections:
        return []
    problems = repeated_problems(("profile",), profile)
    wanted = "only `latest` features are shown to sales"
    for place, name in enumerate(profile):
        features.expect(("profile", place), name, lambda feature: feature.kind == "latest", wanted, problems)
    return problems
