"""The section that replays a file: no broker, a process or two, seen from outside."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from tests.bench.load import EVENTS_A_LEAD_MIN, Load, keyed_events
from tests.bench.results import Replaying
from tests.bench.session import say

PROCESSES = (1, 2)
LEADS = 2_000
LEADS_MANY = 1_000_000
"""More than are kept in memory: their states go to the disk and come back."""


def replays(directory: Path, events: int, reps: int, *, many: bool) -> Iterator[Replaying]:
    """The steady stream of few leads, and with *many* of a million, *reps* times in one process and in two."""
    for leads in (LEADS, LEADS_MANY) if many else (LEADS,):
        load = Load(stream="steady", leads=leads, events=max(events, EVENTS_A_LEAD_MIN * leads))
        path = directory / f"{load.slug}.jsonl"
        with path.open("wb") as file:
            file.writelines(value + b"\n" for _, value in keyed_events(load))
        for _ in range(reps):
            for processes in PROCESSES:
                found = _replay(path, directory / "out", load, processes)
                say(f"  replay in {processes}: {found.events_per_s:,.0f} events/s {found.failed}")
                yield found
        path.unlink()


def _replay(path: Path, out: Path, load: Load, processes: int) -> Replaying:
    started_s = time.monotonic()
    args = [sys.executable, "-m", "pql_stream", "replay", str(path), "--out", str(out), "--processes", str(processes)]
    with (out.parent / "stdout").open("wb") as told:
        pid = os.posix_spawn(
            sys.executable, [*args, "--json"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, told.fileno(), 1)]
        )
        # All that its processes used: it has waited for them.
        _, status, used = os.wait4(pid, 0)
    seconds = time.monotonic() - started_s
    counts = orjson.loads((out.parent / "stdout").read_bytes() or b"{}")
    shutil.rmtree(out, ignore_errors=True)
    is_whole = (counts.get("lines"), counts.get("rejected.jsonl")) == (load.events, 0)
    return Replaying(
        processes=processes,
        leads=load.leads,
        events=load.events,
        events_per_s=load.events / seconds,
        cpu_s_per_million=(used.ru_utime + used.ru_stime) / load.events * 1e6,
        memory_peak_mb=used.ru_maxrss / 1024,
        failed="" if status == 0 and is_whole else f"status {status}, {counts}",
    )
