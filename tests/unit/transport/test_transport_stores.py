"""What the stores of a table hold after a recovery, and what a killed worker leaves of it."""

from __future__ import annotations

import shutil
import sys
from itertools import count
from pathlib import Path

import pytest
from faust.types import TP

from pql_stream.stream.connection import Connection
from pql_stream.testing.builders import Record

OURS = TP("counts-changelog", 0)


@pytest.fixture
def store_in(monkeypatch):
    """Makes the store of a table whose files lie in a directory."""
    monkeypatch.setattr(sys, "argv", ["pql-stream"])  # Faust reads it when it is imported
    from pql_stream.stream.transport import BatchApp, TransportSettings
    from pql_stream.stream.transport.stores import STORE_URLS

    def make(directory: Path, kind: str = "rocksdb"):
        app = BatchApp(
            "app",
            connection=Connection(bootstrap="localhost:1"),
            settings=TransportSettings(),
            store=STORE_URLS[kind],
            datadir=str(directory),
        )
        return app.batch_table("counts", partitions=1, changelog=OURS.topic).data

    return make


@pytest.fixture
def killed(tmp_path):
    """What is on the disk now, as a kill -9 would leave it: a directory of its own."""
    numbers = count()

    def copy(directory: Path) -> Path:
        return shutil.copytree(directory, tmp_path / f"killed-{next(numbers)}")

    return copy


def changes(*rows: tuple[bytes | None, bytes | None]) -> list[Record]:
    """Records of a changelog."""
    return [Record(OURS.topic, 0, offset, 1_000, key, value) for offset, (key, value) in enumerate(rows)]


def state(store) -> tuple[int, dict[bytes, bytes]]:
    """The offset, and all rows."""
    return store.persisted_offset(OURS), store.get_many(0, store.keys_of(0))


def options(directory: Path) -> str:
    """The options that RocksDB wrote down last."""
    return max(directory.rglob("OPTIONS-*")).read_text()


@pytest.mark.parametrize("kind", ["memory", "rocksdb"])
async def test_what_is_loaded_is_the_last_word_on_each_key(store_in, tmp_path, kind):
    """Later records win, one without a value deletes, an empty value is none, and one without a key says nothing."""
    store = store_in(tmp_path, kind)
    await store.on_rebalance({OURS}, set(), {OURS})
    store.load_many(0, changes((b"a", b"1"), (b"b", b"1"), (b"c", b"1"), (b"d", b"1")), 3)
    store.load_many(0, changes((b"a", b"2"), (b"b", None), (b"c", b""), (None, b"9"), (b"gone", None)), 8)

    assert (8, {b"a": b"2", b"d": b"1"}) == state(store)


def test_a_crash_while_rows_are_loaded_leaves_those_before_its_offset(store_in, tmp_path, killed):
    """What is settled is on the disk; what was loaded behind it is gone, and the offset does not tell of it."""
    store = store_in(tmp_path / "data")
    store.load_many(0, changes((b"a", b"1"), (b"b", b"1")), 1)
    nothing = killed(tmp_path / "data")
    store.settle(0)
    store.load_many(0, changes((b"a", b"2"), (b"c", b"2")), 3)
    half = killed(tmp_path / "data")

    assert (3, {b"a": b"2", b"b": b"1", b"c": b"2"}) == state(store)
    assert (-1, {}) == state(store_in(nothing))
    assert (1, {b"a": b"1", b"b": b"1"}) == state(store_in(half))


def test_what_is_put_behind_loaded_rows_does_not_outlive_them(store_in, tmp_path, killed):
    """A put is durable at once, so the rows that were loaded before it must be; and it stays so after it."""
    store = store_in(tmp_path / "data")
    store.load_many(0, changes((b"a", b"1"), (b"b", b"1")), 1)
    store.put_many(0, [(b"b", None), (b"c", b"2")], 3)
    store.put_many(0, [(b"d", b"3")], 4)

    assert (4, {b"a": b"1", b"c": b"2", b"d": b"3"}) == state(store_in(killed(tmp_path / "data")))


def test_while_rows_are_loaded_they_are_rarely_compacted(store_in, tmp_path):
    """From the first rows of a recovery until it is settled, and again in the next one."""
    store = store_in(tmp_path)
    seen = []
    for step in (lambda: store.load_many(0, changes((b"a", b"1")), 0), lambda: store.settle(0)) * 2:
        step()
        seen.append("level0_file_num_compaction_trigger=32\n" in options(tmp_path))

    assert [True, False, True, False] == seen


async def test_a_partition_that_comes_back_is_settled_until_it_is_loaded(store_in, tmp_path):
    """RocksDB remembers its options: those of a recovery that had no end must not stay for ever."""
    store = store_in(tmp_path)
    seen = []

    async def see(assigned: set[TP], revoked: set[TP]) -> None:
        await store.on_rebalance(assigned, revoked, assigned)
        seen.append("level0_file_num_compaction_trigger=4\n" in options(tmp_path))

    await see({OURS}, set())
    store.load_many(0, changes((b"a", b"1")), 0)
    await see(set(), {OURS})
    await see({OURS}, set())
    store.load_many(0, changes((b"b", b"1")), 1)
    await see(set(), set())

    assert [True, False, True, False] == seen
