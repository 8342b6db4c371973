"""References to events: which one moved the points of a rule, and which one caused a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec


class EventRef(msgspec.Struct, frozen=True, gc=False):
    """An event by its id and where its record lies."""

    event_id: str
    topic: str
    partition: int
    offset: int


EncodedRef = bytes
"""
An `EventRef` as its JSON object, or ``null``: as records show it.

It is written once, when an event moves points, and from there on copied: into the row of its lead and into every
change of that lead until another event moves the same points.
"""

encode_ref: Callable[[EventRef | None], EncodedRef] = msgspec.json.Encoder().encode
_ref_decoder: msgspec.json.Decoder[EventRef | None] = msgspec.json.Decoder(EventRef | None)
decode_ref: Callable[[EncodedRef], EventRef | None] = _ref_decoder.decode
NO_REF: Final = encode_ref(None)
