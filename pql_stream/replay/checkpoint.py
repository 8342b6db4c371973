"""How far one process of a replay is: what has to be known to go on as if nothing had happened."""

from __future__ import annotations

import msgspec

from pql_stream.replay.source import Position


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """
    *records* of the source are read, in *chunks*, up to *position*; the parts had *lengths* in bytes and *counts* of
    lines.

    *left_out* counts the events that the cut left out.
    """

    position: Position = None
    chunks: int = 0
    records: int = 0
    left_out: int = 0
    lengths: dict[str, int] = {}
    counts: dict[str, int] = {}

    def encoded(self) -> bytes:
        """As it is stored."""
        return msgspec.json.encode(self)

    @staticmethod
    def decoded(stored: bytes) -> Checkpoint:
        """What was `encoded`."""
        return _decode(stored)


_decode = msgspec.json.Decoder(Checkpoint).decode
