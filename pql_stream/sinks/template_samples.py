"""
The leads that a template is tried on before it is used: one of whom everything is known, and one of whom nothing is
but what a record always has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import RecordKind
from pql_stream.delivery.sink import Item
from pql_stream.wire.change_models import PqlQualifiedRecord, ScoreChangedRecord
from pql_stream.wire.deliveries import Delivery

_CAUSE = {"event_id": "e42", "topic": "product-activity", "partition": 0, "offset": 123}
_ALWAYS: dict[RecordKind, dict[str, Any]] = {
    "pql-qualified": {
        "qualification_id": "51ab51ab51ab51ab",
        "schema": "pql-qualified/1",
        "mode": "live",
        "lead_id": "u1",
        "account_id": None,
        "pack": "pql-100",
        "pack_version": 1,
        "tier": "silver",
        "tier_before": "unqualified",
        "score": 78,
        "sales_ready": False,
        "handoff": None,
        "occurred_at": "2026-01-05T10:00:00.000Z",
        "change_id": "9f0c9f0c9f0c9f0c",
        "reasons": [],
        "profile": {},
    },
    "score-changed": {
        "change_id": "9f0c9f0c9f0c9f0c",
        "schema": "score-changed/1",
        "mode": "live",
        "lead_id": "u1",
        "account_id": None,
        "pack": "pql-100",
        "pack_version": 1,
        "sequence": 1,
        "occurred_at": "2026-01-05T10:00:00.000Z",
        "score_before": 0,
        "score_after": 5,
        "tier_before": "unqualified",
        "tier_after": "unqualified",
        "groups": {},
        "contributions": [],
        "cause": {**_CAUSE, "event": "feature_used"},
    },
}
_MORE: dict[RecordKind, dict[str, Any]] = {
    "pql-qualified": {
        "account_id": "acme",
        "tier": "platinum",
        "score": 97.5,
        "sales_ready": True,
        "handoff": "immediate",
        "reasons": ["50 successful workflow runs (+15)", "First success after 45 minutes (+15)"],
        "profile": {"team_size": 12, "industry": "finance", "segment": None, "company_revenue_usd": 20_000_000},
    },
    "score-changed": {
        "account_id": "acme",
        "sequence": 7,
        "score_before": 55,
        "score_after": 60,
        "tier_after": "bronze",
        "groups": {"usage": 30, "engagement": 15, "business": 15},
        "contributions": [
            {
                "rule": "feature_adoption",
                "group": "usage",
                "points": 10,
                "points_before": 5,
                "points_max": 15,
                "input": 5,
                "moved_by": _CAUSE,
            },
            {
                "rule": "industry",
                "group": "business",
                "points": 0,
                "points_before": 0,
                "points_max": 10,
                "input": {"industry": "retail", "segment": None},
                "moved_by": None,
            },
        ],
    },
}

KNOWN = LeadProfile(
    lead_id="u1",
    email="ada@customer.example",
    first_name="Ada",
    last_name="Lovelace",
    title="Head of Operations",
    company="Ampère & Sons <Ltd>",
    phone="+44 20 7946 0000",
    timezone="Europe/London",
    locale="en-GB",
    consent=True,
)


def sample_items(kinds: Sequence[RecordKind]) -> list[Item]:
    """For each of *kinds* three items: everything known, a record alone, and the same without a profile."""
    items = []
    for kind in kinds:
        items.append(Item(_delivery(kind, _ALWAYS[kind] | _MORE[kind]), KNOWN))
        items.append(Item(_delivery(kind, _ALWAYS[kind]), LeadProfile(lead_id="u1")))
        items.append(Item(_delivery(kind, _ALWAYS[kind]), None))
    return items


def record_fields(kinds: Sequence[RecordKind]) -> frozenset[str]:
    """What the records of *kinds* have, all of them together."""
    models: dict[RecordKind, type[BaseModel]] = {
        "pql-qualified": PqlQualifiedRecord,
        "score-changed": ScoreChangedRecord,
    }
    return frozenset(field.alias or name for kind in kinds for name, field in models[kind].model_fields.items())


def _delivery(kind: RecordKind, record: dict[str, Any]) -> Delivery:
    return Delivery(
        delivery_id="5a" * 16,
        sink="sample",
        route="sample",
        action="message",
        lead_id="u1",
        of=kind,
        record=record,
        options={},
        decided_at_ms=1_767_607_200_000,
    )
