"""PostHog's captured events, as its batch exports and destinations write them (CONTRACT.md 2)."""

from __future__ import annotations

from typing import NoReturn, cast

import orjson

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import is_absent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.forms.fields import (
    JsonObject,
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
    # Properties that are no object have no groups in them; they are refused at their own turn, the last.
    properties = _properties(get("properties"))
    return ProductEvent(
        event_id,
        lead_id,
        _read_account(properties or {}, "properties.$groups") or _read_account(record, "$groups"),
        read_name(get("event"), "event") or missing("event"),
        parse_time_ms(get("timestamp"), "timestamp", latest_ms),
        _refuse_properties(get("properties")) if properties is None else properties,
        topic,
        partition,
        offset,
    )


def _read_account(parent: JsonObject, field: str) -> str | None:
    groups = read_object(parent.get("$groups"), field)
    return read_id(groups.get("company"), f"{field}.company")


def _properties(value: object) -> JsonObject | None:
    """The object in *value*, or in the text that it is; None for anything else."""
    if is_absent(value):
        return {}
    if value.__class__ is str:
        text = value
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        # What is too deep for a record is too deep in a string of it: every reader of the event is to be safe.
        if is_too_deep(text.encode()):
            return None
    return cast("JsonObject", value) if value.__class__ is dict else None


def _refuse_properties(value: object) -> NoReturn:
    what = "a text that is no JSON object" if value.__class__ is str else "not an object"
    raise InvalidEvent("bad_type", "properties", what)
