"""CloudEvents 1.0: attributes in Kafka headers (binary mode) or in the JSON (structured mode)."""

from __future__ import annotations

from typing import Final, NamedTuple

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import ID_CHARS_MAX, is_absent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.forms.fields import (
    JsonObject,
    missing,
    read_id,
    read_name,
    read_object,
    read_user_id,
)
from pql_stream.wire.headers import Headers
from pql_stream.wire.times import parse_time_ms


class AttributeNames(NamedTuple):
    """What the attributes of one mode are called."""

    source: str
    id: str
    subject: str
    type: str
    time: str


BINARY: Final = AttributeNames("ce_source", "ce_id", "ce_subject", "ce_type", "ce_time")
STRUCTURED: Final = AttributeNames("source", "id", "subject", "type", "time")

MARK: Final = "ce_specversion"
"""The header that makes a record one of binary mode."""

NOT_TEXT: Final = object()
"""A header that is no UTF-8."""


def binary_record(headers: Headers, data: object) -> JsonObject | None:
    """
    The attributes in *headers* by their `BINARY` names, and *data*; None if the record is not in this mode.

    Of several headers of one name the last counts, as of several keys in an object (R4).
    """
    # A loop and no any(): records of other forms have headers too, and a generator costs as much as the scan.
    for name, _ in headers:
        if name == MARK:
            break
    else:
        return None
    values = dict(headers)
    if is_absent(_text(values[MARK])):
        return None
    record: JsonObject = {name: _text(values.get(name)) for name in BINARY}
    record["data"] = data
    return record


def _text(value: bytes | None) -> object:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        # Neither absent nor a text: whoever reads the field refuses it.
        return NOT_TEXT


def read_cloud_event(
    record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int, *, names: AttributeNames
) -> ProductEvent:
    """
    The event in *record*, whose attributes are called *names*; read in the contract's order (R10).

    `data` that is no object has no lead and no account in it; it is refused at its own turn, the last.

    Raises:
        InvalidEvent: missing_field, bad_type or bad_time.
    """
    get = record.get
    event_id = _read_event_id(record, names)
    subject = read_user_id(get(names.subject), names.subject)
    given = get("data")
    data: JsonObject = given if given.__class__ is dict else {}
    return ProductEvent(
        event_id,
        subject
        or read_user_id(data.get("user_id"), "data.user_id")
        or missing(names.subject, "it is required, or data.user_id"),
        read_id(data.get("account_id"), "data.account_id"),
        _read_name(get(names.type), names.type),
        parse_time_ms(get(names.time), names.time, latest_ms),
        read_object(given, "data"),
        topic,
        partition,
        offset,
    )


def _read_event_id(record: JsonObject, names: AttributeNames) -> str:
    # An id is unique within its source only.
    source = read_id(record.get(names.source), names.source) or missing(names.source)
    id_ = read_id(record.get(names.id), names.id) or missing(names.id)
    event_id = f"{source}|{id_}"
    if len(event_id) > ID_CHARS_MAX:
        raise InvalidEvent("bad_type", names.id, f"longer than {ID_CHARS_MAX} characters with {names.source}")
    return event_id


def _read_name(value: object, field: str) -> str:
    # com.example.feature_used.v2 is feature_used: the reverse domain says whose, the version how.
    if value.__class__ is not str:
        return read_name(value, field) or missing(field)
    path, dot, name = value.strip().rpartition(".")
    if dot and _is_version(name):
        name = path.rpartition(".")[2]
    return read_name(name, field) or missing(field)


def _is_version(part: str) -> bool:
    digits = part[1:]
    return part[:1] == "v" and digits.isascii() and digits.isdecimal()
