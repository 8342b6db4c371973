"""What a comparison reads: files of events, or the events of the demo; as chunks of the replay's port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pql_stream.ops.demo.records import demo_lines, demo_records
from pql_stream.replay.files import EventFile
from pql_stream.replay.source import Chunk, Recorded

DEMO_FILE = "demo-events.jsonl"
"""What the demo calls the file that it leaves."""

_CHUNK_RECORDS = 2_000


class Opened(NamedTuple):
    """Chunks to be read once, in order; *bytes_total* as in `replay.source`."""

    chunks: Iterator[Chunk]
    bytes_total: int | None


def open_files(paths: Sequence[str]) -> Opened:
    """
    The lines of files, one file after the other.

    Raises:
        InvalidInput: one of them cannot be opened.
    """
    files = [EventFile(path) for path in paths]
    for file in files:
        file.check()
    return Opened(_file_chunks(files), sum(file.bytes_total or 0 for file in files) or None)


def open_demo() -> Opened:
    """The events that `pql-stream demo` plays, as the file that it leaves has them."""
    lines = enumerate(demo_lines(demo_records(quick=False)), start=1)
    records = (Recorded(DEMO_FILE, 0, number, line) for number, line in lines)
    return Opened((Chunk(chunk, chunk[-1].offset, 0) for chunk in _cut(records)), None)


def _file_chunks(files: Iterable[EventFile]) -> Iterator[Chunk]:
    done = 0
    for place, file in enumerate(files):
        for chunk in _cut(Recorded(line.file, 0, line.number, line.content) for line in file):
            yield Chunk(chunk, [place, chunk[-1].offset], done + file.bytes_read)
        done += file.bytes_total or 0


def _cut(records: Iterator[Recorded]) -> Iterator[list[Recorded]]:
    while chunk := list(islice(records, _CHUNK_RECORDS)):
        yield chunk


def with_progress(opened: Opened) -> Iterator[list[Recorded]]:
    """The records of *opened*, chunk by chunk; how far it is on stderr, where that is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]:,} records"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=opened.bytes_total, records=0)
        count = 0
        for chunk in opened.chunks:
            yield chunk.records
            count += len(chunk.records)
            progress.update(task, completed=chunk.bytes_read, records=count)
