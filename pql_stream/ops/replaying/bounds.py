"""Where a range of a topic begins or ends, as people write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pql_stream.core.values import INT64_MAX
from pql_stream.errors import InvalidEvent
from pql_stream.wire.times import EARLIEST_MS, parse_time_ms

_PARTITION_OFFSETS = re.compile(r"[0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*")


@dataclass(frozen=True, slots=True)
class TimeBound:
    """In each partition the first record of which Kafka's timestamp is that late."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class OffsetBound:
    """The record at *offset* of each partition."""

    offset: int


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """The records at these offsets, by partition; the others are not bounded."""

    offsets: Mapping[int, int]


Bound = TimeBound | OffsetBound | PartitionOffsets


def parse_bound(text: str) -> Bound:
    """
    A time as events have it, an offset, or `PARTITION:OFFSET,...`.

    A number is a time where it can be one, in milliseconds from the year 2000 on: no partition has so many records.

    Raises:
        ValueError: it is none of them.
    """
    text = text.strip()
    if _PARTITION_OFFSETS.fullmatch(text):
        pairs = [pair.split(":") for pair in text.split(",")]
        offsets = {int(partition): _offset(offset) for partition, offset in sorted(pairs)}
        if len(offsets) < len(pairs):
            raise ValueError(f"{text!r} names a partition twice")
        return PartitionOffsets(offsets)
    if text.isascii() and text.isdecimal():
        number = _offset(text)
        return OffsetBound(number) if number < EARLIEST_MS else TimeBound(number)
    try:
        return TimeBound(parse_time_ms(text, ""))
    except InvalidEvent:
        raise ValueError(
            f"{text!r} is no time like 2026-01-05T10:00:00Z, no offset, and no offsets like 0:1500,3:980"
        ) from None


def _offset(digits: str) -> int:
    offset = int(digits) if len(digits) < len(str(INT64_MAX)) else INT64_MAX
    if offset == INT64_MAX:
        raise ValueError(f"{digits[:20]!r}: no offset is so high")
    return offset
