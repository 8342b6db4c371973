"""What flows in during a rehearsal: a steady stream that makes one output each, and the soak's mix beside it."""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from score_bench import ScoreBench

from pql_stream.testing.builders import native_json
from tests.oracle.murmur2 import partition_of_lead
from tests.soak.feed import Feeder, input_of
from tests.soak.schedule import Mix

PULSE: Final = "pulse-"
"""How the leads of the steady stream begin."""

MIX = Mix(leads=60, events=3000, hot=0, dirt=0.05, crc32=0.25, both=0.1, burst_bytes=0)
_MIX_S = 60.0
_TICK_S = 0.01
_OLD = "old-"


class SteadyFeed:
    """
    So many events a second, each of a lead of its own that gets its first points by it, from `start` to `end`.

    With them go the soak's records of all forms, refused ones and those on the wrong partition, over the first
    minute; what is left of them at the end comes then.
    """

    def __init__(self, bench: ScoreBench, rate: int, mix: Mix, seed: int) -> None:
        self._bench = bench
        self._rate = rate
        self._mix = Feeder(input_of(seed, mix, bench.partitions), _MIX_S, seed)
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="steady feed", daemon=True)
        self.sent = 0

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait until the broker has all of it."""
        self._ending.set()
        self._thread.join()
        self.check()
        self._bench.send(self._mix.advance(sys.maxsize))
        self._bench.flush()

    def check(self) -> None:
        """Raise what the thread has ended of."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        began_s = time.monotonic()
        try:
            while not self._ending.wait(_TICK_S):
                passed_s = time.monotonic() - began_s
                while self.sent < passed_s * self._rate:
                    emit(self._bench, f"{PULSE}{self.sent}")
                    self.sent += 1
                self._bench.send(self._mix.due(passed_s))
        except BaseException as exc:  # noqa: BLE001  # it is raised where somebody waits for it
            self._failure = exc


def emit(bench: ScoreBench, lead_id: str) -> None:
    """The event that gives *lead_id* its first points, on its partition, without waiting."""
    value = native_json("tutorial_completed", lead_id, event_id=f"{lead_id}-1")
    bench.produce(bench.topics.activity, partition_of_lead(lead_id, bench.partitions), lead_id.encode(), value)


def fill(bench: ScoreBench, leads: int) -> None:
    """So many leads that were there before: rows that a worker reads back."""
    for number in range(leads):
        emit(bench, f"{_OLD}{number}")
    bench.flush()
