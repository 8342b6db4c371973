"""
Where a replay's events come from: files and topics, as one port.

A replay runs in several processes, and each reads all of its source and scores its own leads. So a source goes from
process to process, is opened in each, and gives the same records in the same order every time. What reads a topic
lives in `ops`: no client library here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, repeat, starmap
from typing import Any, NamedTuple, Protocol

from pql_stream.wire.headers import Headers

Position = Any
"""Where reading goes on, as a JSON value; what it means is the source's own."""

FILE_PARTITION = 0
"""What stands as the partition of an event from a file; its topic is the file's name, its offset the line."""


class Recorded(NamedTuple):
    """
    One record of a source. For a file *topic* is its name, *partition* 0 and *offset* the line (CONTRACT.md 5).

    *timestamp_ms* and *headers* are Kafka's; a file has neither. *value* is never empty: a tombstone is no record here.
    """

    topic: str
    partition: int
    offset: int
    value: bytes
    timestamp_ms: int | None = None
    headers: Headers = ()


Fields = tuple[str, int, int, bytes, int | None, Headers]
"""Those of a `Recorded`, bare: millions of them are looked at and forgotten, and it would double what one costs."""


class Records(Protocol):
    """
    Records in a row, each made when it is asked for.

    A process of a replay looks at the values of all, to find out whose they are, and asks for its own only.
    """

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Recorded]: ...

    @property
    def values(self) -> Sequence[bytes]:
        """The value of each."""

    @property
    def headers(self) -> Sequence[Headers] | None:
        """The headers of each; None where none has any."""

    def fields(self, mask: bytes | None = None) -> Iterator[Fields]:
        """Of those for which *mask* has no zero, or of all."""


@dataclass(frozen=True, slots=True)
class Lines:
    """*values* of the file *name*, by their *numbers* in it."""

    name: str
    numbers: Sequence[int]
    values: Sequence[bytes]

    @property
    def headers(self) -> None:
        """A file has none."""

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Recorded]:
        return starmap(Recorded, self.fields())

    def fields(self, mask: bytes | None = None) -> Iterator[Fields]:
        """As `Records` says."""
        numbers = self.numbers if mask is None else compress(self.numbers, mask)
        values = self.values if mask is None else compress(self.values, mask)
        return zip(repeat(self.name), repeat(FILE_PARTITION), numbers, values, repeat(None), repeat(()))


class Chunk(NamedTuple):
    """Some records in a row. *after* is the position behind them, *bytes_read* what of `bytes_total` lies before it."""

    records: Records
    after: Position
    bytes_read: int


class Source(Protocol):
    """Recorded events in an order that never changes. It can be pickled."""

    def fingerprint(self) -> str:
        """Equal for two sources only when they give the same records: an interrupted replay asks before it goes on."""

    @property
    def bytes_total(self) -> int | None:
        """How much there is to read, in whatever `Chunk.bytes_read` counts; None when that is not known."""

    @property
    def is_read_once(self) -> bool:
        """Whether it can be read a single time only, from its beginning and by one process: a pipe."""

    def check(self) -> None:
        """
        Find out now whether it can be read.

        Raises:
            InvalidInput: it cannot.
            BrokerError: the cluster does not answer.
        """

    def read(self, since: Position | None = None) -> Iterator[Chunk]:
        """
        Its records from *since* on, or all; chunks are cut alike every time.

        Raises:
            InvalidInput: it cannot be read to its end.
            BrokerError: the cluster does not answer any more.
        """
