"""What a comparison reads beside files and topics: the events of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pql_stream.ops.demo.records import demo_lines, demo_records
from pql_stream.replay.source import Chunk, Lines, Position

DEMO_FILE = "demo-events.jsonl"
"""What the demo calls the file that it leaves."""

_CHUNK_RECORDS = 2_000


class DemoEvents:
    """The events that `pql-stream demo` plays, as the file that it leaves has them; as a source."""

    bytes_total = None
    is_read_once = False

    def fingerprint(self) -> str:
        """They are always the same."""
        return DEMO_FILE

    def check(self) -> None:
        """They are in the package."""

    def read(self, since: Position | None = None) -> Iterator[Chunk]:
        """As `Source` says."""
        done: int = since or 0
        lines = islice(demo_lines(demo_records(quick=False)), done, None)
        while some := list(islice(lines, _CHUNK_RECORDS)):
            numbers = range(done + 1, done + 1 + len(some))
            done = numbers[-1]
            yield Chunk(Lines(DEMO_FILE, numbers, some), done, 0)
