"""What somebody did in the product: the one value that every input form becomes."""

from __future__ import annotations

from typing import Any

import msgspec

Properties = dict[str, Any]
"""The event's own properties as JSON values: str, int, float, bool, None, list, dict."""


class ProductEvent(msgspec.Struct, frozen=True, gc=False):
    """
    One accepted event.

    *event_id*, *lead_id*, *account_id* and *name* are trimmed and 1-256 characters long; an
    anonymous lead's id begins with ``anon:``. *occurred_at_ms* is milliseconds since 1970, UTC.
    *topic*, *partition* and *offset* say where the producer's record lies; for a file they are its
    name, 0 and the line number from 1. A Struct, because a frozen dataclass takes ten times as long
    to build and one is built for each event; out of the garbage collector's sight, because JSON values have no cycles.
    """

    event_id: str
    lead_id: str
    account_id: str | None
    name: str
    occurred_at_ms: int
    properties: Properties
    topic: str
    partition: int
    offset: int
