"""Files of events as a source: JSON lines, plain, gzip or zstd, `-` for standard input (CONTRACT.md 8 and R21)."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import compress, repeat
from pathlib import Path
from typing import NamedTuple, cast

import orjson

from pql_stream.errors import InvalidInput
from pql_stream.replay.source import Chunk, Lines, Position
from pql_stream.replay.sources.compression import DAMAGED, decompressed
from pql_stream.replay.sources.lines import BLOCK_BYTES, BYTE_ORDER_MARK, line_blocks
from pql_stream.wire.events import RECORD_BYTES_MAX

STDIN = "-"


class _File(NamedTuple):
    """A file as it was when the source was made; *size* is None for what is read once: a pipe, or standard input."""

    path: str
    name: str
    size: int | None
    changed_ns: tuple[int, int] | None


class Files:
    """
    Files, one after the other. Blank lines are no records, and are counted in the numbering.

    A file ends where it ended when this was made: all processes that read it see the same, also while it grows.
    A record over *line_bytes_max* is handed on cut, a few bytes over it. *block_bytes* and the rest of a line make
    a chunk.
    """

    def __init__(
        self, paths: Sequence[str], line_bytes_max: int = RECORD_BYTES_MAX, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._files = [_looked_at(path) for path in paths]
        self._line_bytes_max = line_bytes_max
        self._block_bytes = block_bytes

    @property
    def bytes_total(self) -> int | None:
        """The sizes on the disk, compressed or not; None with a pipe among them."""
        sizes = [file.size for file in self._files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self._files) else None

    @property
    def is_read_once(self) -> bool:
        """Whether there is a pipe among them, or standard input."""
        return any(file.size is None for file in self._files)

    def fingerprint(self) -> str:
        """Of names, sizes and times of change; the inode's own time tells what was changed and dated back."""
        return sha256(orjson.dumps([file[1:] for file in self._files])).hexdigest()

    def check(self) -> None:
        """
        Find out now, before the first is worked through, whether all of them can be opened.

        Raises:
            InvalidInput: one cannot.
        """
        for file in self._files:
            # A pipe can be opened once only: whoever writes to it would find its reader gone.
            with _as_invalid_input(file.path):
                if file.path != STDIN and not Path(file.path).is_fifo():
                    Path(file.path).open("rb").close()

    def read(self, since: Position | None = None) -> Iterator[Chunk]:
        """
        The records from *since* on: [place of the file, bytes of its uncompressed content, lines].

        Raises:
            InvalidInput: a file cannot be read, to its end.
        """
        first, offset, line = since or (0, 0, 0)
        before = sum(file.size or 0 for file in self._files[:first])
        for place, file in enumerate(self._files[first:], first):
            with _as_invalid_input(file.path):
                yield from self._read(place, before, offset, line)
            before += file.size or 0
            offset = line = 0

    def _read(self, place: int, before: int, offset: int, line: int) -> Iterator[Chunk]:
        file = self._files[place]
        raw = _opened(file)
        try:
            stream = decompressed(raw, file.name)
            if offset:
                stream.seek(offset)
            for lines, size in line_blocks(stream, self._line_bytes_max, self._block_bytes):
                if offset == 0:
                    lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
                records = _records(file.name, line + 1, lines)
                offset += size
                line += len(lines)
                yield Chunk(records, [place, offset, line], before + (0 if file.size is None else raw.tell()))
        finally:
            if file.path != STDIN:
                raw.close()


def _looked_at(path: str) -> _File:
    # A file name need not be UTF-8, but it stands in records, which are.
    name = Path(path).name.encode(errors="backslashreplace").decode()
    if path != STDIN:
        try:
            found = Path(path).stat()
        except (OSError, ValueError):
            pass  # `check` tells
        else:
            if stat.S_ISREG(found.st_mode):
                return _File(path, name, found.st_size, (found.st_mtime_ns, found.st_ctime_ns))
    return _File(path, name, None, None)


def _records(name: str, first: int, lines: list[bytes]) -> Lines:
    """The *lines* that are not blank, of which the first is number *first*."""
    numbers: Sequence[int] = range(first, first + len(lines))
    if not all(map(bytes.startswith, lines, repeat(b"{"))):
        is_record = [content.startswith(b"{") or not _is_blank(content) for content in lines]
        numbers, lines = list(compress(numbers, is_record)), list(compress(lines, is_record))
    return Lines(name, numbers, lines)


def _is_blank(content: bytes) -> bool:
    """Nothing but what `str.strip` takes away (R14)."""
    try:
        return not content.decode().strip()
    except UnicodeDecodeError:
        return False


def _opened(file: _File) -> io.BufferedReader:
    if file.path == STDIN:
        return _stdin()
    if file.size is None:
        return Path(file.path).open("rb")
    return io.BufferedReader(_Beginning(file.path, file.size), BLOCK_BYTES)


class _Beginning(io.RawIOBase):
    """The first *size* bytes of a file."""

    def __init__(self, path: str, size: int) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]  # what a BufferedReader hands in
        left = self._size - self._file.tell()
        size = self._file.readinto(memoryview(buffer)[: max(left, 0)])
        if left > 0 and not size:
            raise OSError(f"it became shorter while it was read: {left} bytes are missing")
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def _stdin() -> io.BufferedReader:
    # Python's own stub leaves out that there is none when whoever started us closed it (`<&-`).
    if cast("object", sys.stdin) is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return cast("io.BufferedReader", sys.stdin.buffer)  # what it is, unless somebody replaced it


@contextmanager
def _as_invalid_input(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, *DAMAGED) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InvalidInput(
            f"cannot read {path}",
            why=why,
            what_to_do="name a file of JSON lines, plain, gzip or zstd, or - for stdin",
        ) from exc
