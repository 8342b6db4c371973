"""Progress of long work on stderr; silent where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pql_stream.replay.files import EventFile, Line

_LINES_PER_UPDATE = 5_000


def lines_with_progress(files: Sequence[EventFile]) -> Iterator[Line]:
    """The lines of *files*, one after the other; all of them must open before the first line comes."""
    for file in files:
        file.check()
    total = sum(file.bytes_total or 0 for file in files) or None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=total, lines=0)
        done, count = 0, 0
        for file in files:
            for line in file:
                count += 1
                if count % _LINES_PER_UPDATE == 0:
                    progress.update(task, completed=done + file.bytes_read, lines=count)
                yield line
            done += file.bytes_total or 0


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for *what*; call it with how much is done, and how much there is to do."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}, {task.fields[rate]:,.0f} a second"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=0, rate=0.0)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, rate=progress.tasks[task].speed or 0.0)

        yield show
