"""Files of events, line by line: plain or gzip, `-` for standard input (CONTRACT.md 8 and R21)."""

from __future__ import annotations

import errno
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from pql_stream.errors import InvalidInput
from pql_stream.wire.events import RECORD_BYTES_MAX

STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = b"\r\n"


class Line(NamedTuple):
    """
    One line that is not blank. *file* is the file's name, *number* counts every line from 1.

    A line over the limit is handed on cut, a few bytes over it, so that one line never fills the memory.
    """

    file: str
    number: int
    content: bytes


class EventFile:
    """One file of events; iterate over it to get its lines, of which those over *line_bytes_max* are cut."""

    def __init__(self, path: str, line_bytes_max: int = RECORD_BYTES_MAX) -> None:
        self.path = path
        self.line_bytes_max = line_bytes_max
        # A file name need not be UTF-8, but it stands in records, which are.
        self.name = Path(path).name.encode(errors="backslashreplace").decode()
        self._raw: io.BufferedReader | None = None

    @property
    def bytes_total(self) -> int | None:
        """The size of the file as it lies on the disk; None for standard input."""
        return None if self.path == STDIN else Path(self.path).stat().st_size

    @property
    def bytes_read(self) -> int:
        """How much of `bytes_total` is read; 0 for a pipe, which has no place to tell of."""
        if self._raw is None or self.path == STDIN or not self._raw.seekable():
            return 0
        return self._raw.tell()

    def check(self) -> None:
        """
        Find out now, before other files are worked through, whether this one can be opened.

        Raises:
            InvalidInput: it cannot.
        """
        # A pipe can be opened once only: whoever writes to it would find its reader gone.
        with _as_invalid_input(self.path):
            if self.path != STDIN and not Path(self.path).is_fifo():
                Path(self.path).open("rb").close()

    def __iter__(self) -> Iterator[Line]:
        """
        Its lines.

        Raises:
            InvalidInput: the file cannot be read, to its end.
        """
        with _as_invalid_input(self.path):
            raw = _stdin() if self.path == STDIN else Path(self.path).open("rb")  # noqa: SIM115 - closed below
            self._raw = raw
            try:
                yield from self._lines(_decompressed(raw, self.name))
            finally:
                if self.path != STDIN:
                    raw.close()
                self._raw = None

    def _lines(self, stream: IO[bytes]) -> Iterator[Line]:
        # Enough for every line within the limit, so that what is cut is over it.
        read_bytes_max = len(_BYTE_ORDER_MARK) + self.line_bytes_max + len(_LINE_END)
        number = 0
        while content := stream.readline(read_bytes_max):
            number += 1
            if number == 1:
                content = content.removeprefix(_BYTE_ORDER_MARK)
            if content.endswith(b"\n"):
                content = content[:-1].removesuffix(b"\r")
            elif len(content) > self.line_bytes_max:
                content = _rest_dropped(content, stream)
            if not _is_blank(content):
                yield Line(self.name, number, content)


def _is_blank(content: bytes) -> bool:
    """Nothing but what `str.strip` takes away (R14)."""
    if content.startswith(b"{"):
        return False
    try:
        return not content.decode().strip()
    except UnicodeDecodeError:
        return False


def _rest_dropped(content: bytes, stream: IO[bytes]) -> bytes:
    """The beginning of a line over the limit, which is read to its end."""
    rest = content
    while rest and not rest.endswith(b"\n"):
        rest = stream.readline(RECORD_BYTES_MAX)
    return content


def _stdin() -> io.BufferedReader:
    # Python's own stub leaves out that there is none when whoever started us closed it (`<&-`).
    if cast("object", sys.stdin) is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return cast("io.BufferedReader", sys.stdin.buffer)  # what it is, unless somebody replaced it


def _decompressed(raw: io.BufferedReader, name: str) -> IO[bytes]:
    start = raw.peek(len(_GZIP_MAGIC))
    if start[: len(_GZIP_MAGIC)] == _GZIP_MAGIC:
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    # A compressed file that is damaged in, or cut before, its first two bytes is not told by them. Read as
    # text it would be nothing but refused lines, or no line at all, and the command would end well.
    if name.lower().endswith(".gz") and not start.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"{"):
        raise gzip.BadGzipFile("it is called .gz, and is neither gzip nor JSON lines")
    return raw


@contextmanager
def _as_invalid_input(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InvalidInput(
            f"cannot read {path}",
            why=why,
            what_to_do="name a file of JSON lines, plain or gzip, or - for stdin",
        ) from exc
