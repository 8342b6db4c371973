"""The record of `score-changed`, version 1 (CONTRACT.md 5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pql_stream.core.changes import EventRef, PublishedChange, ScoreChange
from pql_stream.core.packs import CompiledPack
from pql_stream.errors import InvalidEvent
from pql_stream.wire.numbers import decimal, hundredths_of, rfc3339
from pql_stream.wire.times import parse_time_ms

SCHEMA = "score-changed/1"

# Not int | float: there the bounds would not reach the schema.
Points = Annotated[float, Field(ge=0, le=100, description="at most two decimals")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


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
    mode: Literal["live", "backfill"]
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


def encode_score_changed(change: ScoreChange) -> bytes:
    """*change* as a record."""
    pack = change.pack
    cause = change.cause
    return orjson.dumps(
        {
            "change_id": change.change_id,
            "schema": SCHEMA,
            "mode": "live",
            "lead_id": change.lead_id,
            "account_id": change.account_id,
            "pack": pack.name,
            "pack_version": pack.version,
            "sequence": change.sequence,
            "occurred_at": rfc3339(change.occurred_at_ms),
            "score_before": decimal(change.score_before),
            "score_after": decimal(change.score_after),
            "tier_before": change.tier_before,
            "tier_after": change.tier_after,
            "groups": groups_fields(pack.group_points(change.points)),
            "contributions": _contributions_fields(change),
            "cause": {
                "event_id": cause.event_id,
                "event": change.cause_event,
                "topic": cause.topic,
                "partition": cause.partition,
                "offset": cause.offset,
            },
        }
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
    )


def groups_fields(groups: dict[str, int]) -> dict[str, int | float]:
    """Group -> its points as a decimal."""
    return {group: decimal(points) for group, points in groups.items()}


def moved_by_fields(ref: EventRef | None) -> dict[str, Any] | None:
    """The JSON object of an event reference."""
    if ref is None:
        return None
    return {"event_id": ref.event_id, "topic": ref.topic, "partition": ref.partition, "offset": ref.offset}


def _contributions_fields(change: ScoreChange) -> list[dict[str, Any]]:
    parts = zip(change.pack.rules, change.points, change.points_before, change.inputs, change.moved_by, strict=True)
    return [
        {
            "rule": rule.name,
            "group": rule.group,
            "points": decimal(points),
            "points_before": decimal(points_before),
            "points_max": decimal(rule.points_max),
            "input": shown,
            "moved_by": moved_by_fields(moved_by),
        }
        for rule, points, points_before, shown, moved_by in parts
    ]
