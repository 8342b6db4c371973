"""Ranges of partitions as one sequence of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.replaying.fetching import Fetcher, see_error
from pql_stream.ops.replaying.merging import Merge, Placed
from pql_stream.ops.replaying.ranges import PartitionRange, Place
from pql_stream.wire.headers import Headers
from pql_stream.wire.rekeyed import Origin, read_origin

BUFFER_BYTES = 64 * 1024 * 1024
"""What of all partitions may wait for records of others. One that has more than its share is held."""


class RangeReader:
    """
    The records of *ranges* from the offsets *nexts* on, in the order of `merging`.

    Records without a value are no events, and left out. Of a record of *rekeyed_topic* that the scorer wrote it is
    said where the event's own record lies; it is left out where that lies in *ranges*, too.
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
        # How far a partition's records are taken: to our end of it, and not at all while it is held.
        self._limits = [at.end for at in ranges]
        self._rekeyed = {number for number, at in enumerate(ranges) if at.topic == rekeyed_topic}
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
            self._take_in(messages)
            yield self._merge.take()
            self._pace()

    def _take_in(self, messages: Sequence[Message]) -> None:
        # Millions of times in a replay, and in each of its processes: so in one go, and as few calls as can be.
        numbers, nexts, limits, rekeyed, add = self._numbers, self._nexts, self._limits, self._rekeyed, self._merge.add
        for message in messages:
            if message.error() is not None:
                self._take_end(message)
                continue
            topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
            number = numbers[topic, partition]  # type: ignore[index] # a record has a place
            if offset >= limits[number]:  # type: ignore[operator] # as above
                self._pass_over(number, offset)  # type: ignore[arg-type] # as above
                continue
            nexts[number] = offset + 1  # type: ignore[operator] # as above
            if value:  # null and no bytes are tombstones (R25)
                kind, timestamp_ms = message.timestamp()
                if kind == TIMESTAMP_NOT_AVAILABLE:
                    timestamp_ms = -1
                # As a tuple: see `merging.Placed`.
                headers: Headers = tuple(message.headers() or ())  # type: ignore[arg-type] # texts and bytes
                origin = read_origin(headers) if number in rekeyed else None
                if origin is None or not self._covers(origin):
                    add(number, offset, timestamp_ms, value, headers, origin)  # type: ignore[arg-type] # as above
            if nexts[number] == limits[number]:
                self._end(number)

    def _pass_over(self, number: int, offset: int) -> None:
        """What lies behind our end says that this is reached; what was on its way when we held it comes twice."""
        if number in self._unread and number not in self._held and offset >= self._ranges[number].end:
            self._end(number)

    def _covers(self, origin: Origin) -> bool:
        """Whether the record at *origin* is read where it lies."""
        number = self._numbers.get((origin.topic, origin.partition))
        return number is not None and self._ranges[number].start <= origin.offset < self._ranges[number].end

    def _take_end(self, message: Message) -> None:
        """A partition has no record from here on. Nothing but markers of transactions may lie before our end of it."""
        see_error(message)
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        number = self._numbers[topic, partition]  # type: ignore[index] # the end of a partition has a place
        if number in self._held:
            return
        if offset >= self._ranges[number].end:  # type: ignore[operator] # as above
            self._end(number)
        else:
            self._short[number] = offset  # type: ignore[assignment] # as above

    def _end(self, number: int) -> None:
        if number in self._unread:
            self._unread.discard(number)
            self._merge.end(number)
            if number not in self._held:
                self._hold(number)

    def _pace(self) -> None:
        """Hold what is too far ahead of the others, and let go on what is not any more."""
        for number in self._unread:
            waiting = self._merge.waiting_bytes(number)
            if number not in self._held and waiting > self._bytes_max:
                self._held.add(number)
                self._hold(number)
            elif number in self._held and waiting < self._bytes_max // 2:
                self._held.discard(number)
                self._limits[number] = self._ranges[number].end
                self._fetcher.release(self._place_of(number), self._nexts[number])

    def _hold(self, number: int) -> None:
        self._limits[number] = -1
        self._fetcher.hold(self._place_of(number))

    def _place_of(self, number: int) -> Place:
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
