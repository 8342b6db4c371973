"""Several sources, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from pql_stream.replay.source import Chunk, Position, Source


class Joined:
    """The records of *sources* in their order; a position is [place of the source, its position]."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    @property
    def is_read_once(self) -> bool:
        """Whether one of them is."""
        return any(source.is_read_once for source in self._sources)

    @property
    def bytes_total(self) -> int | None:
        """All of them together; None when one does not know."""
        sizes = [source.bytes_total for source in self._sources]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def fingerprint(self) -> str:
        """Of all of theirs."""
        return sha256("\n".join(source.fingerprint() for source in self._sources).encode()).hexdigest()

    def check(self) -> None:
        """
        Check each of them.

        Raises:
            InvalidInput, BrokerError: as theirs.
        """
        for source in self._sources:
            source.check()

    def read(self, since: Position | None = None) -> Iterator[Chunk]:
        """
        Their records.

        Raises:
            InvalidInput, BrokerError: as theirs.
        """
        first, position = since or (0, None)
        before = sum(source.bytes_total or 0 for source in self._sources[:first])
        for place, source in enumerate(self._sources[first:], first):
            for chunk in source.read(position):
                yield chunk._replace(after=[place, chunk.after], bytes_read=before + chunk.bytes_read)
            before += source.bytes_total or 0
            position = None
