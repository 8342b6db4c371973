"""CloudEvents 1.0: attributes in Kafka headers (binary mode) or in the JSON (structured mode)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pql_stream.core.events import ProductEvent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.forms.fields import (
    CHARACTERS_MAX,
    is_absent,
    missing,
    read_id,
    read_name,
    read_object,
    read_user_id,
)
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


def binary_attributes(headers: Sequence[tuple[str, bytes]]) -> dict[str, object] | None:
    """
    The attributes in *headers*, by their `BINARY` names; None if the record is not in binary mode.

    Of several headers of one name the last counts, as of several keys in an object (R4). What is no
    UTF-8 stays bytes, for the reader of the field to refuse.
    """
    if not any(name == "ce_specversion" for name, _ in headers):
        return None
    values = dict(headers)
    if is_absent(_text(values["ce_specversion"])):
        return None
    return {name: _text(values.get(name)) for name in BINARY}


def _text(value: bytes | None) -> object:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def read_cloud_event(
    attributes: Mapping[str, Any],
    names: AttributeNames,
    data: Any,
    latest_ms: int,
    topic: str,
    partition: int,
    offset: int,
) -> ProductEvent:
    """
    The event in *attributes*, which are called *names*, and *data*; read in the contract's order (R10).

    Raises:
        InvalidEvent: missing_field, bad_type or bad_time.
    """
    get = attributes.get
    event_id = _read_event_id(get(names.source), get(names.id), names)
    subject = read_user_id(get(names.subject), names.subject)
    properties = read_object(data, "data")
    return ProductEvent(
        event_id,
        subject
        or read_user_id(properties.get("user_id"), "data.user_id")
        or missing(names.subject, "it is required, or data.user_id"),
        read_id(properties.get("account_id"), "data.account_id"),
        _read_name(get(names.type), names.type),
        parse_time_ms(get(names.time), names.time, latest_ms),
        properties,
        topic,
        partition,
        offset,
    )


def _read_event_id(source: Any, id_: Any, names: AttributeNames) -> str:
    # An id is unique within its source only.
    source = read_id(source, names.source) or missing(names.source)
    id_ = read_id(id_, names.id) or missing(names.id)
    event_id = f"{source}|{id_}"
    if len(event_id) > CHARACTERS_MAX:
        raise InvalidEvent(
            "bad_type", names.id, f"with {names.source} longer than {CHARACTERS_MAX} characters"
        )
    return event_id


def _read_name(type_: Any, field: str) -> str:
    # com.example.feature_used.v2 is feature_used: the reverse domain says whose, the version how.
    if type_.__class__ is str:
        path, dot, type_ = type_.strip().rpartition(".")
        if dot and _is_version(type_):
            type_ = path.rpartition(".")[2]
    return read_name(type_, field) or missing(field)


def _is_version(part: str) -> bool:
    return part[:1] == "v" and part[1:].isascii() and part[1:].isdigit()
