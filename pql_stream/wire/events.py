"""One record of the activity topic, in any of the four forms, to a `ProductEvent` (CONTRACT.md 2, 9)."""

from __future__ import annotations

from typing import Final

import msgspec
from orjson import JSONDecodeError, loads

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import is_absent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.forms.cloudevents import BINARY, STRUCTURED, binary_record, read_cloud_event
from pql_stream.wire.forms.fields import JsonObject
from pql_stream.wire.forms.native import read_native
from pql_stream.wire.forms.plain import plain_event
from pql_stream.wire.forms.posthog import is_posthog, read_posthog
from pql_stream.wire.forms.segment import is_segment, read_segment
from pql_stream.wire.headers import Headers
from pql_stream.wire.json_depth import ARRAY_START, DEPTH_MAX, OBJECT_START, OBJECTS_ONLY_BYTES_MAX, is_too_deep
from pql_stream.wire.times import AHEAD_MS_MAX, BEYOND_INTEGERS, LATEST_MS, NO_TIME

RECORD_BYTES_MAX: Final = 1024 * 1024
"""Of a record's value; what is longer is too_large (CONTRACT.md 2)."""

_LATEST_THAT_LIMITS_MS: Final = LATEST_MS - AHEAD_MS_MAX
"""The Kafka timestamps from here on leave to an event all the time there is."""


def decode_event(
    value: bytes,
    topic: str,
    partition: int,
    offset: int,
    *,
    timestamp_ms: int | None = None,
    headers: Headers = (),
) -> ProductEvent:
    """
    Read one record of the activity topic, or one line of a file without its line end.

    *timestamp_ms* is the record's Kafka timestamp; None or negative means that it has none, and then
    an event may lie in the future. The first form that fits counts: CloudEvents, Segment, PostHog,
    native (R11), each recognised by fields that are there and not absent (R5).

    Raises:
        InvalidEvent: *value* is no product event. Nothing else is ever raised, whatever the bytes and
            the headers. Of several faults the first of the contract's order is named (R10).
    """
    if len(value) > RECORD_BYTES_MAX:
        raise InvalidEvent("too_large", "", f"over {RECORD_BYTES_MAX} bytes")
    try:
        record = loads(value)
    except JSONDecodeError:
        # The parser's exception carries the whole record, so it is not passed on.
        raise _why_no_json(value) from None
    # What settles most records without a call: no array, and too short for so many objects, or too few of them.
    if (
        ARRAY_START in value
        or (len(value) > OBJECTS_ONLY_BYTES_MAX and OBJECT_START in value.replace(b"{", b" ", DEPTH_MAX))
    ) and is_too_deep(value):
        raise _too_deep()
    if record.__class__ is not dict:
        raise InvalidEvent("not_object", "", "JSON, but not an object")
    latest_ms = LATEST_MS
    if timestamp_ms is not None and 0 <= timestamp_ms < _LATEST_THAT_LIMITS_MS:
        latest_ms = timestamp_ms + AHEAD_MS_MAX
    if headers:
        binary = binary_record(headers, record)
        if binary is not None:
            return read_cloud_event(binary, latest_ms, topic, partition, offset, names=BINARY)
    try:
        return plain_event(record, latest_ms, topic, partition, offset) or _read_carefully(
            record, latest_ms, topic, partition, offset
        )
    except InvalidEvent as fault:
        raise _as_written(fault, value) from None


def _read_carefully(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent:
    if not is_absent(record.get("specversion")):
        return read_cloud_event(record, latest_ms, topic, partition, offset, names=STRUCTURED)
    if is_segment(record):
        return read_segment(record, latest_ms, topic, partition, offset)
    if is_posthog(record):
        return read_posthog(record, latest_ms, topic, partition, offset)
    return read_native(record, latest_ms, topic, partition, offset)


_fields_as_written = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _as_written(fault: InvalidEvent, value: bytes) -> InvalidEvent:
    """*fault*, unless 1e30 passed for an integer: to the parser they are the same, but not to the contract (R8)."""
    if fault.detail != BEYOND_INTEGERS:
        return fault
    number = bytes(_fields_as_written(value)[fault.field])
    return fault if number.removeprefix(b"-").isdigit() else InvalidEvent("bad_type", fault.field, NO_TIME)


def _why_no_json(value: bytes) -> InvalidEvent:
    try:
        value.decode()
    except UnicodeDecodeError:
        return InvalidEvent("not_utf8", "", "not valid UTF-8")
    if is_too_deep(value):
        return _too_deep()
    return InvalidEvent("not_json", "", "not valid JSON")


def _too_deep() -> InvalidEvent:
    return InvalidEvent("too_deep", "", f"more than {DEPTH_MAX} arrays and objects open at once")
