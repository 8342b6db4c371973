"""Progress of long work on stderr; silent where stderr is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pql_stream.replay.source import Recorded, Records, Source

Tell = Callable[[int, int], None]
"""Told of the bytes and the records that are read so far."""


def records_with_progress(source: Source) -> Iterator[Recorded]:
    """All records of *source*; it is looked at whether it can be read before the first one comes."""
    for records in chunks_with_progress(source):
        yield from records


def chunks_with_progress(source: Source) -> Iterator[Records]:
    """As `records_with_progress`, chunk by chunk."""
    source.check()
    with progress_of(source) as tell:
        count = 0
        for chunk in source.read():
            yield chunk.records
            count += len(chunk.records)
            tell(chunk.bytes_read, count)


@contextmanager
def progress_of(source: Source, clock: Callable[[], float] = time.monotonic) -> Iterator[Tell]:
    """A bar that is told how much of *source* is read: with the rate, and the time that is left."""
    with _bar("{task.fields[records]:,} lines", "{task.fields[rate]:,.0f}/s") as progress:
        task = progress.add_task("reading", total=source.bytes_total, records=0, rate=0)
        begun: tuple[float, int] | None = None

        def tell(bytes_read: int, records: int) -> None:
            nonlocal begun
            if begun is None:
                # What an interrupted replay had done says nothing about how fast this one is.
                begun = (clock(), records)
                progress.reset(task, completed=bytes_read, records=records)
                return
            rate = (records - begun[1]) / max(clock() - begun[0], 0.001)
            progress.update(task, completed=bytes_read, records=records, rate=rate)

        yield tell


@contextmanager
def progress_towards(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for *what*; call it with how much is done, and how much there is to do."""
    with _bar("{task.completed:,.0f} of {task.total:,.0f}, {task.fields[rate]:,.0f} a second") as progress:
        task = progress.add_task(what, total=0, rate=0.0)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, rate=progress.tasks[task].speed or 0.0)

        yield show


def _bar(*counts: str) -> Progress:
    """A bar with *counts*, in rich's markup, behind it; it goes when it is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        *map(TextColumn, counts),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
