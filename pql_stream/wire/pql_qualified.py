"""The record of `pql-qualified`, version 1 (CONTRACT.md 6)."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from pql_stream.core.changes import ANNOUNCED_BACKFILL, LIVE, Mode, Qualification
from pql_stream.wire.numbers import decimal, rfc3339
from pql_stream.wire.score_changed import Announce, Points, RecordMode, Time

SCHEMA = "pql-qualified/1"


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


def encode_pql_qualified(qualification: Qualification, mode: Mode = LIVE) -> bytes:
    """*qualification* as a record; *mode* is that of the event that made it."""
    announce = {"announce": True} if mode == ANNOUNCED_BACKFILL else {}
    return orjson.dumps(
        {
            "qualification_id": qualification.qualification_id,
            "schema": SCHEMA,
            "mode": mode.name,
            "lead_id": qualification.lead_id,
            "account_id": qualification.account_id,
            "pack": qualification.pack,
            "pack_version": qualification.pack_version,
            "tier": qualification.tier,
            "tier_before": qualification.tier_before,
            "score": decimal(qualification.score),
            "sales_ready": qualification.sales_ready,
            "handoff": qualification.handoff,
            "occurred_at": rfc3339(qualification.occurred_at_ms),
            "change_id": qualification.change_id,
            "reasons": qualification.reasons,
            "profile": qualification.profile,
        }
        | announce
    )
