"""PostHog's captured events, as its batch exports and destinations write them (CONTRACT.md 2)."""

from __future__ import annotations

import orjson

from pql_stream.core.events import ProductEvent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.forms.fields import (
    JsonObject,
    is_absent,
    missing,
    read_id,
    read_name,
    read_object,
    read_user_id,
)
from pql_stream.wire.json_depth import is_too_deep
from pql_stream.wire.times import parse_time_ms


def is_posthog(record: JsonObject) -> bool:
    """Whether *record* has both marks of the form."""
    return not (is_absent(record.get("distinct_id")) or is_absent(record.get("uuid")))


def read_posthog(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent:
    """
    The event in *record*, of which `is_posthog` is true; the fields are read in the contract's order (R10).

    Raises:
        InvalidEvent: missing_field, bad_type or bad_time.
    """
    get = record.get
    event_id = read_id(get("uuid"), "uuid") or missing("uuid")
    lead_id = read_user_id(get("distinct_id"), "distinct_id") or missing("distinct_id")
    properties = _read_properties(get("properties"))
    return ProductEvent(
        event_id,
        lead_id,
        _read_account(properties, "properties.$groups") or _read_account(record, "$groups"),
        read_name(get("event"), "event") or missing("event"),
        parse_time_ms(get("timestamp"), "timestamp", latest_ms),
        properties,
        topic,
        partition,
        offset,
    )


def _read_account(parent: JsonObject, field: str) -> str | None:
    groups = read_object(parent.get("$groups"), field)
    return read_id(groups.get("company"), f"{field}.company")


def _read_properties(value: object) -> JsonObject:
    if value.__class__ is not str or is_absent(value):
        return read_object(value, "properties")
    try:
        inside = orjson.loads(value)
    except orjson.JSONDecodeError:
        inside = None
    # What is too deep for a record is too deep in a string of it: every reader of the event is to be safe.
    if inside.__class__ is dict and not is_too_deep(value.encode()):
        return inside
    raise InvalidEvent("bad_type", "properties", "a text that is no JSON object")
