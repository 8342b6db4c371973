"""States of leads on the disk: a RocksDB of one process, which stores them together with how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import rocksdict

from pql_stream.errors import StoreError

_CHECKPOINT_KEY = b""
"""Ids are never empty, and any other name could be somebody's id."""
_BLOCK_CACHE_BYTES = 32 << 20
_WRITE_BUFFER_BYTES = 32 << 20
_BLOOM_BITS = 10
"""A lead seen for the first time is the most frequent question: without a filter it costs a look into every file."""


class Rows:
    """Rows by lead id, and one checkpoint: what was last written together with them."""

    def __init__(self, directory: Path) -> None:
        """
        Raises:
            StoreError: as every method, when the disk fails.
        """
        self._directory = directory
        with self._disk():
            self._db = rocksdict.Rdict(str(directory), _options())
        # In the middle of a replay nobody asks for what was written last: it is the end of a checkpoint.
        self._synced = rocksdict.WriteOptions()
        self._synced.sync = True

    def get(self, lead_id: str) -> bytes | None:
        """The row of a lead, None if it has none."""
        # Asked for most events where leads are many: without the `with` it takes a tenth less.
        try:
            row: bytes | None = self._db.get(lead_id.encode())
        except Exception as exc:
            raise self._failed(exc) from exc
        return row

    def checkpoint(self) -> bytes | None:
        """What `write` was given last; None before."""
        with self._disk():
            checkpoint: bytes | None = self._db.get(_CHECKPOINT_KEY)
        return checkpoint

    def write(self, rows: Iterable[tuple[str, bytes]], checkpoint: bytes) -> None:
        """Store *rows* and *checkpoint*: all of it or, however this process ends, nothing."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for lead_id, row in rows:
            batch.put(lead_id.encode(), row)
        batch.put(_CHECKPOINT_KEY, checkpoint)
        with self._disk():
            self._db.write(batch, self._synced)

    def in_order(self) -> Iterator[tuple[str, bytes]]:
        """All rows, by lead id: the order of UTF-8 bytes is that of code points."""
        with self._disk():
            # Of a database in raw mode all keys and values are bytes.
            for key, row in cast("Iterator[tuple[bytes, bytes]]", self._db.items()):
                if key != _CHECKPOINT_KEY:
                    yield key.decode(), row

    def close(self) -> None:
        """Let the directory go."""
        with self._disk():
            self._db.close()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            raise self._failed(exc) from exc

    def _failed(self, exc: Exception) -> StoreError:
        """What to raise for *exc*: rocksdict has no narrower class for what RocksDB reports."""
        return StoreError(
            f"the states in {self._directory} cannot be written or read",
            why=" ".join(str(exc).split()),
            what_to_do="make space, and run the same command again: it goes on",
        )


def _options() -> Any:  # noqa: ANN401 - rocksdict has no types
    table = rocksdict.BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, block_based=False)
    table.set_block_cache(rocksdict.Cache(_BLOCK_CACHE_BYTES))
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003 - rocksdict's signature
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(1)
    return options
