"""Records as the scorer sees them, coming and going. No Faust and no client library here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class SourceRecord(Protocol):
    """A record as consumed; *timestamp* is milliseconds, -1 for none."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class OutRecord(NamedTuple):
    """A record to be sent; *value* None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def bytes(self) -> int:
        """Size of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        return size + sum(len(name) + len(content) for name, content in self.headers)
