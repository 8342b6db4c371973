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
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from pql_stream.errors import StreamLost
from pql_stream.stream.transport.producing import Span

Row = tuple[bytes, bytes | None]

_ROUNDS_MAX = 20

log = logging.getLogger(__name__)


class Foreign(NamedTuple):
    """A key that somebody else has written a record of. *erases*: one of them takes the row away for good."""

    key: bytes
    erases: bool


class Rows(Protocol):
    """The local store of a table: a view of its changelog up to an offset."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows that are there."""

    def keys_of(self, partition: int) -> Iterator[bytes]:
        """The keys of all rows that are there now."""

    def put_many(self, partition: int, rows: Sequence[Row], offset: int) -> None:
        """Store *rows* (None deletes), and that the changelog is applied up to *offset*, in one step."""


class ChangelogPort(Protocol):
    """What the writer needs of Kafka."""

    async def send(self, partition: int, rows: Sequence[Row]) -> Sequence[Span]:
        """Write *rows* in order; the offsets they got."""

    async def foreign_between(self, partition: int, first: int, end: int) -> Sequence[Foreign]:
        """What the records from *first* up to, not including, *end* are about; each key once."""

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

        A row that was erased meanwhile is not stored: it was made of what is to be forgotten.

        Raises:
            StreamLost: the partition is not ours, or not any more.
        """
        if not rows:
            return
        async with self._locks[partition]:
            self._owned(partition)
            newest = dict(rows)
            last = await self._append(partition, rows, newest)
            self._rows().put_many(partition, list(newest.items()), last)

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
            foreign = await self._port.foreign_between(partition, first, end)
            self._next[partition] = end
            newest: dict[bytes, bytes | None] = {}
            last = end - 1
            if foreign:
                last = await self._append(partition, self._own_rows(partition, foreign, newest), newest)
            self._rows().put_many(partition, list(newest.items()), last)

    def _owned(self, partition: int) -> int:
        if partition not in self._next:
            raise StreamLost(
                f"changelog partition {partition} is not owned by this worker",
                why="the group gives it to another one, or we have not recovered it yet",
            )
        return self._next[partition]

    async def _append(self, partition: int, rows: Sequence[Row], newest: dict[bytes, bytes | None]) -> int:
        """
        Write *rows*, and own rows again for every foreign key, until no gap is left; the last offset.

        *newest* has what is to be stored afterwards, by key; what turns out to be erased is noted there.
        """
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

    async def _send(self, partition: int, rows: Sequence[Row]) -> list[Foreign]:
        """Write *rows*; what is foreign in the gaps before and between them."""
        foreign: list[Foreign] = []
        for span in await self._port.send(partition, rows):
            expected = self._owned(partition)
            if span.first < expected:
                raise StreamLost(
                    f"changelog partition {partition} went back from {expected} to {span.first}",
                    why="the topic was made anew, or has lost records",
                )
            if span.first > expected:
                foreign += await self._port.foreign_between(partition, expected, span.first)
            self._next[partition] = span.last + 1
        return foreign

    def _own_rows(self, partition: int, foreign: Sequence[Foreign], newest: dict[bytes, bytes | None]) -> list[Row]:
        """
        Our row of each key: what is being written, else what the store has, else a tombstone.

        Of an erased one a tombstone, too: a row of ours may lie behind the one that erases, made before we knew.
        """
        erased = {key for key, erases in foreign if erases}
        newest |= dict.fromkeys(erased)
        keys = list(dict.fromkeys(key for key, _ in foreign))
        if erased:
            log.info("changelog partition %d: %d rows were erased", partition, len(erased))
        if len(keys) > len(erased):
            again = len(keys) - len(erased)
            self.repaired_count += again
            log.warning("changelog partition %d: another worker wrote rows; writing %d again", partition, again)
        stored = self._rows().get_many(partition, [key for key in keys if key not in newest])
        return [(key, newest[key] if key in newest else stored.get(key)) for key in keys]
