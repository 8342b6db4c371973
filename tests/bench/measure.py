"""Throughput, seen from outside: committed offsets against the clock, CPU and memory from the system."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.cluster import Positions
from tests.bench.processes import MeasuredProcess

SAMPLE_EVERY_S = 0.05
WINDOW_S_MIN = 2.0
"""A shorter window has too few commits: its rate and its CPU are those of chance."""


class DidNotFinish(Exception):
    """A contender ended, or took too long; says which."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many events were committed at a moment, and the CPU used up to it."""

    at_s: float
    committed: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """One run. Rates and CPU are of the second half of the events."""

    events: int
    events_per_s: float
    cpu_s_per_million: float
    memory_peak_mb: float
    seconds: float
    """From the first commit to the last."""
    is_short: bool
    """Its outputs can be checked, but its speed says nothing: it has the start in it."""


def measure(
    processes: Sequence[MeasuredProcess], positions: Positions, events: int, *, seconds_max: float
) -> Throughput:
    """
    Wait until *processes* have committed *events*.

    Raises:
        DidNotFinish: one of them ended, or it took longer than *seconds_max*.
    """
    samples: list[Sample] = []
    until_s = time.monotonic() + seconds_max
    while not samples or samples[-1].committed < events:
        for process in processes:
            if process.exit_code is not None:
                raise DidNotFinish(f"it ended with {process.exit_code}: {process.log_tail()}")
        if time.monotonic() > until_s:
            done = samples[-1].committed if samples else 0
            raise DidNotFinish(f"{done} of {events} events in {seconds_max:.0f} s: {processes[0].log_tail()}")
        committed = positions.committed()
        if not samples or committed > samples[-1].committed:
            samples.append(Sample(time.monotonic(), committed, sum(process.cpu_s() for process in processes)))
        time.sleep(SAMPLE_EVERY_S)
    memory_mb = sum(process.memory_peak_mb() for process in processes)
    return of_samples(samples, events, memory_mb)


def of_samples(samples: Sequence[Sample], events: int, memory_peak_mb: float) -> Throughput:
    """
    The rate between the first commit past the half and the last one before the end.

    Not to the end: the last commit comes when its interval is over, whether there is work or not. Of a run that is
    too short for that, the whole is taken.
    """
    started = next((sample for sample in samples if sample.committed), samples[-1])
    begin = next(sample for sample in samples if sample.committed >= events / 2)
    inner = [sample for sample in samples if begin.committed < sample.committed < events]
    end = inner[-1] if inner else begin
    is_short = end.at_s - begin.at_s < WINDOW_S_MIN
    if is_short:
        begin, end = samples[0], samples[-1]
    count, window_s = end.committed - begin.committed, end.at_s - begin.at_s
    return Throughput(
        events=events,
        events_per_s=count / max(window_s, SAMPLE_EVERY_S),
        cpu_s_per_million=(end.cpu_s - begin.cpu_s) / max(count, 1) * 1e6,
        memory_peak_mb=memory_peak_mb,
        seconds=samples[-1].at_s - started.at_s,
        is_short=is_short,
    )
