"""Ranges of partitions as one sequence of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.replaying.fetching import Fetcher, is_end
from pql_stream.ops.replaying.merging import Merge, Placed
from pql_stream.ops.replaying.ranges import PartitionRange, Place
from pql_stream.replay.source import Recorded
from pql_stream.wire.headers import Headers
from pql_stream.wire.rekeyed import Origin, read_origin

BUFFER_BYTES = 64 * 1024 * 1024
"""What of all partitions may wait for records of others. One that has more than its share is held."""


class RangeReader:
    """
    The records of *ranges* from the offsets *nexts* on, in the order of `merging`.

    Records without a value are no events, and left out. A record of *rekeyed_topic* that the scorer wrote is given as
    the event's own record; it is left out where that lies in *ranges*, too.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        ranges: Sequence[PartitionRange],
        nexts: Sequence[int],
        *,
        rekeyed_topic: str,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._fetcher = fetcher
        self._ranges = ranges
        self._nexts = list(nexts)
        self._rekeyed_topic = rekeyed_topic
        self._numbers: dict[Place, int] = {(at.topic, at.partition): number for number, at in enumerate(ranges)}
        self._merge = Merge(len(ranges))
        self._unread = {number for number, at in enumerate(ranges) if self._nexts[number] < at.end}
        self._held: set[int] = set()
        self._short: dict[int, int] = {}
        self._bytes_max = buffer_bytes // len(ranges)
        for number in set(range(len(ranges))) - self._unread:
            self._merge.end(number)

    def read(self) -> Iterator[list[Placed]]:
        """
        Some records after the other.

        Raises:
            BrokerError: the ranges cannot be read to their ends.
        """
        while self._unread:
            try:
                messages = self._fetcher.some()
            except BrokerAway:
                self._see_ends()
                raise
            for message in messages:
                if message.error() is None:
                    self._take_in(message)
                elif is_end(message):
                    self._take_end(message)
            yield self._merge.take()
            self._pace()

    def _take_in(self, message: Message) -> None:
        topic, partition, offset = _place_of(message)
        number = self._numbers[topic, partition]
        at = self._ranges[number]
        # What was on its way when the partition was held is dropped, or comes twice.
        if number not in self._unread or number in self._held or offset < self._nexts[number]:
            return
        if offset < at.end:
            self._nexts[number] = offset + 1
            # Null and no bytes are tombstones (R25).
            if value := message.value():
                self._place(number, offset, value, message)
        if offset >= at.end - 1:
            self._end(number)

    def _place(self, number: int, offset: int, value: bytes, message: Message) -> None:
        kind, timestamp_ms = message.timestamp()
        if kind == TIMESTAMP_NOT_AVAILABLE:
            timestamp_ms = -1
        headers = cast("Headers", message.headers() or ())
        at = self._ranges[number]
        origin = Origin(at.topic, at.partition, offset, timestamp_ms)
        if at.topic == self._rekeyed_topic and (producers := read_origin(headers)) is not None:
            if self._covers(producers):
                return
            origin = producers
        recorded = Recorded(origin.topic, origin.partition, origin.offset, value, origin.timestamp_ms, headers)
        self._merge.add(number, offset, timestamp_ms, recorded)

    def _covers(self, origin: Origin) -> bool:
        """Whether the record at *origin* is read where it lies."""
        number = self._numbers.get((origin.topic, origin.partition))
        return number is not None and self._ranges[number].start <= origin.offset < self._ranges[number].end

    def _take_end(self, message: Message) -> None:
        """A partition has no record from here on. Nothing but markers of transactions may lie before our end of it."""
        topic, partition, offset = _place_of(message)
        number = self._numbers[topic, partition]
        if offset >= self._ranges[number].end:
            self._end(number)
        else:
            self._short[number] = offset

    def _end(self, number: int) -> None:
        if number in self._unread:
            self._unread.discard(number)
            self._merge.end(number)
            if number not in self._held:
                self._fetcher.hold(self._place_at(number))

    def _pace(self) -> None:
        """Hold what is too far ahead of the others, and let go on what is not any more."""
        for number in self._unread:
            waiting = self._merge.waiting_bytes(number)
            if number not in self._held and waiting > self._bytes_max:
                self._held.add(number)
                self._fetcher.hold(self._place_at(number))
            elif number in self._held and waiting < self._bytes_max // 2:
                self._held.discard(number)
                self._fetcher.release(self._place_at(number), self._nexts[number])

    def _place_at(self, number: int) -> Place:
        return self._ranges[number].topic, self._ranges[number].partition

    def _see_ends(self) -> None:
        """
        See whether nothing comes because there is nothing.

        Raises:
            BrokerError: a partition has ended before the end that it had when the ranges were fixed.
        """
        for number, offset in self._short.items():
            at = self._ranges[number]
            if number in self._unread:
                raise BrokerError(
                    f"partition {at.partition} of {at.topic} ends at offset {offset}, and ended at {at.end} before",
                    why="the topic was made anew, or a broker has lost records",
                    what_to_do="begin the replay anew",
                )


def _place_of(message: Message) -> tuple[str, int, int]:
    """Topic, partition and offset: whatever comes from a partition has all three."""
    return cast("str", message.topic()), cast("int", message.partition()), cast("int", message.offset())
