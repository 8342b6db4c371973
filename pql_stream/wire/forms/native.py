"""Our own form, which every record has that is of no other (CONTRACT.md 2)."""

from __future__ import annotations

from pql_stream.core.events import ProductEvent
from pql_stream.wire.forms.fields import (
    JsonObject,
    missing,
    read_anonymous_lead,
    read_id,
    read_name,
    read_object,
    read_user_id,
)
from pql_stream.wire.times import parse_time_ms


def read_native(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent:
    """
    The event in *record*; *latest_ms* is the latest time of an event that is believed.

    Raises:
        InvalidEvent: missing_field, bad_type or bad_time.
    """
    # In the order of the contract's table: the first fault is the one that is named (R10).
    get = record.get
    return ProductEvent(
        read_id(get("event_id"), "event_id") or missing("event_id"),
        read_user_id(get("user_id"), "user_id")
        or read_anonymous_lead(get("anonymous_id"), "anonymous_id", user_field="user_id"),
        read_id(get("account_id"), "account_id"),
        read_name(get("event"), "event") or missing("event"),
        parse_time_ms(get("occurred_at"), "occurred_at", latest_ms),
        read_object(get("properties"), "properties"),
        topic,
        partition,
        offset,
    )
