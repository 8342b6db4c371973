"""
Local stores of a batch table: rows of bytes by key and partition, with the changelog's offset. Memory, or
RocksDB.

What a recovery reads is loaded (`load_many`), and settled when it is over; what is ours is put (`put_many`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rocksdict
from faust.stores import memory, rocksdb
from faust.types import TP, AppT
from faust.types.tables import CollectionT
from yarl import URL

from pql_stream.errors import StoreError
from pql_stream.stream.transport.changelog import Row
from pql_stream.wire.records import SourceRecord

# Faust's own default for the block cache is 2 GiB a partition.
ROCKSDB_OPTIONS: Mapping[str, int] = {"block_cache_size": 32 << 20, "write_buffer_size": 16 << 20}

# Numbers of files at level 0, of one write buffer each: when they are compacted, when writes are slowed down for it,
# and when they wait. RocksDB's own keep reads quick. While a partition is loaded nobody reads it, and each row that is
# compacted in between is compacted again: so rarely, but not never, as every file is open.
_SETTLED = {
    "level0_file_num_compaction_trigger": "4",
    "level0_slowdown_writes_trigger": "20",
    "level0_stop_writes_trigger": "36",
}
_LOADING = {
    "level0_file_num_compaction_trigger": "32",
    "level0_slowdown_writes_trigger": "64",
    "level0_stop_writes_trigger": "96",
}
# Level 0, which is soon compacted, and all others.
_COMPRESSION = {"compression_per_level": "kNoCompression:kSnappyCompression"}


def rows_of(records: Iterable[SourceRecord]) -> Iterator[Row]:
    """What *records* of a changelog say. It takes none without a key, and an empty value is no row of ours."""
    return ((record.key, record.value or None) for record in records if record.key is not None)


class MemoryStore(memory.Store[Any, Any]):
    """
    A dict a partition, for the partitions that are assigned.

    It tells Recovery its offset, as a persistent store does: a partition that stays with us through a
    rebalance is not read again.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rows: dict[int, dict[bytes, bytes]] = {}
        self._offsets: dict[int, int] = {}

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows that are there."""
        rows = self._rows.get(partition, {})
        return {key: rows[key] for key in keys if key in rows}

    def keys_of(self, partition: int) -> Iterator[bytes]:
        """The keys of all rows that are there now."""
        return iter(list(self._rows.get(partition, {})))

    def put_many(self, partition: int, rows: Iterable[Row], offset: int) -> None:
        """Store *rows* (None deletes) and the changelog's *offset*."""
        stored = self._rows.get(partition)
        if stored is None:
            # What is still on its way when a partition goes would be the end of a view without its beginning.
            return
        for key, value in rows:
            if value is None:
                stored.pop(key, None)
            else:
                stored[key] = value
        self._offsets[partition] = offset

    def load_many(self, partition: int, records: Iterable[SourceRecord], offset: int) -> None:
        """Store what *records* of the changelog say, and its *offset*; one without a value deletes."""
        self.put_many(partition, rows_of(records), offset)

    def settle(self, partition: int) -> None:
        """Nothing is left to be done."""

    def persisted_offset(self, tp: TP) -> int:
        """The last offset of the changelog that is applied, -1 for none: see `RocksStore.persisted_offset`."""
        return self._offsets.get(tp.partition, -1)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],  # noqa: ARG002  # Faust's signature
        generation_id: int = 0,  # noqa: ARG002  # as above
    ) -> None:
        """Forget the partitions that went away: somebody else writes them now."""
        topics = self.table.changelog_topic.topics
        for tp in revoked:
            if tp.topic in topics:
                self._rows.pop(tp.partition, None)
                self._offsets.pop(tp.partition, None)
        for tp in assigned:
            if tp.topic in topics:
                self._rows.setdefault(tp.partition, {})


class _RocksOptions(rocksdb.RocksDBOptions):
    """Faust's, and ours that can be changed while a database is open."""

    def open(self, path: Path, *, read_only: bool = False) -> rocksdict.Rdict:
        """Open it as a settled one. A database that is there keeps what it had, also when it was killed in between."""
        database: rocksdict.Rdict = super().open(path, read_only=read_only)
        database.set_options({**_SETTLED, **_COMPRESSION})
        return database


