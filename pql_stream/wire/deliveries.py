"""
The record of `delivery-<sink>`, its parked and its dead-letter topic, version 1: one published record on its way to
one sink.

It carries the published record whole, and no contact data: that is looked up when it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pql_stream.core.routes import Action, Fields, RecordKind, Route, Scalar, delivery_id
from pql_stream.errors import InvalidEvent

SCHEMA = "delivery/1"

_ID_FIELD: dict[RecordKind, str] = {"score-changed": "change_id", "pql-qualified": "qualification_id"}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """
    One record going to one sink.

    *record* is the published record of topic *of*; *options* are its route's. *decided_at_ms*: when it was routed.
    *attempts* made so far, and *parked_at_ms* / *due_at_ms* (None until it is parked), are those of an item that
    waits alone; *first_failed_at_ms* is when it began to fail.
    """

    delivery_id: str
    schema: str = SCHEMA
    sink: str
    route: str
    action: Action
    lead_id: str
    of: RecordKind
    record: dict[str, Any]
    options: dict[str, Any]
    decided_at_ms: int
    attempts: int = 0
    first_failed_at_ms: int | None = None
    parked_at_ms: int | None = None
    due_at_ms: int | None = None


_decode = msgspec.json.Decoder(Delivery).decode
encode_delivery = msgspec.json.Encoder().encode


def decode_delivery(value: bytes) -> Delivery:
    """
    The delivery in a record.

    Raises:
        InvalidEvent: it is no delivery of this version.
    """
    try:
        delivery = _decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InvalidEvent("bad_type", "", str(exc)) from exc
    if delivery.schema != SCHEMA:
        raise InvalidEvent("bad_type", "schema", f"not {SCHEMA}")
    return delivery


def route_record(route: Route, kind: RecordKind, record: Mapping[str, Any], *, decided_at_ms: int) -> Delivery:
    """The delivery that *route* makes of a published *record* that it takes."""
    return Delivery(
        delivery_id=delivery_id(route, str(record[_ID_FIELD[kind]])),
        sink=route.sink,
        route=route.name,
        action=route.action,
        lead_id=str(record["lead_id"]),
        of=kind,
        record=dict(record),
        options=dict(route.options),
        decided_at_ms=decided_at_ms,
    )


def fields_of(record: Mapping[str, Any]) -> Fields:
    """
    The fields of a published record by dotted path.

    Of each contribution `input.<rule>` is what the rule looked at and `points.<rule>` what it gave. A rule that looks
    at several things has them as `input.<rule>.<thing>`.
    """
    fields: dict[str, Scalar] = dict(_flat(record, ""))
    for part in record.get("contributions", ()):
        fields.update(_flat({part["rule"]: part["input"]}, "input."))
        fields[f"points.{part['rule']}"] = part["points"]
    return fields


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Scalar]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{name}.")
        elif not isinstance(inner, list):
            yield f"{prefix}{name}", inner
