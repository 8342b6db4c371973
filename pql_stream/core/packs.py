"""
Model packs: which features are kept, what they earn, and from which score on a lead has which tier.

`ModelPack` is data, as written by RevOps; `compile_pack` turns it, once, into what the hot path
needs: event name -> folds, feature -> the rules that read it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from pql_stream.core.features import Feature, FeatureValue, Fold
from pql_stream.core.folds import compile_fold
from pql_stream.core.rules import Features, Rule, RuleInput
from pql_stream.core.scoring import CompiledRule, RuleCompiler
from pql_stream.core.words import word

_PLANS_MAX = 10_000
"""Producers choose event names: so many are remembered, then the memory starts afresh."""


class Group(msgspec.Struct, frozen=True):
    """Rules that are shown as one sum; *points_max* in hundredths."""

    name: str
    points_max: int


class Tier(msgspec.Struct, frozen=True):
    """From *score_from* hundredths on; *handoff* is the hand-off class, None for none."""

    name: str
    score_from: int
    handoff: str | None
    sales_ready: bool


class ModelPack(msgspec.Struct, frozen=True):
    """
    All features, rules and tiers of one version of a model; equal packs give equal scores.

    *profile* names the features that a qualification shows to sales. `core.pack_checks` says what is
    wrong with one; only a pack without problems may be compiled.
    """

    name: str
    version: int
    title: str
    features: tuple[Feature, ...]
    groups: tuple[Group, ...]
    rules: tuple[Rule, ...]
    tiers: tuple[Tier, ...]
    profile: tuple[str, ...] = ()


PlacedRule = tuple[int, Callable[[Features], int]]
"""(place of a rule, its points)"""
Step = tuple[int, Fold, tuple[PlacedRule, ...]]
"""(slot of a feature, its fold, the rules that read it)"""
Plan = tuple[Step, ...]
"""What an event of one name does."""


class PackId(NamedTuple):
    """Which model pack, in which version."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class FeatureRow(NamedTuple):
    """
    Where a lead's features lie: *places* has the slot of each feature of a pack, in the pack's order; *unset* the
    values, of every slot, before any event.
    """

    places: tuple[int, ...]
    unset: tuple[FeatureValue, ...]

    @classmethod
    def of_pack(cls, pack: ModelPack) -> FeatureRow:
        """The row of a pack that has it for itself."""
        return cls(tuple(range(len(pack.features))), tuple(feature.unset for feature in pack.features))


class CompiledPack:
    """
    A pack as the hot path wants it.

    `rules` are in the pack's order; points, inputs and "moved by" of a lead are tuples in that order.
    Features lie where *row* says, if it is given: in the row that several packs share (`core.lineups`).
    `inputs` says of all rules what each looks at, as people see it, and `contributions_json` the same for a record;
    `group_points` adds up the points of each group.
    """

    __slots__ = (
        "contributions_json",
        "event_words",
        "features_unset",
        "group_points",
        "id",
        "id_seed",
        "inputs",
        "name",
        "pack",
        "plans",
        "points_unset",
        "profile_slots",
        "rules",
        "tier_floors",
        "tiers",
        "version",
    )

    def __init__(self, pack: ModelPack, row: FeatureRow | None = None) -> None:
        places, unset = row or FeatureRow.of_pack(pack)
        slots = {feature.name: (slot, feature) for slot, feature in zip(places, pack.features, strict=True)}
        self.pack = pack
        self.id = PackId(pack.name, pack.version)
        self.name = pack.name
        self.version = pack.version
        self.tiers = pack.tiers
        self.tier_floors = tuple(tier.score_from for tier in pack.tiers)
        compiler = RuleCompiler(slots)
        self.rules: tuple[CompiledRule, ...] = tuple(compiler.rule(rule) for rule in pack.rules)
        self.group_points: Callable[[tuple[int, ...]], dict[str, int]] = compiler.sums(
            {group.name: [i for i, rule in enumerate(pack.rules) if rule.group == group.name] for group in pack.groups}
        )
        self.features_unset: tuple[FeatureValue, ...] = unset
        self.points_unset = self.points_of(self.features_unset)
        self.contributions_json = compiler.contributions_json(pack.rules)
        self.inputs: Callable[[Features], tuple[RuleInput, ...]] = compiler.inputs(pack.rules)
        # Part of every change id, hashed once. Parts of an id are led by their length: none run together.
        self.id_seed = blake2b(f"{len(pack.name)}:{pack.name}{pack.version}:".encode(), digest_size=16)
        self.profile_slots = tuple((name, slots[name][0]) for name in pack.profile)
        self.event_words: dict[str, Plan] = _plans(pack, places, self.rules)
        self.plans: dict[str, Plan] = {}

    def plan(self, event_name: str) -> Plan:
        """
        What an event of this name, as received, does; an empty plan for a name the pack does not know.

        Remembered in `plans`, where the hot path looks first.
        """
        if len(self.plans) >= _PLANS_MAX:
            self.plans.clear()
        plan = self.plans[event_name] = self.event_words.get(word(event_name), ())
        return plan

    def points_of(self, features: Features) -> tuple[int, ...]:
        """What every rule gives for *features*, in hundredths, in the order of the rules."""
        return tuple(rule.points(features) for rule in self.rules)

    def tier_place(self, score: int) -> int:
        """The place among `tiers`, from 0, of the tier of *score* hundredths."""
        return bisect_right(self.tier_floors, score) - 1

    def tier_of(self, score: int) -> Tier:
        """The tier of *score* hundredths."""
        return self.tiers[self.tier_place(score)]


def compile_pack(pack: ModelPack) -> CompiledPack:
    """*pack*, which has no problems, ready to score."""
    return CompiledPack(pack)


def _plans(pack: ModelPack, places: tuple[int, ...], rules: tuple[CompiledRule, ...]) -> dict[str, Plan]:
    steps: dict[str, list[Step]] = {}
    for slot, feature in zip(places, pack.features, strict=True):
        readers = tuple((i, rule.points) for i, rule in enumerate(rules) if feature.name in rule.reads)
        for source in feature.sources:
            fold = compile_fold(feature, source)
            for event in source.events:
                steps.setdefault(event, []).append((slot, fold, readers))
    return {event: tuple(plan) for event, plan in steps.items()}
