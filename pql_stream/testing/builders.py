"""Builders of events and records, for tests of packs and of whatever reads our topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from pql_stream.core.events import ProductEvent
from pql_stream.wire.headers import Headers

JAN_5_MS = 1_767_607_200_000
"""2026-01-05T10:00:00Z: when built events happen, unless told otherwise."""


class Record(NamedTuple):
    """A consumed record; *timestamp* is milliseconds, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def product_event(name: str, /, lead_id: str = "u1", **given: Any) -> ProductEvent:  # noqa: ANN401 - properties and fields
    """
    An event called *name*; keywords that are fields of `ProductEvent` are those, all others are properties.

    >>> product_event("feature_used", feature="reports", occurred_at_ms=0).properties
    {'feature': 'reports'}
    """
    fields: dict[str, Any] = {
        "event_id": "e1",
        "account_id": None,
        "occurred_at_ms": JAN_5_MS,
        "topic": "product-activity",
        "partition": 0,
        "offset": 0,
    }
    properties = {key: value for key, value in given.items() if key not in fields}
    fields |= {key: value for key, value in given.items() if key in fields}
    return ProductEvent(lead_id=lead_id, name=name, properties=properties, **fields)


def native_json(name: str, /, lead_id: str = "u1", **given: Any) -> bytes:  # noqa: ANN401 - as above
    """The bytes of a native event, from the same keywords as `product_event`."""
    event = product_event(name, lead_id, **given)
    fields: Mapping[str, Any] = {
        "event_id": event.event_id,
        "user_id": lead_id,
        "account_id": event.account_id,
        "event": name,
        "occurred_at": event.occurred_at_ms,
        "properties": event.properties,
    }
    return orjson.dumps(fields)
