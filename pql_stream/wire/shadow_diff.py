"""The record of `pql-shadow-diff`, version 1: where a shadow pack differs from the live one."""

from __future__ import annotations

from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from pql_stream.core.changes import ModeName, ShadowDifference, Standing
from pql_stream.core.values import Number
from pql_stream.wire.change_models import CauseRecord, Points, Time
from pql_stream.wire.numbers import decimal, rfc3339

SCHEMA = "pql-shadow-diff/1"


class StandingRecord(BaseModel):
    """What a pack gives the lead."""

    model_config = ConfigDict(extra="allow")

    pack: str
    pack_version: int
    score: Points
    tier: str


class RuleDifferenceRecord(BaseModel):
    """A rule that gives other points under the other pack; null where a pack has no rule of that name."""

    model_config = ConfigDict(extra="allow")

    rule: str
    live_points: Points | None
    shadow_points: Points | None


class ShadowDiffRecord(BaseModel):
    """Written when a shadow pack comes to differ from the live one for a lead, or otherwise than before, or no more."""

    model_config = ConfigDict(extra="allow", title="pql-shadow-diff")

    difference_id: str = Field(description="the same for a repeat of the same difference")
    schema_: Literal["pql-shadow-diff/1"] = Field(alias="schema")
    mode: Literal["live", "backfill"] = Field(description="of the causing event; backfill also where a pack was filled")
    lead_id: str
    account_id: str | None
    live: StandingRecord
    shadow: StandingRecord
    complete: bool = Field(description="false where the shadow knows only a part of the lead's events")
    occurred_at: Time = Field(description="RFC 3339, UTC, milliseconds: when the causing event happened")
    rules: list[RuleDifferenceRecord] = Field(description="every rule whose points differ")
    cause: CauseRecord


def encode_shadow_diff(difference: ShadowDifference, mode: ModeName) -> bytes:
    """*difference* as a record; *mode* is that of the event that made it."""
    cause = difference.cause
    return orjson.dumps(
        {
            "difference_id": difference.difference_id,
            "schema": SCHEMA,
            "mode": mode,
            "lead_id": difference.lead_id,
            "account_id": difference.account_id,
            "live": _standing_fields(difference.live),
            "shadow": _standing_fields(difference.shadow),
            "complete": difference.complete,
            "occurred_at": rfc3339(difference.occurred_at_ms),
            "rules": _rules(difference.live, difference.shadow),
            "cause": {
                "event_id": cause.event_id,
                "event": difference.cause_event,
                "topic": cause.topic,
                "partition": cause.partition,
                "offset": cause.offset,
            },
        }
    )


def _standing_fields(standing: Standing) -> dict[str, Number | str]:
    pack = standing.pack
    return {
        "pack": pack.name,
        "pack_version": pack.version,
        "score": decimal(standing.score),
        "tier": standing.tier,
    }


def _rules(live: Standing, shadow: Standing) -> list[dict[str, Number | str | None]]:
    of_live, of_shadow = (
        dict(zip([rule.name for rule in one.pack.rules], one.points, strict=True)) for one in (live, shadow)
    )
    return [
        {
            "rule": name,
            "live_points": _points(of_live.get(name)),
            "shadow_points": _points(of_shadow.get(name)),
        }
        for name in dict.fromkeys((*of_live, *of_shadow))
        if of_live.get(name) != of_shadow.get(name)
    ]


def _points(hundredths: int | None) -> Number | None:
    return None if hundredths is None else decimal(hundredths)
