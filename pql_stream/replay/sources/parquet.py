"""
Parquet files as a source: a row is an event.

Either a column `value` has it as JSON, or there is a column for each field of the native form (CONTRACT.md 2), and
`properties` is a struct, a map, or a text of JSON. The second becomes JSON here, so that one decoder says what an
event is; further columns go with it, as further fields do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import compress
from pathlib import Path
from typing import Any

import orjson

from pql_stream.errors import InvalidInput
from pql_stream.replay.source import Chunk, Lines, Position

MAGIC = b"PAR1"
BATCH_ROWS = 2_000

_LOOK = "name a Parquet file with a column `value` of JSON, or with the fields of an event as columns"


def is_parquet(path: str) -> bool:
    """
    Whether the file *path* is Parquet, by its first bytes; no pipe is, for the index lies at the end.

    Raises:
        InvalidInput: it is called .parquet, and is none.
    """
    file = Path(path)
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            found = opened.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False  # whoever reads it tells
    if not found and file.suffix.lower() == ".parquet":
        raise InvalidInput(
            f"cannot read {path}",
            why="it is called .parquet, and does not begin as Parquet does",
            what_to_do="see that it was copied whole; a file of JSON lines may have any other name",
        )
    return found


class ParquetRows:
    """The rows of one file; a position is [row group, batches of it]. Only a batch of rows is in memory at a time."""

    is_read_once = False

    def __init__(self, path: str) -> None:
        """
        Look at the file, but not into it.

        Raises:
            InvalidInput: it is not there.
        """
        self._path = path
        # A file name need not be UTF-8, but it stands in records, which are.
        self._name = Path(path).name.encode(errors="backslashreplace").decode()
        with _as_invalid_input(path):
            found = Path(path).stat()
        self._size = found.st_size
        self._changed_ns = (found.st_mtime_ns, found.st_ctime_ns)

    @property
    def bytes_total(self) -> int:
        """The size of the file; how much of it is read is told by the rows."""
        return self._size

    def fingerprint(self) -> str:
        """Of its name, size and times of change."""
        return sha256(orjson.dumps([self._name, self._size, self._changed_ns])).hexdigest()

    def check(self) -> None:
        """
        Find out whether its rows are events.

        Raises:
            InvalidInput: they are not, the file is damaged, or pyarrow is not installed.
        """
        rows = _module_of_rows(self._path)
        with _as_invalid_input(self._path, rows.ERRORS), rows.open_file(self._path) as file:
            rows.form_of(file.schema_arrow)

    def read(self, since: Position | None = None) -> Iterator[Chunk]:
        """
        Its rows, of which the first is number 1.

        Raises:
            InvalidInput: the file is damaged, or as `check`.
        """
        rows = _module_of_rows(self._path)
        first, done = since or (0, 0)
        with _as_invalid_input(self._path, rows.ERRORS), rows.open_file(self._path) as file:
            encode, columns = rows.form_of(file.schema_arrow)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
            row = sum(sizes[:first])
            for group in range(first, len(sizes)):
                # Group by group: what a batch may hold is then the same from wherever reading begins.
                batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)
                for count, batch in enumerate(batches, 1):
                    values = encode(batch) if count > done else []
                    if values:
                        read = self._size * (row + len(values)) // sum(sizes)
                        yield Chunk(self._recorded(values, row + 1), [group, count], read)
                    row += batch.num_rows
                done = 0

    def _recorded(self, values: list[bytes | None], first_row: int) -> Lines:
        rows = range(first_row, first_row + len(values))
        # Null and nothing are tombstones (R25).
        return Lines(self._name, list(compress(rows, values)), list(filter(None, values)))


def _module_of_rows(path: str) -> Any:  # noqa: ANN401 - a module whose types come from pyarrow, which has none
    try:
        from pql_stream.replay.sources import parquet_rows  # noqa: PLC0415 - pyarrow is optional, and takes 0.1 s
    except ImportError as exc:
        raise InvalidInput(
            f"cannot read {path}",
            why="it is Parquet, and pyarrow is not installed",
            what_to_do="install it: pip install 'pql-stream[parquet]'",
        ) from exc
    return parquet_rows


@contextmanager
def _as_invalid_input(path: str, errors: tuple[type[Exception], ...] = (OSError, ValueError)) -> Iterator[None]:
    try:
        yield
    except errors as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InvalidInput(f"cannot read {path}", why=why.strip().partition("\n")[0], what_to_do=_LOOK) from exc
