"""A lead's score as `score`, `scores.jsonl` and `explain` show it (CONTRACT.md 8)."""

from __future__ import annotations

from typing import Any

import msgspec

from pql_stream.core.packs import CompiledPack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import contributions
from pql_stream.wire.numbers import decimal, rfc3339
from pql_stream.wire.score_changed import groups_fields


def lead_score_fields(lead_id: str, state: LeadState, pack: CompiledPack) -> dict[str, Any]:
    """The JSON object of one lead; its contributions add up to its score."""
    points = state.pack.points
    score = sum(points)
    return {
        "lead_id": lead_id,
        "account_id": state.account_id,
        "pack": pack.name,
        "pack_version": pack.version,
        "score": decimal(score),
        "tier": pack.tier_of(score).name,
        "groups": groups_fields(pack.group_points(points)),
        "contributions": [
            {
                "rule": part.rule,
                "group": part.group,
                "points": decimal(part.points),
                "points_max": decimal(part.points_max),
                "input": part.input,
                "moved_by": msgspec.to_builtins(part.moved_by),
            }
            for part in contributions(state, pack)
        ],
        "first_seen_at": rfc3339(state.first_seen_at_ms),
        "last_seen_at": rfc3339(state.last_seen_at_ms),
    }