class RocksStore(rocksdb.Store):
    """
    One RocksDB a partition, in the app's table directory; rows and offset go in by one write batch.

    RocksDB's own log holds what is put until it is in a file. What is loaded is on the cluster, and does without: a
    crash takes the rows that are in no file yet, and with them their offset, from which on they are read again. The
    log must not go on behind such rows, so they are settled first.
    """

    # The empty key: ids are never empty, and any other name could be somebody's id.
    offset_key = b""

    def __init__(
        self,
        url: str | URL,
        app: AppT,
        table: CollectionT,
        *,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  # Store's own options, handed on
    ) -> None:
        # Faust takes keys out of the dict it is given, so it gets one of its own.
        super().__init__(url, app, table, options={**ROCKSDB_OPTIONS, **(options or {})}, driver="rocksdict", **kwargs)
        self.rocksdb_options = _RocksOptions(**(self.options or {}), use_rocksdict=True)
        self._loading: set[int] = set()
        self._unlogged = rocksdict.WriteOptions()
        self._unlogged.disable_wal = True  # type: ignore[assignment,method-assign]  # a property, which the stub does not say

    def persisted_offset(self, tp: TP) -> int:
        """
        The last offset of the changelog that is applied, -1 for none.

        Faust's None would let Recovery go on from an offset of its own, which it keeps for a partition that
        went away when two rebalances follow each other closely: the rows before it would be missing.
        """
        with self._disk():
            offset = super().persisted_offset(tp)
        return -1 if offset is None else offset

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """
        The rows that are there.

        Raises:
            StoreError: the disk fails.
        """
        wanted = list(keys)
        with self._disk():
            values = self._db_for_partition(partition).get(wanted) if wanted else []
        return {key: value for key, value in zip(wanted, values, strict=True) if value is not None}

    def keys_of(self, partition: int) -> Iterator[bytes]:
        """
        The keys of all rows that are there now.

        Raises:
            StoreError: the disk fails.
        """
        with self._disk():
            yield from (key for key in self._db_for_partition(partition).keys() if key != self.offset_key)  # noqa: SIM118 - no dict

    def put_many(self, partition: int, rows: Iterable[Row], offset: int) -> None:
        """
        Store *rows* (None deletes) and the changelog's *offset*, in one step.

        Raises:
            StoreError: the disk is full, or fails; nothing of it is stored.
        """
        self.settle(partition)
        batch = self._batch(rows, offset)
        with self._disk():
            self._db_for_partition(partition).write(batch)

    def _batch(self, rows: Iterable[Row], offset: int) -> rocksdict.WriteBatch:
        batch = rocksdict.WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                put(key, value)
        put(self.offset_key, str(offset).encode())
        return batch

    def load_many(self, partition: int, records: Iterable[SourceRecord], offset: int) -> None:
        """
        Store what *records* of the changelog say, and its *offset*, in one step that `settle` makes durable.

        One without a value deletes.

        Raises:
            StoreError: the disk is full, or fails; nothing of it is stored.
        """
        batch = self._batch(rows_of(records), offset)
        with self._disk():
            database = self._db_for_partition(partition)
            if partition not in self._loading:
                database.set_options(_LOADING)
                self._loading.add(partition)
            database.write(batch, self._unlogged)

    def settle(self, partition: int) -> None:
        """
        Make durable what was loaded into *partition*, if anything was.

        Raises:
            StoreError: the disk is full, or fails.
        """
        if partition in self._loading:
            with self._disk():
                database = self._db_for_partition(partition)
                database.flush()
                database.set_options(_SETTLED)
            self._loading.discard(partition)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """
        Close the partitions that went away, and open the new ones.

        Raises:
            StoreError: one cannot be opened.
        """
        topics = self.table.changelog_topic.topics
        self._loading -= {tp.partition for tp in revoked if tp.topic in topics}
        with self._disk():
            await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # rocksdict has no narrower class for what RocksDB reports
            raise StoreError(
                f"the state in {self.path} cannot be written or read",
                why=" ".join(str(exc).split()),
                what_to_do="make space, or set PQL_DATA_DIR to another directory: it may be empty, the changelog on "
                "the cluster has the state",
            ) from exc


STORES: Mapping[str, type[MemoryStore | RocksStore]] = {"pqlmemory": MemoryStore, "pqlrocksdb": RocksStore}

STORE_URLS = {"memory": "pqlmemory://", "rocksdb": "pqlrocksdb://"}
"""How an app is told which: by the URL that Faust wants."""
