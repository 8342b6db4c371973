"""
Where a lead stands today and then: what changes by it, and how much that matters.

Leads change when somebody would treat them otherwise: by the tier they end in, by its hand-off class or readiness for
sales, or by what was announced of them on the way. Points alone that differ are no such change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pql_stream.core.packs import Tier

Move = Literal["same", "risen", "fallen", "other"]
"""*other*: neither tier is in the other's pack, or the packs do not agree which of them is higher."""
Change = Literal["tier", "handoff", "sales_ready", "qualifications"]
"""What may change of a lead."""


class Standing(NamedTuple):
    """A lead under one pack: its tier's place, and a bit for the place of each tier that was announced of it."""

    place: int
    announced: int


class Verdict(NamedTuple):
    """
    What *changes*; how the *tier* moves, the highest tier announced (*qualified*), and whether sales were told
    (*told_sales*: a tier announced that is ready for sales). *weight*: the greater, the more it matters.
    """

    changes: tuple[Change, ...]
    tier: Move
    qualified: Move
    told_sales: Move
    weight: tuple[int, ...]

    @property
    def newly_qualified(self) -> bool:
        """A tier is announced then that is above all that is announced today."""
        return self.qualified in {"risen", "other"}

    @property
    def no_longer_qualified(self) -> bool:
        """The highest tier that is announced today is not reached then."""
        return self.qualified in {"fallen", "other"}


class Judge:
    """Compares standings under the tiers of two packs; remembers its verdicts, for there are few kinds of leads."""

    def __init__(self, today: Sequence[Tier], then: Sequence[Tier]) -> None:
        self._today, self._then = tuple(today), tuple(then)
        self._verdicts: dict[tuple[Standing, Standing], Verdict] = {}

    def verdict(self, today: Standing, then: Standing) -> Verdict:
        """What it means for a lead to stand so *today* and so *then*."""
        known = self._verdicts.get((today, then))
        if known is None:
            known = self._verdicts[today, then] = self._judged(today, then)
        return known

    def _judged(self, today: Standing, then: Standing) -> Verdict:
        before, after = self._today[today.place], self._then[then.place]
        said, to_say = _said(self._today, today.announced), _said(self._then, then.announced)
        differ: dict[Change, bool] = {
            "tier": before.name != after.name,
            "handoff": before.handoff != after.handoff,
            "sales_ready": before.sales_ready != after.sales_ready,
            "qualifications": said != to_say,
        }
        told_sales = _more(any(ready for *_, ready in said), any(ready for *_, ready in to_say))
        return Verdict(
            changes=tuple(change for change, is_so in differ.items() if is_so),
            tier=self._move(today.place, then.place),
            qualified=self._move_announced(today.announced, then.announced),
            told_sales=told_sales,
            weight=(
                differ["sales_ready"] or told_sales != "same",
                differ["handoff"],
                abs(today.place - then.place),
                differ["tier"],
                len(said ^ to_say),
            ),
        )

    def _move(self, today: int, then: int) -> Move:
        before, after = self._today[today].name, self._then[then].name
        if before == after:
            return "same"
        found = {move for tiers in (self._today, self._then) if (move := _order(tiers, before, after)) is not None}
        return found.pop() if len(found) == 1 else "other"

    def _move_announced(self, today: int, then: int) -> Move:
        if today and then:
            return self._move(today.bit_length() - 1, then.bit_length() - 1)
        return _more(bool(today), bool(then))


def _said(tiers: tuple[Tier, ...], announced: int) -> frozenset[tuple[str, str | None, bool]]:
    """All that a salesperson's tool is told of the tiers with these bits."""
    return frozenset(
        (tier.name, tier.handoff, tier.sales_ready) for place, tier in enumerate(tiers) if announced >> place & 1
    )


def _order(tiers: tuple[Tier, ...], before: str, after: str) -> Move | None:
    """The way from *before* to *after*, two names, in *tiers*; None if they are not both there."""
    names = [tier.name for tier in tiers]
    if before not in names or after not in names:
        return None
    return "risen" if names.index(after) > names.index(before) else "fallen"


def _more(before: bool, after: bool) -> Move:  # noqa: FBT001 - the two are what is compared
    if before == after:
        return "same"
    return "risen" if after else "fallen"
