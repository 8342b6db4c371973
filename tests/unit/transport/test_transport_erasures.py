"""Exactly once: a log with markers of transactions in memory, and somebody who erases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pytest

from pql_stream.errors import StreamLost
from pql_stream.stream.transport.changelog import Row
from pql_stream.stream.transport.erasures import Erasures
from pql_stream.stream.transport.producing import Span


class Entry(NamedTuple):
    """A record; without a key the marker of a transaction."""

    key: bytes | None
    value: bytes | None
    ours: bool


class Log:
    """One partition, how far it is committed, and how often it was read."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.open_from: int | None = None
        self.reads = 0

    async def end_offset(self, partition: int) -> int:
        """The end of what is committed."""
        return len(self.entries) if self.open_from is None else self.open_from

    async def erased_between(self, partition: int, first: int, end: int, *, ours: bool) -> list[bytes]:
        """Foreign tombstones."""
        assert ours or self.open_from is None, "to wait for the end of our own transaction is to wait for ever"
        self.reads += 1
        found = self.entries[first:end]
        return [entry.key for entry in found if entry.key is not None and entry.value is None and not entry.ours]


class World:
    """A log, the rows of a store, and an owner between them."""

    def __init__(self) -> None:
        self.log = Log()
        self.rows: dict[bytes, bytes] = {}
        self.offset = -1
        self.erasures = Erasures(self.log, lambda: self)
        self.erasures.own(0, 0)

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows that are there."""
        return {key: self.rows[key] for key in keys if key in self.rows}

    def put_many(self, partition: int, rows: Sequence[Row], offset: int) -> None:
        """Store."""
        for key, value in rows:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.offset = offset

    def append(self, *rows: Row, ours: bool = False) -> Span:
        """Somebody writes."""
        self.log.entries += [Entry(key, value, ours) for key, value in rows]
        return Span(len(self.log.entries) - len(rows), len(self.log.entries) - 1)

    def marker(self) -> None:
        """The broker ends a transaction."""
        self.log.open_from = None
        self.log.entries.append(Entry(None, None, ours=True))

    async def write(self, *rows: Row, batch_rows: int = 100, between: Sequence[Row] = (), marked: bool = True) -> None:
        """A transaction of ours, as the table makes it; somebody else writes *between* its batches."""
        self.log.open_from = len(self.log.entries)
        spans = []
        for start in range(0, len(rows), batch_rows):
            spans.append(self.append(*rows[start : start + batch_rows], ours=True))
            if start == 0:
                self.append(*between)
        last = spans[-1].last
        gone = [(key, None) for key in await self.erasures.within(0, spans)]
        if gone:
            last = self.append(*gone, ours=True).last
        if marked:
            self.marker()
        self.log.open_from = None
        self.put_many(0, [*rows, *gone], last)
        self.erasures.committed(0, last)

    def left(self) -> dict[bytes, bytes]:
        """What compaction would leave."""
        rows = {entry.key: entry.value for entry in self.log.entries if entry.key is not None}
        return {key: value for key, value in rows.items() if value is not None}


@pytest.fixture
def world() -> World:
    """The owner of an empty partition."""
    return World()


async def test_nothing_is_read_while_nobody_else_writes(world):
    """
    Our own records and the markers of their transactions are known, whether a check comes between them or not.
    """
    for number in range(5):
        await world.write((b"%d" % number, b"x"), (b"a", b"%d" % number))
        if number % 2:
            await world.erasures.check(0)

    assert 0 == world.log.reads
    assert {0: len(world.log.entries)} == world.erasures.next_offsets()


async def test_what_is_erased_between_two_batches_goes(world):
    """
    The log has it right already: nothing is written, and the store follows.
    """
    await world.write((b"a", b"1"), (b"b", b"2"))
    world.append((b"a", None))
    length = len(world.log.entries)
    await world.erasures.check(0)

    assert {b"b": b"2"} == world.rows == world.left()
    assert (length, length - 1) == (len(world.log.entries), world.offset)


async def test_a_row_that_is_written_behind_a_tombstone_goes_in_the_same_transaction(world):
    """
    It was made of what is to be forgotten.
    """
    await world.write((b"a", b"1"))
    world.append((b"a", None))
    await world.write((b"a", b"11"), (b"b", b"2"))

    assert {b"b": b"2"} == world.rows == world.left()


async def test_a_tombstone_between_two_batches_of_one_transaction_counts(world):
    """
    It lies where only readers of what is not committed yet see it.
    """
    await world.write((b"a", b"1"))
    await world.write((b"b", b"2"), (b"c", b"3"), (b"a", b"11"), batch_rows=2, between=[(b"a", None)])

    assert {b"b": b"2", b"c": b"3"} == world.rows == world.left()


async def test_a_row_that_was_erased_can_be_made_anew(world):
    """
    What is written after the owner knows of the erasure stays.
    """
    await world.write((b"a", b"1"))
    world.append((b"a", None))
    await world.erasures.check(0)
    await world.write((b"a", b"new"))

    assert {b"a": b"new"} == world.rows == world.left()


async def test_a_tombstone_in_front_of_the_marker_is_seen_when_both_are_there(world):
    """
    One offset behind our rows may be either. Their number tells as soon as the marker is written, which it will be.
    """
    await world.write((b"a", b"1"), marked=False)
    world.append((b"a", None))
    await world.erasures.check(0)
    world.marker()
    await world.erasures.check(0)

    assert {} == world.rows == world.left()


async def test_a_marker_that_comes_after_a_look_costs_one_more_look(world):
    """
    It is not mistaken for somebody's record, nor somebody's record for it.
    """
    await world.write((b"a", b"1"), (b"b", b"2"), marked=False)
    world.append((b"a", None), (b"x", b"nobody's"))
    await world.erasures.check(0)
    world.marker()
    world.append((b"b", None))
    await world.erasures.check(0)

    assert {} == world.rows


async def test_a_partition_that_went_away_is_not_touched(world):
    """
    Neither its log is looked at nor its store written.
    """
    await world.write((b"a", b"1"))
    world.append((b"a", None))
    world.erasures.release()
    await world.erasures.check(0)

    with pytest.raises(StreamLost):
        await world.erasures.within(0, [Span(9, 9)])
    assert ({b"a": b"1"}, 0) == (world.rows, world.log.reads)


async def test_a_partition_that_goes_away_during_a_look_is_not_written(world):
    """
    Its store may be somebody else's by then.
    """
    await world.write((b"a", b"1"))
    world.append((b"a", None))
    read = world.log.erased_between

    async def read_and_lose(*args, **options):
        world.erasures.release()
        return await read(*args, **options)

    world.log.erased_between = read_and_lose
    await world.erasures.check(0)

    assert {b"a": b"1"} == world.rows
