"""The changelog writer against a log in memory, with a second writer that should not be there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import pytest

from pql_stream.errors import StreamLost
from pql_stream.stream.transport.changelog import ChangelogWriter, Foreign, Row
from pql_stream.stream.transport.producing import Span


class Log:
    """One changelog partition; *before_send* runs before each batch of ours, as a zombie would."""

    def __init__(self) -> None:
        self.records: list[Row] = []
        self.before_send: list[Callable[[], None]] = []
        self.batch_rows = 100
        self.erasable = False

    async def send(self, partition: int, rows: Sequence[Row]) -> list[Span]:
        """Append, in batches."""
        spans = []
        for start in range(0, len(rows), self.batch_rows):
            if self.before_send:
                self.before_send.pop(0)()
            batch = rows[start : start + self.batch_rows]
            spans.append(Span(len(self.records), len(self.records) + len(batch) - 1))
            self.records += batch
        return spans

    async def foreign_between(self, partition: int, first: int, end: int) -> list[Foreign]:
        """Keys, each once; a tombstone erases where the log is that of a table that lets it."""
        erased = {key for key, row in self.records[first:end] if row is None and self.erasable}
        return [Foreign(key, key in erased) for key in dict.fromkeys(key for key, _ in self.records[first:end])]

    async def end_offset(self, partition: int) -> int:
        """The length."""
        return len(self.records)

    def rows(self) -> dict[bytes, bytes]:
        """What compaction would leave."""
        return {key: value for key, value in dict(self.records).items() if value is not None}


class Store:
    """Rows and offset of one partition."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.offset = -1

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


class World:
    """A log, a store, and the writer between them that owns partition 0."""

    def __init__(self) -> None:
        self.log, self.store = Log(), Store()
        self.leased = True
        self.writer = ChangelogWriter(self.log, lambda: self.store, self.confirm_lease)
        self.writer.own(0, 0)

    async def confirm_lease(self) -> None:
        """As the lease does."""
        if not self.leased:
            raise StreamLost("no lease")

    def foreign(self, *rows: Row) -> None:
        """Somebody else writes."""
        self.log.records += rows


@pytest.fixture
def world() -> World:
    """An owner of an empty partition."""
    return World()


async def test_rows_are_stored_with_the_offset_of_the_last(world):
    """
    Log and store hold the same rows, and the store knows how far it goes.
    """
    await world.writer.write(0, [(b"a", b"1"), (b"b", b"2")])
    await world.writer.write(0, [(b"a", None)])

    assert {b"b": b"2"} == world.store.rows == world.log.rows()
    assert 2 == world.store.offset
    assert {0: 3} == world.writer.next_offsets()


async def test_a_gap_before_a_write_is_repaired(world):
    """
    A foreign row of a key that is not in the write gets our stored row again, and a key that we do not know
    a tombstone.
    """
    await world.writer.write(0, [(b"a", b"1"), (b"b", b"2")])
    world.foreign((b"a", b"0"), (b"ghost", b"9"))
    await world.writer.write(0, [(b"b", b"3")])

    assert {b"a": b"1", b"b": b"3"} == world.store.rows == world.log.rows()
    assert len(world.log.records) - 1 == world.store.offset
    assert 2 == world.writer.repaired_count


async def test_a_gap_between_the_batches_of_a_write_gets_the_new_row_again(world):
    """
    The foreign row came after the first batch of the write, which is not stored yet: the row being written
    counts.
    """
    world.log.batch_rows = 1
    world.log.before_send = [lambda: None, lambda: world.foreign((b"a", b"0"))]
    await world.writer.write(0, [(b"a", b"1"), (b"b", b"2")])

    assert {b"a": b"1", b"b": b"2"} == world.store.rows == world.log.rows()


async def test_a_foreign_row_during_the_repair_is_repaired_too(world):
    """
    The writer goes on until one of its writes has met no gap.
    """
    await world.writer.write(0, [(b"a", b"1")])
    world.log.before_send = [lambda: world.foreign((b"a", b"0")) for _ in range(3)]
    await world.writer.write(0, [(b"b", b"2")])

    assert {b"a": b"1", b"b": b"2"} == world.log.rows()


async def test_a_writer_that_never_rests_ends_us(world):
    """
    Two owners that repair each other for ever would fill the log: we give up.
    """
    world.log.before_send = [lambda: world.foreign((b"a", b"0"))] * 1_000

    with pytest.raises(StreamLost, match="keeps writing"):
        await world.writer.write(0, [(b"b", b"2")])


