"""Replays as the tests of the engine want them: of populations with dirt, in small steps."""

import functools
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from pql_stream.replay.cut import ALL, Cut
from pql_stream.replay.engine import replay
from pql_stream.replay.job import Job, Replayed
from pql_stream.replay.sources.files import Files
from pql_stream.wire.packs import load_pack
from tests.oracle import generate

LEADS, EVENTS = 30, 1_500


@functools.cache
def population(seed: int) -> bytes:
    """A file of a population's records, those that can be lines: one in ten is no event."""
    records = generate.records(seed, LEADS, EVENTS, dirt=0.1)
    return b"".join(record.value + b"\n" for record in records if generate._can_be_line(record))


def job_of(*paths: Path, out: Path, pack: str = "pql-100", block_bytes: int = 4_000, **given) -> Job:
    """A replay in small steps: some states in memory, a checkpoint after each few chunks."""
    settings = {"leads_kept": 7, "checkpoint_records": 40, **given}
    return Job(
        source=Files([str(path) for path in paths], block_bytes=block_bytes), pack=load_pack(pack), out=out, **settings
    )


def in_memory(*paths: Path, out: Path, cut: Cut = ALL) -> dict[str, bytes]:
    """What a replay writes that is one process with room for everything."""
    replay(job_of(*paths, out=out, cut=cut, leads_kept=10**6, checkpoint_records=10**9), on_and_on, print)
    return files_in(out)


def on_and_on(_bytes_read: int, _records: int) -> bool:
    return True


class Crash(Exception):
    """The end of a process, as far as it can be had within one."""


def after_chunks(count: int, *, crash: bool = False) -> Callable[[int, int], bool]:
    """Stops when *count* chunks are read; or ends at once, without a word."""
    chunks = itertools.count(1)

    def goes_on(_bytes_read: int, _records: int) -> bool:
        if next(chunks) < count:
            return True
        if crash:
            raise Crash
        return False

    return goes_on


class FilesIn(dict[str, bytes]):
    """Contents by name; a test that fails shows the names."""

    def __repr__(self) -> str:
        return f"FilesIn({', '.join(sorted(self))})"


def files_in(directory: Path) -> dict[str, bytes]:
    """All there is, by name, at any depth."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return FilesIn((str(path.relative_to(directory)), path.read_bytes()) for path in files)


def say_nothing(sentence: str) -> None:
    raise AssertionError(sentence)


def tell(step: object) -> None:
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()


def main(out: str, processes: str, *paths: str) -> Replayed:
    """A replay for whoever wants to kill it: it tells on stdout of every step, and of what it found."""

    def goes_on(_bytes_read: int, records: int) -> bool:
        tell(records)
        return True

    job = job_of(*map(Path, paths), out=Path(out), processes=int(processes))
    return replay(job, goes_on, tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
