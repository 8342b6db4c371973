"""
Where a replay works: DIR/.replay. What becomes of it there is moved to DIR when all of it is there.

    job.json        what it is the replay of, and in how many shares
    share-<n>/      the parts of one share, and its states if they were stored
    merged/         the files, where there are several shares
    complete.json   the files are whole, and are being moved: the counts
    lock            held by every process of a replay
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from pql_stream.errors import InvalidInput
from pql_stream.replay.job import Job, Replayed

Say = Callable[[str], None]
"""Tells the user something, a line."""

T = TypeVar("T")

NAME = ".replay"
PATIENCE_S = 10.0
"""The processes of a replay that was killed end by themselves: each looks for the one that started it."""
_LOOK_EVERY_S = 0.1


class _Begun(msgspec.Struct):
    identity: dict[str, str]
    shares: int


class Workspace:
    """The directory of a replay into *out*, held by this process: see `held`."""

    def __init__(self, out: Path, lock: int) -> None:
        self.out = out
        self.directory = out / NAME
        self.lock = lock
        self.shares = 1

    @classmethod
    @contextmanager
    def held(cls, out: Path, patience_s: float = PATIENCE_S) -> Iterator[Workspace]:
        """
        Make *out* if need be, and keep other replays out of it.

        Raises:
            InvalidInput: another one is at work there.
            OSError: it cannot be written.
        """
        out.mkdir(parents=True, exist_ok=True)
        lock = _locked(out / NAME, patience_s)
        try:
            yield cls(out, lock)
        finally:
            os.close(lock)

    def begin(self, job: Job, say: Say) -> None:
        """Go on with what an interrupted replay of the same left here, or make room for a new one."""
        identity = job.identity()
        begun = _read(self.directory / "job.json", _Begun)
        if begun is not None and self.has_progress:
            changed = [name for name, value in identity.items() if begun.identity.get(name) != value]
            if not changed and not job.source.is_read_once:
                say("going on with the replay that was interrupted")
                self.shares = begun.shares
                return
            why = "what is read from a pipe is gone" if job.source.is_read_once else f"changed: {', '.join(changed)}"
            say(f"an interrupted replay in {self.out} cannot be gone on with ({why}): beginning afresh")
        self.shares = job.processes
        self._clear()
        for index in range(self.shares):
            self.share(index).mkdir()
        _write(self.directory / "job.json", _Begun(identity, self.shares))

    @property
    def has_progress(self) -> bool:
        """Whether there is something that a replay could go on from."""
        return any(self.directory.glob("share-*/states")) or self._complete.exists()

    @property
    def finished(self) -> Replayed | None:
        """How it went, if the files are whole."""
        return _read(self._complete, Replayed)

    def share(self, index: int) -> Path:
        """The directory of one share."""
        return self.directory / f"share-{index}"

    @property
    def files(self) -> Path:
        """Where the files are when they are whole."""
        return self.share(0) if self.shares == 1 else self.directory / "merged"

    def finish(self, replayed: Replayed, names: Sequence[str], stale: Sequence[str] = ()) -> None:
        """
        The files *names* are whole: move them to where they belong, which can be gone on with, too.

        Those called *stale* go: an earlier replay has left them, and beside these they would pass for its results.
        """
        if self.finished is None:
            for name in names:
                _sync(self.files / name)
            _write(self._complete, replayed)
        for name in names:
            with suppress(FileNotFoundError):  # moved already
                (self.files / name).replace(self.out / name)
        for name in stale:
            (self.out / name).unlink(missing_ok=True)
        self.remove()

    def remove(self) -> None:
        """Leave nothing behind."""
        self._clear()
        shutil.rmtree(self.directory)

    @property
    def _complete(self) -> Path:
        return self.directory / "complete.json"

    def _clear(self) -> None:
        # First what makes the rest mean something.
        for name in ("job.json", "complete.json"):
            (self.directory / name).unlink(missing_ok=True)
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)


def _locked(directory: Path, patience_s: float) -> int:
    until_s = time.monotonic() + patience_s
    while True:
        directory.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # whoever held it has just removed it
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), (directory / "lock").stat()):
                    return lock
            except BlockingIOError:
                pass
            os.close(lock)
        if time.monotonic() > until_s:
            raise InvalidInput(
                f"another replay writes to {directory.parent}",
                why=f"it holds {directory / 'lock'}",
                what_to_do="wait for its end, or name another --out directory",
            )
        time.sleep(_LOOK_EVERY_S)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(path: Path, content: object) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(content))
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # a file system that cannot
            raise
    finally:
        os.close(descriptor)
