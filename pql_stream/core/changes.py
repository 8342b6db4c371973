"""What scoring says: a score changed, a lead qualified, and why. Points are integers of hundredths."""

from __future__ import annotations

from typing import Any

import msgspec

from pql_stream.core.rules import RuleInput


class EventRef(msgspec.Struct, frozen=True):
    """An event by its id and where its record lies."""

    event_id: str
    topic: str
    partition: int
    offset: int


class Contribution(msgspec.Struct, frozen=True):
    """One rule's part of a score; *moved_by* is the event that last moved its points, None if none has."""

    rule: str
    group: str
    points: int
    points_before: int
    points_max: int
    input: RuleInput
    moved_by: EventRef | None


class ScoreChange(msgspec.Struct, frozen=True):
    """
    The points of some rule of a lead changed.

    *sequence* counts the changes of the lead under this pack and version, from 1, without gaps.
    *contributions* has every rule of the pack and adds up to *score_after*; *groups* likewise.
    """

    change_id: str
    lead_id: str
    account_id: str | None
    pack: str
    pack_version: int
    sequence: int
    occurred_at_ms: int
    score_before: int
    score_after: int
    tier_before: str
    tier_after: str
    groups: dict[str, int]
    contributions: tuple[Contribution, ...]
    cause: EventRef
    cause_event: str


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
