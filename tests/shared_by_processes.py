"""One server for all processes of a test run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def shared_by_processes(own_temp: Path, started: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """
    The address that *started* gives in the first process of the run that asks; it ends when nobody uses it any more.

    *own_temp* is this process's directory inside that of the run.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with started() as address:
            yield address
        return
    noted = own_temp.parent / "address"
    # Locks, not counts: those of a process that dies go with it.
    with (own_temp.parent / "turn").open("w") as turn, (own_temp.parent / "users").open("w") as users:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if noted.exists():
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield noted.read_text()
            return
        with started() as address:
            noted.write_text(address)
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield address
            _wait_for_the_last(turn, users)
            noted.unlink()


def _wait_for_the_last(turn: TextIO, users: TextIO) -> None:
    fcntl.flock(turn, fcntl.LOCK_EX)
    fcntl.flock(users, fcntl.LOCK_EX)
