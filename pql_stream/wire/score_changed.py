"""The record of `score-changed`, version 1 (CONTRACT.md 5)."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pql_stream.core.changes import (
    ANNOUNCED_BACKFILL,
    BACKFILL,
    LIVE,
    EventRef,
    Mode,
    ModeName,
    PublishedChange,
    ScoreChange,
)
from pql_stream.core.packs import CompiledPack
from pql_stream.core.rules import RuleInput
from pql_stream.core.values import Number
from pql_stream.errors import InvalidEvent
from pql_stream.wire.numbers import decimal, hundredths_of, rfc3339
from pql_stream.wire.times import parse_time_ms

SCHEMA = "score-changed/1"

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


# The same records once more, as the codec wants them: structs that map() makes of columns, without a step
# of Python for each, are made and written in less than half the time that dicts take.
class _MovedBy(msgspec.Struct, gc=False):
    event_id: str
    topic: str
    partition: int
    offset: int


class _Contribution(msgspec.Struct, gc=False):
    rule: str
    group: str
    points: Number
    points_before: Number
    points_max: Number
    input: RuleInput
    moved_by: _MovedBy | None


class _Cause(msgspec.Struct, gc=False):
    event_id: str
    event: str
    topic: str
    partition: int
    offset: int


class _ScoreChanged(msgspec.Struct, gc=False):
    change_id: str
    schema: str
    mode: str
    lead_id: str
    account_id: str | None
    pack: str
    pack_version: int
    sequence: int
    occurred_at: str
    score_before: Number
    score_after: Number
    tier_before: str
    tier_after: str
    groups: dict[str, Number]
    contributions: list[_Contribution]
    cause: _Cause
    announce: Literal[True] | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.json.Encoder().encode


def encode_score_changed(change: ScoreChange, mode: Mode = LIVE) -> bytes:
    """*change* as a record; *mode* is that of the event that made it."""
    pack = change.pack
    cause = change.cause
    score_before, score_after = change.score_before, change.score_after
    return _encode(
        _ScoreChanged(
            change.change_id,
            SCHEMA,
            mode.name,
            change.lead_id,
            change.account_id,
            pack.name,
            pack.version,
            change.sequence,
            rfc3339(change.occurred_at_ms),
            decimal(score_before),
            decimal(score_after),
            pack.tier_of(score_before).name,
            pack.tier_of(score_after).name,
            groups_fields(pack.group_points(change.points)),
            _contributions(change),
            _Cause(cause.event_id, change.cause_event, cause.topic, cause.partition, cause.offset),
            # What happens now is announced anyway: there the record says nothing of it.
            True if mode == ANNOUNCED_BACKFILL else msgspec.UNSET,
        )
    )


def _contributions(change: ScoreChange) -> list[_Contribution]:
    names, groups, points_max = _columns(change.pack)
    moved_by = [
        None if ref is None else _MovedBy(ref.event_id, ref.topic, ref.partition, ref.offset) for ref in change.moved_by
    ]
    points, points_before = map(decimal, change.points), map(decimal, change.points_before)
    return list(map(_Contribution, names, groups, points, points_before, points_max, change.inputs, moved_by))


@lru_cache(maxsize=8)  # a program has a pack or two
def _columns(pack: CompiledPack) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Number, ...]]:
    """Of every rule what is the same in all changes: name, group, most points."""
    rules = pack.rules
    return (
        tuple(rule.name for rule in rules),
        tuple(rule.group for rule in rules),
        tuple(decimal(rule.points_max) for rule in rules),
    )


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


def groups_fields(groups: dict[str, int]) -> dict[str, Number]:
    """Group -> its points as a decimal."""
    return {group: decimal(points) for group, points in groups.items()}


def moved_by_fields(ref: EventRef | None) -> dict[str, Any] | None:
    """The JSON object of an event reference."""
    if ref is None:
        return None
    return {"event_id": ref.event_id, "topic": ref.topic, "partition": ref.partition, "offset": ref.offset}
