"""Records as whoever handles them sees them, coming and going. No Faust and no client library here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pql_stream.wire.headers import Headers


class SourceRecord(Protocol):
    """A record as consumed; its batch knows topic and partition. *timestamp* is milliseconds, -1 for none."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class SourceBatch(Protocol):
    """Records of one partition of one topic, in order."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def records(self) -> Sequence[SourceRecord]: ...


def header_bytes(headers: Headers) -> int:
    """Size of *headers*, names and values."""
    return sum(len(name) + len(content or b"") for name, content in headers)


class OutRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to be sent; *value* None is a tombstone. A Struct, for there is one for each change."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def bytes(self) -> int:
        """Size of key, value and headers."""
        return len(self.key or b"") + len(self.value or b"") + header_bytes(self.headers)
