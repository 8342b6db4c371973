"""The record of `pql-qualified`, version 1 (CONTRACT.md 6)."""

from __future__ import annotations

import orjson

from pql_stream.core.changes import ANNOUNCED_BACKFILL, LIVE, Mode, Qualification
from pql_stream.wire.numbers import decimal, rfc3339

SCHEMA = "pql-qualified/1"


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
