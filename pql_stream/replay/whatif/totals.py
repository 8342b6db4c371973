"""All leads of a comparison, counted: who moves from which tier to which, how scores are spread, what rules do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from pql_stream.core.rules import HUNDREDTHS
from pql_stream.replay.whatif.comparing import Comparison, Pair
from pql_stream.replay.whatif.leads import RulePair, paired_rules, standing
from pql_stream.replay.whatif.verdicts import Change, Judge, Move, Standing, Verdict

BIN_POINTS = 5
"""How wide a bar of the score distribution is; the last one has the full 100 points, too."""
BINS = 100 // BIN_POINTS


class Both(NamedTuple):
    """One number under both packs."""

    today: int
    then: int

    @property
    def difference(self) -> int:
        """How much more it is then."""
        return self.then - self.today


@dataclass(slots=True)
class RuleTotal:
    """
    What one *rule* gives otherwise: to how many leads more or less, how many hundredths in all, and how many of these
    leads change by more than their points.
    """

    rule: RulePair
    leads_more: int = 0
    leads_less: int = 0
    points_more: int = 0
    points_less: int = 0
    leads_changed: int = 0

    @property
    def points(self) -> int:
        """Hundredths that all leads together gain by it."""
        return self.points_more - self.points_less

    def add(self, pair: Pair, *, changes: bool) -> None:
        """Count a lead."""
        _, today, then = self.rule
        before = 0 if today is None else pair.today.pack.points[today]
        after = 0 if then is None else pair.then.pack.points[then]
        if after > before:
            self.leads_more += 1
            self.points_more += after - before
        elif after < before:
            self.leads_less += 1
            self.points_less += before - after
        self.leads_changed += changes and after != before


@dataclass(slots=True)
class Totals:
    """
    Leads, counted.

    *matrix* has a row for each tier of today and a column for each of then, in the packs' order; *today_bins* and
    *then_bins* the leads by score, `BIN_POINTS` wide. *tier*, *qualified* and *told_sales* say how many move which way
    (`verdicts.Verdict`), *changes* how many change in what. *today_routed* and *then_routed*: of how many leads
    something went a route, by its place.
    """

    matrix: list[list[int]]
    rules: list[RuleTotal]
    today_routed: list[int]
    then_routed: list[int]
    today_bins: list[int] = field(default_factory=lambda: [0] * BINS)
    then_bins: list[int] = field(default_factory=lambda: [0] * BINS)
    leads: int = 0
    changed: int = 0
    scores_differ: int = 0
    tier: Counter[Move] = field(default_factory=Counter)
    qualified: Counter[Move] = field(default_factory=Counter)
    told_sales: Counter[Move] = field(default_factory=Counter)
    changes: Counter[Change] = field(default_factory=Counter)
    newly_qualified: int = 0
    no_longer_qualified: int = 0

    def tiers(self) -> tuple[list[int], list[int]]:
        """Leads by tier, today and then."""
        return [sum(row) for row in self.matrix], [sum(column) for column in zip(*self.matrix, strict=True)]

    def add(self, pair: Pair, today: Standing, then: Standing, verdict: Verdict) -> None:
        """Count a lead."""
        changes = bool(verdict.changes)
        self.leads += 1
        self.changed += changes
        self.matrix[today.place][then.place] += 1
        self.tier[verdict.tier] += 1
        self.qualified[verdict.qualified] += 1
        self.told_sales[verdict.told_sales] += 1
        self.newly_qualified += verdict.newly_qualified
        self.no_longer_qualified += verdict.no_longer_qualified
        self.changes.update(verdict.changes)
        score_today, score_then = sum(pair.today.pack.points), sum(pair.then.pack.points)
        self.scores_differ += score_today != score_then
        self.today_bins[_bin(score_today)] += 1
        self.then_bins[_bin(score_then)] += 1
        for rule in self.rules:
            rule.add(pair, changes=changes)
        _count_bits(self.today_routed, pair.routed_today)
        _count_bits(self.then_routed, pair.routed_then)


def totals_of(comparison: Comparison) -> Totals:
    """The leads of *comparison*, counted in one pass."""
    today, then = comparison.today.pack, comparison.then.pack
    judge = Judge(today.tiers, then.tiers)
    totals = Totals(
        matrix=[[0] * len(then.tiers) for _ in today.tiers],
        rules=[RuleTotal(rule) for rule in paired_rules(today, then)],
        today_routed=[0] * len(comparison.routes),
        then_routed=[0] * len(comparison.routes),
    )
    for pair in comparison.leads.values():
        stands_today = standing(pair.today, pair.announced_today, today)
        stands_then = standing(pair.then, pair.announced_then, then)
        totals.add(pair, stands_today, stands_then, judge.verdict(stands_today, stands_then))
    return totals


def _bin(score: int) -> int:
    return min(score // (BIN_POINTS * HUNDREDTHS), BINS - 1)


def _count_bits(counts: list[int], bits: int) -> None:
    while bits:
        place = bits.bit_length() - 1
        counts[place] += 1
        bits ^= 1 << place
