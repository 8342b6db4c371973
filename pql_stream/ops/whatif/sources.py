"""What a comparison reads beside files and topics: the events of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pql_stream.ops.demo.records import demo_lines, demo_records
from pql_stream.replay.source import FILE_PARTITION, Chunk, Position, Recorded

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
        lines = enumerate(demo_lines(demo_records(quick=False)), start=1)
        every = (Recorded(DEMO_FILE, FILE_PARTITION, number, line) for number, line in lines)
        records = islice(every, since or 0, None)
        while chunk := list(islice(records, _CHUNK_RECORDS)):
            yield Chunk(chunk, chunk[-1].offset, 0)
