"""The shipped records that decoders trip over: tests/data/nasty_events/records.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pql_stream.core.events import ProductEvent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.events import decode_event

NASTY = Path(__file__).parents[2] / "data" / "nasty_events" / "records.jsonl"
CASES: list[dict[str, Any]] = [json.loads(line) for line in NASTY.read_text(encoding="utf-8").splitlines()]


def value_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["value_hex"]) if "value_hex" in case else case["value"].encode()


def outcome_of(case: dict[str, Any]) -> tuple[str | None, str]:
    try:
        event = decode_event(value_of(case), "t", 0, 0, timestamp_ms=case.get("timestamp_ms"))
    except InvalidEvent as refusal:
        return refusal.reason, refusal.field
    assert isinstance(event, ProductEvent)
    return None, ""


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_nasty_record_is_accepted_or_refused_as_written_beside_it(case):
    """Each record of the file has the reason and the field that the contract gives it, or none."""
    outcome = outcome_of(case)

    assert (case["reason"], case.get("field", "")) == outcome
