"""
The records of `score-changed` and `pql-qualified` as their readers see them (CONTRACT.md 5 and 6).

Apart from what writes them, because the models take longer to import than all the rest that a replay needs, and each
of its processes would.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pql_stream.core.changes import ANNOUNCED_BACKFILL, BACKFILL, LIVE, Mode, ModeName, PublishedChange
from pql_stream.core.packs import CompiledPack
from pql_stream.core.refs import EventRef
from pql_stream.errors import InvalidEvent
from pql_stream.wire.numbers import hundredths_of
from pql_stream.wire.times import parse_time_ms

# Not int | float: there the bounds would not reach the schema.
Points = Annotated[float, Field(ge=0, le=100, description="at most two decimals")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
RecordMode = Annotated[ModeName, Field(description="backfill: history that was filled in")]
Announce = Annotated[bool, Field(description="only with mode backfill: it is delivered all the same")]


class MovedByRecord(BaseModel):
    """The event that last moved a rule's points, and where its record lies."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    topic: str
    partition: int
    offset: int


class CauseRecord(MovedByRecord):
    """The event that made the change; `event` is its name as received."""

    event: str


class ContributionRecord(BaseModel):
    """One rule's part of the score."""

    model_config = ConfigDict(extra="allow")

    rule: str
    group: str
    points: Points
    points_before: Points
    points_max: Points
    input: Any = Field(description="what the rule looked at; counts stop at the highest band; null if unknown")
    moved_by: MovedByRecord | None


class ScoreChangedRecord(BaseModel):
    """Written whenever the points of any rule of a lead change; consumers drop repeats by `change_id`."""

    model_config = ConfigDict(extra="allow", title="score-changed")

    change_id: str = Field(description="the same for a repeat of the same change")
    schema_: Literal["score-changed/1"] = Field(alias="schema")
    mode: RecordMode
    lead_id: str
    account_id: str | None
    pack: str
    pack_version: int
    sequence: int = Field(ge=1, description="counts the lead's changes under this pack and version, without gaps")
    occurred_at: Time = Field(description="RFC 3339, UTC, milliseconds: when the causing event happened")
    score_before: Points
    score_after: Points
    tier_before: str
    tier_after: str
    groups: dict[str, Points]
    contributions: list[ContributionRecord] = Field(description="every rule of the pack; they add up to score_after")
    cause: CauseRecord
    announce: Announce = False


class PqlQualifiedRecord(BaseModel):
    """Written when a lead first reaches a tier; consumers drop repeats by `qualification_id`."""

    model_config = ConfigDict(extra="allow", title="pql-qualified")

    qualification_id: str = Field(description="the same for a repeat: a function of lead, pack and tier")
    schema_: Literal["pql-qualified/1"] = Field(alias="schema")
    mode: RecordMode
    lead_id: str
    account_id: str | None
    pack: str
    pack_version: int
    tier: str
    tier_before: str = Field(description="the highest tier that was announced before")
    score: Points
    sales_ready: bool
    handoff: str | None = Field(description="hand-off class: delayed, standard, immediate; null for none")
    occurred_at: Time = Field(description="RFC 3339, UTC, milliseconds: when the causing event happened")
    change_id: str
    reasons: list[str] = Field(description="sentences for a salesperson, the largest contribution first")
    profile: dict[str, Any]
    announce: Announce = False


def decode_score_changed(value: bytes, pack: CompiledPack) -> PublishedChange | None:
    """The change in a record; None when it is no record of this version, or of another pack, or version of it."""
    try:
        record = ScoreChangedRecord.model_validate_json(value)
        occurred_at_ms = parse_time_ms(record.occurred_at, "occurred_at")
    except (ValidationError, InvalidEvent):
        return None
    points = {part.rule: hundredths_of(part.points) for part in record.contributions}
    if (record.pack, record.pack_version) != (pack.name, pack.version) or points.keys() != {r.name for r in pack.rules}:
        return None
    cause = record.cause
    return PublishedChange(
        record.change_id,
        record.lead_id,
        record.sequence,
        occurred_at_ms,
        tuple([points[rule.name] for rule in pack.rules]),
        EventRef(cause.event_id, cause.topic, cause.partition, cause.offset),
        cause.event,
        _mode_of(record),
    )


def _mode_of(record: ScoreChangedRecord) -> Mode:
    if record.mode == "live":
        return LIVE
    return ANNOUNCED_BACKFILL if record.announce else BACKFILL
