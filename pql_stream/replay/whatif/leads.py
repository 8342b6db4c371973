"""The leads that change, what matters most first, each with the rules that cause it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from pql_stream.core.packs import CompiledPack, Tier
from pql_stream.core.states import LeadState
from pql_stream.replay.whatif.comparing import Comparison, Pair
from pql_stream.replay.whatif.verdicts import Judge, Standing, Verdict


class RulePair(NamedTuple):
    """A rule by its name, and its place in each pack; None in the one that has no such rule."""

    rule: str
    today: int | None
    then: int | None


class RuleDifference(NamedTuple):
    """
    One rule's points of a lead in both packs, hundredths; None where the pack has no such rule.

    *reason* is what the points are for in a salesperson's words, by the pack that gives more of them.
    """

    rule: str
    today: int | None
    then: int | None
    reason: str

    @property
    def difference(self) -> int:
        """What the lead gains by it, hundredths."""
        return (self.then or 0) - (self.today or 0)


class BoundDifference(NamedTuple):
    """From which score on both packs give the *tier*, hundredths; None in the one that has no such tier."""

    tier: str
    today: int | None
    then: int | None


class Outcome(NamedTuple):
    """How a lead ends under one pack; *announced* are the names of tiers, rising."""

    score: int
    tier: Tier
    announced: tuple[str, ...]


class LeadDifference(NamedTuple):
    """
    A lead that changes.

    *rules*: those that differ, the greatest difference first; they add up to the score's. *bounds*: where the lead is
    in another tier also because tiers begin elsewhere, those of its two that do.
    """

    lead_id: str
    account_id: str | None
    today: Outcome
    then: Outcome
    verdict: Verdict
    rules: tuple[RuleDifference, ...]
    bounds: tuple[BoundDifference, ...]


def paired_rules(today: CompiledPack, then: CompiledPack) -> tuple[RulePair, ...]:
    """All rules of both packs: in the order of *today*, then those that only *then* has."""
    places_today = {rule.name: place for place, rule in enumerate(today.rules)}
    places_then = {rule.name: place for place, rule in enumerate(then.rules)}
    names = dict.fromkeys((*places_today, *places_then))
    return tuple(RulePair(name, places_today.get(name), places_then.get(name)) for name in names)


def standing(state: LeadState, announced: int, pack: CompiledPack) -> Standing:
    """Where a lead in *state* stands under *pack*."""
    return Standing(pack.tier_place(sum(state.pack.points)), announced)


def verdict_of(pair: Pair, comparison: Comparison, judge: Judge) -> Verdict:
    """What becomes of the lead of *pair*."""
    return judge.verdict(
        standing(pair.today, pair.announced_today, comparison.today.pack),
        standing(pair.then, pair.announced_then, comparison.then.pack),
    )


class ChangedLeads:
    """The leads of a *comparison* that change."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._judge = Judge(comparison.today.pack.tiers, comparison.then.pack.tiers)
        self._rules = paired_rules(comparison.today.pack, comparison.then.pack)

    def first(self, count: int) -> list[LeadDifference]:
        """The *count* that matter most, without sorting the others."""
        return [self._difference(lead_id) for *_, lead_id in heapq.nsmallest(count, self._keys())]

    def all(self) -> Iterator[LeadDifference]:
        """All of them, in the same order."""
        for *_, lead_id in sorted(self._keys()):
            yield self._difference(lead_id)

    def _keys(self) -> Iterator[tuple[tuple[int, ...], int, str]]:
        """Of each that changes what it is sorted by: how much it matters, how far the score moves, its id."""
        for lead_id, pair in self._comparison.leads.items():
            verdict = verdict_of(pair, self._comparison, self._judge)
            if verdict.changes:
                moved = abs(sum(pair.then.pack.points) - sum(pair.today.pack.points))
                yield tuple(-part for part in verdict.weight), -moved, lead_id

    def _difference(self, lead_id: str) -> LeadDifference:
        comparison, pair = self._comparison, self._comparison.leads[lead_id]
        today = _outcome(pair.today, pair.announced_today, comparison.today.pack)
        then = _outcome(pair.then, pair.announced_then, comparison.then.pack)
        return LeadDifference(
            lead_id,
            pair.today.account_id,
            today,
            then,
            verdict_of(pair, comparison, self._judge),
            self._rule_differences(pair),
            self._bound_differences(today, then),
        )

    def _rule_differences(self, pair: Pair) -> tuple[RuleDifference, ...]:
        found = [
            RuleDifference(rule.rule, today, then, self._reason(rule, pair, today or 0, then or 0))
            for rule in self._rules
            if (today := _points(pair.today, rule.today)) != (then := _points(pair.then, rule.then)) and (today or then)
        ]
        return tuple(sorted(found, key=lambda one: -abs(one.difference)))

    def _bound_differences(self, today: Outcome, then: Outcome) -> tuple[BoundDifference, ...]:
        names = {today.tier.name: None, then.tier.name: None}
        if len(names) == 1:
            return ()
        before, after = self._comparison.today.pack, self._comparison.then.pack
        if after.tier_of(today.score).name == today.tier.name and before.tier_of(then.score).name == then.tier.name:
            return ()  # the points alone would have moved it
        found = (BoundDifference(name, _floor(before, name), _floor(after, name)) for name in names)
        return tuple(bound for bound in found if bound.today != bound.then)

    def _reason(self, rule: RulePair, pair: Pair, today: int, then: int) -> str:
        more = (self._comparison.then, rule.then, pair.then), (self._comparison.today, rule.today, pair.today)
        side, place, state = more[then < today]
        assert place is not None, "whoever gives more points has the rule"  # noqa: S101 - our own mistake
        return side.pack.rules[place].reason(state.features)


def _points(state: LeadState, place: int | None) -> int | None:
    return None if place is None else state.pack.points[place]


def _outcome(state: LeadState, announced: int, pack: CompiledPack) -> Outcome:
    score = sum(state.pack.points)
    names = tuple(tier.name for place, tier in enumerate(pack.tiers) if announced >> place & 1)
    return Outcome(score, pack.tier_of(score), names)


def _floor(pack: CompiledPack, name: str) -> int | None:
    return next((tier.score_from for tier in pack.tiers if tier.name == name), None)
