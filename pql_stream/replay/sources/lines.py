"""Bytes to lines, block by block: a step of Python for each line would cost as much as scoring half an event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

BLOCK_BYTES = 128 * 1024
"""How much is read at once, and then to the end of the line. A processor's cache holds it: larger ones are slower."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = b"\r\n"


class Block(NamedTuple):
    """Some lines in a row without their ends; *size* is how many bytes of the stream they are."""

    lines: list[bytes]
    size: int


def line_blocks(stream: IO[bytes], line_bytes_max: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    r"""
    The lines from where *stream* is (R21): only "\n" ends one, and a "\r" before it is dropped.

    A line over *line_bytes_max* is handed on cut, a byte over it, so that one line never fills the memory.
    """
    while content := stream.read(block_bytes):
        dropped = 0
        if not content.endswith(b"\n"):
            # Enough for every line within the limit, so that what is not whole then is over it.
            longest = len(BYTE_ORDER_MARK) + line_bytes_max + len(_LINE_END)
            rest = stream.readline(longest)
            content += rest
            if len(rest) == longest and not rest.endswith(b"\n"):
                dropped = _drop_rest(stream)
        yield Block(_lines(content, line_bytes_max), len(content) + dropped)


def _lines(content: bytes, line_bytes_max: int) -> list[bytes]:
    lines = content.split(b"\n")
    last = lines.pop()
    if b"\r" in content:
        lines = [line.removesuffix(b"\r") for line in lines]
    if last:
        lines.append(last)
    # The first line of a file may have its byte order mark in front still, which does not count.
    if len(content) > line_bytes_max and max(map(len, lines)) > line_bytes_max:
        lines = [line if len(line) <= line_bytes_max else _cut(line, line_bytes_max) for line in lines]
    return lines


def _cut(line: bytes, line_bytes_max: int) -> bytes:
    return line[: len(BYTE_ORDER_MARK) + line_bytes_max + 1]


def _drop_rest(stream: IO[bytes]) -> int:
    """Read the line on to its end; how many bytes that is."""
    size = 0
    while rest := stream.readline(BLOCK_BYTES):
        size += len(rest)
        if rest.endswith(b"\n"):
            break
    return size
