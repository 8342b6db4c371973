"""
One writer per changelog partition, and what to do when there were two.

A worker that was frozen past its session and wakes up may write rows after the new owner did, and
compaction would keep the older row. A changelog partition has one writer, so the offsets it gets follow
each other: an owner that sees a gap reads the foreign records in it, and writes its own row again for each
of their keys.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from pql_stream.errors import StreamLost
from pql_stream.stream.transport.producing import Span

Row = tuple[bytes, bytes | None]

_ROUNDS_MAX = 20

log = logging.getLogger(__name__)


class Rows(Protocol):
    """The local store of a table: a view of its changelog up to an offset."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows that are there."""

    def put_many(self, partition: int, rows: Sequence[Row], offset: int) -> None:
        """Store *rows* (None deletes), and that the changelog is applied up to *offset*, in one step."""


class ChangelogPort(Protocol):
    """What the writer needs of Kafka."""

    async def send(self, partition: int, rows: Sequence[Row]) -> Sequence[Span]:
        """Write *rows* in order; the offsets they got."""

    async def keys_between(self, partition: int, first: int, end: int) -> Sequence[bytes]:
        """The keys of the records from *first* up to, not including, *end*; each once."""

    async def end_offset(self, partition: int) -> int:
        """The offset that the next record will get."""


class ChangelogWriter:
    """Writes the owned partitions of one changelog, and watches that nobody else does."""

    def __init__(
        self,
        port: ChangelogPort,
        rows: Callable[[], Rows],
        confirm_lease: Callable[[], Awaitable[None]],
    ) -> None:
        self._port = port
        self._rows = rows
        self._confirm_lease = confirm_lease
        self._next: dict[int, int] = {}
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.repaired_count = 0
        self.term = 0

    def next_offsets(self) -> dict[int, int]:
        """The owned partitions, and the offset that our next record must get."""
        return dict(self._next)

    def own(self, partition: int, next_offset: int) -> None:
        """*partition* is ours, and recovered up to *next_offset*."""
        self.term += 1
        self._next[partition] = next_offset

    async def release(self) -> None:
        """Own nothing; waits for the writes under way."""
        self.term += 1
        for partition in list(self._next):
            async with self._locks[partition]:
                del self._next[partition]

    async def write(self, partition: int, rows: Sequence[Row]) -> None:
        """
        Make *rows* durable in the changelog, and then, with its offset, in the store.

        Raises:
            StreamLost: the partition is not ours, or not any more.
        """
        if not rows:
            return
        async with self._locks[partition]:
            self._owned(partition)
            last = await self._append(partition, rows)
            self._rows().put_many(partition, rows, last)

    async def check(self, partition: int) -> None:
        """
        Repair what somebody else wrote behind our last row.

        Raises:
            StreamLost: the partition is not ours any more.
        """
        async with self._locks[partition]:
            if partition not in self._next:
                return
            # Under the lock none of our own writes is under way, so whatever is there is foreign.
            end = await self._port.end_offset(partition)
            first = self._next[partition]
            if end <= first:
                return
            foreign = await self._port.keys_between(partition, first, end)
            self._next[partition] = end
            last = await self._append(partition, self._own_rows(partition, foreign, {})) if foreign else end - 1
            self._rows().put_many(partition, (), last)

    def _owned(self, partition: int) -> int:
        if partition not in self._next:
            raise StreamLost(
                f"changelog partition {partition} is not owned by this worker",
                why="the group gives it to another one, or we have not recovered it yet",
            )
        return self._next[partition]

    async def _append(self, partition: int, rows: Sequence[Row]) -> int:
        """Write *rows*, and own rows again for every foreign key, until no gap is left; the last offset."""
        newest = dict(rows)
        for _ in range(_ROUNDS_MAX):
            await self._confirm_lease()
            foreign = await self._send(partition, rows)
            if not foreign:
                return self._next[partition] - 1
            rows = self._own_rows(partition, foreign, newest)
        raise StreamLost(
            f"another worker keeps writing to changelog partition {partition}",
            why=f"its rows were still there after {_ROUNDS_MAX} repairs",
        )

    async def _send(self, partition: int, rows: Sequence[Row]) -> list[bytes]:
        """Write *rows*; the foreign keys in the gaps before and between them."""
        foreign: dict[bytes, None] = {}
        for span in await self._port.send(partition, rows):
            expected = self._owned(partition)
            if span.first < expected:
                raise StreamLost(
                    f"changelog partition {partition} went back from {expected} to {span.first}",
                    why="the topic was made anew, or has lost records",
                )
            if span.first > expected:
                foreign |= dict.fromkeys(await self._port.keys_between(partition, expected, span.first))
            self._next[partition] = span.last + 1
        return list(foreign)

    def _own_rows(self, partition: int, keys: Sequence[bytes], newest: dict[bytes, bytes | None]) -> list[Row]:
        """Our row of each key: what is being written, else what the store has, else a tombstone."""
        self.repaired_count += len(keys)
        log.warning("changelog partition %d: another worker wrote rows; writing %d again", partition, len(keys))
        stored = self._rows().get_many(partition, [key for key in keys if key not in newest])
        return [(key, newest[key] if key in newest else stored.get(key)) for key in keys]
