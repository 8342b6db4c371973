"""The tracking calls of Segment and RudderStack (CONTRACT.md 2)."""

from __future__ import annotations

from typing import Final

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import is_absent
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

# What each call says about the lead lies in `properties`, of these two in `traits`.
PROPERTIES_FIELD: Final = {
    "track": "properties",
    "identify": "traits",
    "group": "traits",
    "page": "properties",
    "screen": "properties",
    "alias": "properties",
}


def is_segment(record: JsonObject) -> bool:
    """Whether *record* has both marks of the form: one of the six calls, and a message id."""
    call = record.get("type")
    return call.__class__ is str and call in PROPERTIES_FIELD and not is_absent(record.get("messageId"))


def read_segment(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent:
    """
    The event in *record*, of which `is_segment` is true; the fields are read in the contract's order (R10).

    Raises:
        InvalidEvent: missing_field, bad_type or bad_time.
    """
    get = record.get
    call = record["type"]
    properties_field = PROPERTIES_FIELD[call]
    return ProductEvent(
        read_id(get("messageId"), "messageId") or missing("messageId"),
        read_user_id(get("userId"), "userId")
        or read_anonymous_lead(get("anonymousId"), "anonymousId", user_field="userId"),
        _read_account(record),
        call if call != "track" else read_name(get("event"), "event") or missing("event"),
        _read_time_ms(record, latest_ms),
        read_object(get(properties_field), properties_field),
        topic,
        partition,
        offset,
    )


def _read_account(record: JsonObject) -> str | None:
    context = read_object(record.get("context"), "context")
    return read_id(context.get("groupId"), "context.groupId") or read_id(record.get("groupId"), "groupId")


def _read_time_ms(record: JsonObject, latest_ms: int) -> int:
    # Only an absent timestamp gives way to the other: one that is there and wrong is refused (R8).
    timestamp = record.get("timestamp")
    if not is_absent(timestamp):
        return parse_time_ms(timestamp, "timestamp", latest_ms)
    original = record.get("originalTimestamp")
    if is_absent(original):
        missing("timestamp", "it is required, or originalTimestamp")
    return parse_time_ms(original, "originalTimestamp", latest_ms)