async def test_an_idle_owner_repairs_what_is_behind_its_last_row(world):
    """
    A look at the end of the log finds the foreign row, without a write of ours.
    """
    await world.writer.write(0, [(b"a", b"1")])
    world.foreign((b"a", b"0"), (b"ghost", b"9"))
    await world.writer.check(0)

    assert {b"a": b"1"} == world.store.rows == world.log.rows()
    assert len(world.log.records) - 1 == world.store.offset

    length = len(world.log.records)
    await world.writer.check(0)

    assert length == len(world.log.records)


async def test_a_check_waits_for_the_write_under_way(world):
    """
    Rows of ours that are sent and not acknowledged yet are not taken for foreign ones.
    """
    writes = [world.writer.write(0, [(b"%d" % number, b"x")]) for number in range(5)]
    await asyncio.gather(*writes, *(world.writer.check(0) for _ in range(5)))

    assert 5 == len(world.log.records)
    assert 0 == world.writer.repaired_count


async def test_without_a_lease_nothing_is_written(world):
    """
    Neither a write nor a repair: a zombie that repaired would overwrite the new owner's rows.
    """
    world.leased = False
    world.foreign((b"a", b"0"))

    with pytest.raises(StreamLost):
        await world.writer.write(0, [(b"b", b"2")])
    with pytest.raises(StreamLost):
        await world.writer.check(0)
    assert [(b"a", b"0")] == world.log.records
    assert (-1, {}) == (world.store.offset, world.store.rows)


async def test_a_partition_that_is_not_owned_is_not_written(world):
    """
    After the release, and before a recovery, there is no offset to go on from.
    """
    await world.writer.release()

    with pytest.raises(StreamLost):
        await world.writer.write(0, [(b"a", b"1")])
    await world.writer.check(0)
    assert [] == world.log.records


async def test_a_log_that_went_back_ends_us(world):
    """
    An offset below the expected one means that the topic was made anew, or lost what it had acknowledged.
    """
    world.writer.own(0, 50)

    with pytest.raises(StreamLost, match="went back"):
        await world.writer.write(0, [(b"a", b"1")])


@pytest.fixture
def erasable(world) -> World:
    """The owner of a partition of a table whose rows others may erase; it has two rows."""
    world.log.erasable = True
    return world


async def test_a_foreign_tombstone_erases_the_row(erasable):
    """
    The owner takes its row away instead of writing it again, and says so by a tombstone of its own.
    """
    await erasable.writer.write(0, [(b"a", b"1"), (b"b", b"2")])
    erasable.foreign((b"a", None))
    await erasable.writer.check(0)

    assert {b"b": b"2"} == erasable.store.rows == erasable.log.rows()
    assert (b"a", None) == erasable.log.records[-1]
    assert len(erasable.log.records) - 1 == erasable.store.offset


async def test_a_row_that_is_written_behind_a_tombstone_is_erased_too(erasable):
    """
    What is being written was made of the row that is to be forgotten: it goes with it, and the rest is stored.
    """
    await erasable.writer.write(0, [(b"a", b"1")])
    erasable.foreign((b"a", None))
    await erasable.writer.write(0, [(b"a", b"11"), (b"b", b"2")])

    assert {b"b": b"2"} == erasable.store.rows == erasable.log.rows()


async def test_a_row_that_was_erased_can_be_made_anew(erasable):
    """
    What is written after the owner knows of the erasure stays.
    """
    await erasable.writer.write(0, [(b"a", b"1")])
    erasable.foreign((b"a", None))
    await erasable.writer.check(0)
    await erasable.writer.write(0, [(b"a", b"new")])

    assert {b"a": b"new"} == erasable.store.rows == erasable.log.rows()


async def test_a_late_row_does_not_undo_an_erasure(erasable):
    """
    A zombie's row of the same key, before or behind the tombstone and in the same gap, changes nothing.
    """
    await erasable.writer.write(0, [(b"a", b"1")])
    erasable.foreign((b"a", b"0"), (b"a", None), (b"a", b"0"))
    await erasable.writer.check(0)

    assert {} == erasable.store.rows == erasable.log.rows()


async def test_an_erasure_during_the_repair_of_another_row_counts(erasable):
    """
    The tombstone comes between two of our writes: also what was read of the store before it goes.
    """
    await erasable.writer.write(0, [(b"a", b"1"), (b"b", b"2")])
    erasable.foreign((b"a", b"0"))
    erasable.log.before_send = [lambda: erasable.foreign((b"a", None))]
    await erasable.writer.check(0)

    assert {b"b": b"2"} == erasable.store.rows == erasable.log.rows()


async def test_a_tombstone_in_a_table_that_nobody_may_erase_is_repaired(world):
    """
    There it is a zombie's like any other record.
    """
    await world.writer.write(0, [(b"a", b"1")])
    world.foreign((b"a", None))
    await world.writer.check(0)

    assert {b"a": b"1"} == world.store.rows == world.log.rows()
