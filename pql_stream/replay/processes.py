"""The shares of a replay in processes of their own, and one that waits for them."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, reduction, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pql_stream.errors import PqlError
from pql_stream.replay.checkpoint import Checkpoint
from pql_stream.replay.job import Job
from pql_stream.replay.share import GoesOn, Stopped, run_share
from pql_stream.replay.shares import BOARD_BYTES, Board, Share
from pql_stream.replay.workspace import Workspace

_LOOK_EVERY_S = 0.2


class _Flag(Protocol):
    value: int


class _Shared(NamedTuple):
    """Memory of all processes: how far each is, whether they are to stop, and what they tell each other."""

    bytes_read: MutableSequence[int]
    records: MutableSequence[int]
    stop: _Flag
    board: Any


class _Lock:
    """The lock of the workspace: whoever has a copy of it holds it, so it is held until the last process has ended."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[[Any], _Lock], tuple[Any]]:
        return _lock_taken_over, (reduction.DupFd(self.descriptor),)


def _lock_taken_over(sent: Any) -> _Lock:  # noqa: ANN401 - the library's stub has no name for it
    return _Lock(sent.detach())


def run_shares(job: Job, workspace: Workspace, goes_on: GoesOn) -> list[Checkpoint]:
    """
    What `run_share` gives for each share of *workspace*. *goes_on* is told the mean of all.

    Raises:
        Stopped: *goes_on* said no, and all processes have made a checkpoint.
        PqlError: one of them failed; the others are ended.
    """
    # Not forked: a fork has the threads' locks and not the threads, and there may be a progress bar's.
    context = get_context("spawn")
    count = workspace.shares
    bytes_read, records = context.RawArray("q", count), context.RawArray("q", count)
    stop, board = context.RawValue("b", 0), context.RawArray("B", BOARD_BYTES)
    crew: dict[Connection, SpawnProcess] = {}
    try:
        for index in range(count):
            answers, answer = context.Pipe(duplex=False)
            share = Share(index, count)
            shared = _Shared(bytes_read, records, stop, board)
            args = (job, share, workspace.share(index), shared, answer, _Lock(workspace.lock))
            crew[answers] = context.Process(target=_work, args=args, daemon=True)
            with _without_interrupts():
                crew[answers].start()
            answer.close()
        return _awaited(crew, lambda: goes_on(sum(bytes_read) // count, sum(records) // count), stop)
    finally:
        for process in crew.values():
            process.terminate()
        for answers, process in crew.items():
            process.join()
            answers.close()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """
    Processes that are started here never hear Ctrl-C, which goes to all of a terminal: the first one tells the others.

    What is blocked stays so in them from their first moment on; here it comes after this.
    """
    resource_tracker.ensure_running()  # the first start would do it, and unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _awaited(crew: dict[Connection, SpawnProcess], goes_on: Callable[[], bool], stop: _Flag) -> list[Checkpoint]:
    """What each says at its end, in the order of the crew."""
    answered: dict[Connection, Checkpoint | Stopped] = {}
    while len(answered) < len(crew):
        ready = connection.wait([answers for answers in crew if answers not in answered], _LOOK_EVERY_S)
        for answers in [answers for answers in crew if answers in ready]:
            answer = _received(answers, crew[answers])
            if isinstance(answer, Exception) and not isinstance(answer, Stopped):
                raise answer
            answered[answers] = answer
        if not goes_on():
            stop.value = 1
    done = [answer for answer in (answered[answers] for answers in crew) if not isinstance(answer, Stopped)]
    if len(done) < len(crew):
        raise Stopped
    return done


def _received(answers: Connection, process: SpawnProcess) -> Checkpoint | Exception:
    try:
        answer: Checkpoint | Exception = answers.recv()
    except EOFError:
        process.join()
        return PqlError(
            "a process of the replay has ended",
            why=f"exit code {process.exitcode}; {-signal.SIGKILL} is what Linux does when memory runs out",
            what_to_do="run the same command again: it goes on; with fewer --processes it needs less memory",
        )
    return answer


def _work(
    job: Job,
    share: Share,
    directory: Path,
    shared: _Shared,
    answer: Connection,
    _lock: _Lock,
) -> None:
    """What one process does; it ends by itself when the one that started it is gone."""
    parent = os.getppid()

    def goes_on(bytes_read: int, records: int) -> bool:
        shared.bytes_read[share.index], shared.records[share.index] = bytes_read, records
        return not shared.stop.value and os.getppid() == parent

    board = Board(memoryview(shared.board).cast("B"))
    try:
        result: Checkpoint | Exception = run_share(job, share, directory, goes_on, board)
    except Exception as exc:  # noqa: BLE001 - raised again by the process that waits
        if not isinstance(exc, PqlError):
            exc.add_note(traceback.format_exc())
        result = exc
    with suppress(BrokenPipeError):
        answer.send(result)


def usable_cores() -> int:
    """On how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
