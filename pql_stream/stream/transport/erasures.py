"""
Exactly once: what somebody else erases from a table whose rows are written in transactions.

Nobody else can write rows there, so nothing is repaired; but a tombstone needs no right to the partition. Which
offsets are ours is known, so a look at the end of the log tells whether there is anything to read: behind our last
record lies the marker of its transaction, and nothing else.

- In a transaction: what lies in front of our rows was there when they were not yet. What it erases is erased
  behind them, in the same transaction, so nobody ever sees a row that was made of what is to be forgotten.
- Between two batches: what lies behind our last rows. The log has it right already, and our store follows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from pql_stream.errors import StreamLost
from pql_stream.stream.transport.changelog import Rows
from pql_stream.stream.transport.producing import Span


class ErasurePort(Protocol):
    """What is needed of Kafka."""

    async def end_offset(self, partition: int) -> int:
        """The end of what is committed of *partition*."""

    async def erased_between(self, partition: int, first: int, end: int, *, ours: bool) -> Collection[bytes]:
        """
        The keys that are erased from *first* up to, not including, *end*.

        *ours*: a transaction of ours is open, and has records there.
        """


@dataclass(slots=True)
class _Part:
    """Everything before *known* was looked at. Of what is behind it, *markers* offsets are our own transaction's."""

    known: int
    markers: int = 0

    @property
    def next(self) -> int:
        """What lies before this offset, and not before *known*, is no record."""
        return self.known + self.markers


class Erasures:
    """Watches the owned partitions of one changelog. A partition's batches, and its checks, come one at a time."""

    def __init__(self, port: ErasurePort, rows: Callable[[], Rows]) -> None:
        self._port = port
        self._rows = rows
        self._parts: dict[int, _Part] = {}

    def next_offsets(self) -> dict[int, int]:
        """The owned partitions, and the end that each has if nobody else has written to it."""
        return {partition: part.next for partition, part in self._parts.items()}

    def own(self, partition: int, next_offset: int) -> None:
        """*partition* is ours, and recovered up to *next_offset*."""
        self._parts[partition] = _Part(next_offset)

    def release(self) -> None:
        """Own nothing."""
        self._parts.clear()

    async def within(self, partition: int, spans: Sequence[Span]) -> Collection[bytes]:
        """
        What was erased in front of, or between, *spans*, which our open transaction has written.

        Raises:
            StreamLost: the partition is not ours.
        """
        part = self._owned(partition)
        end = spans[-1].last + 1
        written = sum(span.last - span.first + 1 for span in spans)
        if end - written <= part.next:
            return ()
        return await self._port.erased_between(partition, part.known, end, ours=True)

    def committed(self, partition: int, last: int) -> None:
        """The transaction that was last asked about is committed; its last record here has the offset *last*."""
        part = self._parts.get(partition)
        if part is not None:
            part.known, part.markers = last + 1, 1

    async def check(self, partition: int) -> None:
        """Take out of the store what was erased behind our last rows."""
        part = self._parts.get(partition)
        if part is None:
            return
        end = await self._port.end_offset(partition)
        if end <= part.next:
            return
        erased = await self._port.erased_between(partition, part.known, end, ours=False)
        if self._parts.get(partition) is not part:
            return  # it went away meanwhile, and its store with it
        self._rows().put_many(partition, [(key, None) for key in erased], end - 1)
        # The marker is counted as read. If it was not written yet, it is read in vain the next time.
        part.known, part.markers = end, 0

    def _owned(self, partition: int) -> _Part:
        part = self._parts.get(partition)
        if part is None:
            raise StreamLost(f"changelog partition {partition} is not owned by this worker")
        return part
