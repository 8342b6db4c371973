"""Which core runs what: the broker and whoever feeds and measures on some, a worker on one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Disjoint where there are two cores or more; empty where a process cannot be held to a core (macOS)."""

    broker: frozenset[int]
    workers: tuple[int, ...]

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The last core is the first worker's, the one before it the second's; the broker has the others."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(frozenset(), ())
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == 1:
            return cls(frozenset(cores), (cores[0],))
        workers = tuple(reversed(cores[1:]))[:2]
        return cls(frozenset(cores) - set(workers) or frozenset(cores[:1]), workers)

    def worker(self, number: int) -> frozenset[int]:
        """The core of worker *number* (from 0); where there are too few, all cores."""
        if number < len(self.workers):
            return frozenset({self.workers[number]})
        return self.broker | frozenset(self.workers)

    def sentence(self) -> str:
        """Who sits where, for the report."""
        if not self.workers:
            return "nothing is held to a core on this system"
        return f"broker, feeder and meter on {_named(self.broker)}, a worker on {_named(self.worker(0))}"


def _named(cores: frozenset[int]) -> str:
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, sorted(cores)))}"


@contextmanager
def held_to(cores: frozenset[int]) -> Iterator[None]:
    """This thread, and the processes it starts, run on *cores* meanwhile; without any, nothing is changed."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
