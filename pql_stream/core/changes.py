"""What scoring says: a score changed, a lead qualified, and why. Points are integers of hundredths."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from pql_stream.core.features import FeatureValue
from pql_stream.core.packs import CompiledPack
from pql_stream.core.refs import EncodedRef, EventRef
from pql_stream.core.rules import RuleInput

ModeName = Literal["live", "backfill"]
"""Whether an event happens now, or is history that is filled in."""
MODES: Final[tuple[ModeName, ...]] = ("live", "backfill")


class Mode(NamedTuple):
    """How an event counts; *announce*: somebody is to be told of what it changes."""

    name: ModeName
    announce: bool


LIVE: Final = Mode("live", announce=True)
BACKFILL: Final = Mode("backfill", announce=False)
ANNOUNCED_BACKFILL: Final = Mode("backfill", announce=True)


class Contribution(msgspec.Struct, frozen=True):
    """One rule's part of a score; *moved_by* is the event that last moved its points, None if none has."""

    rule: str
    group: str
    points: int
    points_max: int
    input: RuleInput
    moved_by: EventRef | None


class ScoreChange(msgspec.Struct, frozen=True, gc=False):
    """
    The points of some rule of a lead changed.

    *sequence* counts the changes of the lead under this pack and version, from 1, without gaps.
    *points*, *points_before* and *moved_by* have every rule, in the order of the pack; the
    points add up to the score, and are given for *features*. They stand side by side because a change is made for the
    wire, where nine objects a change would cost more than the scoring.
    """

    change_id: str
    lead_id: str
    account_id: str | None
    pack: CompiledPack
    sequence: int
    occurred_at_ms: int
    points_before: tuple[int, ...]
    points: tuple[int, ...]
    features: tuple[FeatureValue, ...]
    moved_by: tuple[EncodedRef, ...]
    cause: EventRef
    cause_event: str

    @property
    def score_before(self) -> int:
        """Hundredths."""
        return sum(self.points_before)

    @property
    def score_after(self) -> int:
        """Hundredths."""
        return sum(self.points)

    @property
    def tier_before(self) -> str:
        """The tier of the score before."""
        return self.pack.tier_of(self.score_before).name

    @property
    def tier_after(self) -> str:
        """The tier of the score after."""
        return self.pack.tier_of(self.score_after).name


class PublishedChange(msgspec.Struct, frozen=True):
    """
    What can be read back of a `ScoreChange` from its record, and how it was told.

    *points* are in the order of the pack's rules.
    """

    change_id: str
    lead_id: str
    sequence: int
    occurred_at_ms: int
    points: tuple[int, ...]
    cause: EventRef
    cause_event: str
    mode: Mode = LIVE


class Qualification(msgspec.Struct, frozen=True):
    """A lead rose above every tier that was announced for it. *reasons*: the largest contribution first."""

    qualification_id: str
    lead_id: str
    account_id: str | None
    pack: str
    pack_version: int
    tier: str
    tier_before: str
    score: int
    sales_ready: bool
    handoff: str | None
    occurred_at_ms: int
    change_id: str
    reasons: tuple[str, ...]
    profile: dict[str, Any]


class Standing(msgspec.Struct, frozen=True):
    """What a pack gives a lead: *points* of every rule, in the pack's order."""

    pack: CompiledPack
    points: tuple[int, ...]

    @property
    def score(self) -> int:
        """Hundredths."""
        return sum(self.points)

    @property
    def tier(self) -> str:
        """The tier of the score."""
        return self.pack.tier_of(self.score).name


class ShadowDifference(msgspec.Struct, frozen=True):
    """
    The difference between the live pack and a shadow pack, for one lead, changed: it came, grew, shrank or went.

    *complete*: the shadow's features were kept since the lead's first event. *tiers_differed* is as it was before.
    """

    difference_id: str
    lead_id: str
    account_id: str | None
    live: Standing
    shadow: Standing
    complete: bool
    tiers_differed: bool
    occurred_at_ms: int
    cause: EventRef
    cause_event: str

    @property
    def tiers_differ(self) -> bool:
        """Do the packs see the lead in different tiers?"""
        return self.live.tier != self.shadow.tier
