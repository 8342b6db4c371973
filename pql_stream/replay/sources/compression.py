"""Compressed files are told by their first bytes, not by their names."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from typing import IO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAMAGED = (EOFError, zlib.error, zstd.ZstdError)
"""What reading a broken one raises, beside OSError."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = (range(0x50, 0x60), b"\x2a\x4d\x18")
"""A frame that decoders skip; some writers begin a file with one."""
_UNREAD = "which is not read: unpack it, or pipe it in"
_FOREIGN = {
    b"BZh": f"bzip2, {_UNREAD}",
    b"\xfd7zXZ\x00": f"xz, {_UNREAD}",
    b"PK\x03\x04": f"a zip archive, {_UNREAD}",
    b"\x04\x22\x4d\x18": f"lz4, {_UNREAD}",
    b"Obj\x01": f"Avro, {_UNREAD}",
    b"PAR1": "Parquet, which only `replay`, `whatif` and `backfill` read, and only by the name of a file",
}
"""No event begins so. Read as lines, such a file would be nothing but refused ones, and the command would end well."""
_BLANK_OR_MARK = b"\xef\xbb\xbf"


def decompressed(raw: io.BufferedReader, name: str) -> IO[bytes]:
    """
    What is in *raw*, which is at its beginning.

    Raises:
        OSError: it is packed in a way that is not read, or its name says that it is compressed, and it is neither
            that nor JSON lines.
    """
    start = raw.peek(len(_ZSTD_MAGIC))
    if (foreign := next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), None)) is not None:
        raise OSError(f"it is {foreign}")
    if start.startswith(_GZIP_MAGIC):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if start.startswith(_ZSTD_MAGIC) or (start[:1] and start[0] in _ZSTD_SKIPPED[0] and start[1:4] == _ZSTD_SKIPPED[1]):
        return cast("IO[bytes]", zstd.ZstdFile(raw))
    # A compressed file that is damaged in, or cut before, its first bytes is not told by them. Read as text it
    # would be nothing but refused lines, or no line at all, and the command would end well.
    if (kind := _KINDS.get(name.lower().rpartition(".")[2])) is not None and not (
        start.removeprefix(_BLANK_OR_MARK).lstrip().startswith(b"{")
    ):
        raise OSError(f"it is called .{kind[0]}, and is neither {kind[1]} nor JSON lines")
    return raw


_KINDS = {"gz": ("gz", "gzip"), "zst": ("zst", "zstd")}
