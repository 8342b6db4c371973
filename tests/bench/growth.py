"""The section that varies one thing of our worker at a time: partitions, workers, leads, size of an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.lineup import OURS
from tests.bench.load import EVENTS_A_LEAD_MIN, Load
from tests.bench.results import Run
from tests.bench.session import Session, say
from tests.bench.throughput import sentence

LEADS = 10_000
EVENT_BYTES = 300
PARTITIONS = 4
BYTES_MAX = 1_000_000_000
"""Of one input: large events come in smaller numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place on one curve."""

    load: Load
    partitions: int = PARTITIONS
    workers: int = 1


def points(events: int) -> tuple[Point, ...]:
    """All there are; where curves cross, the point is there once."""
    base = _load(events)
    made = [
        *(Point(load=base, partitions=partitions) for partitions in (1, 4, 12)),
        *(Point(load=base, partitions=12, workers=workers) for workers in (1, 2)),
        *(Point(load=_load(events, event_bytes=size)) for size in (100, 300, 1_000, 3_000, 10_000)),
        # Last, as a million leads take longer than all else: who has not the time can end it there.
        *(Point(load=_load(events, leads=leads)) for leads in (10_000, 100_000, 1_000_000)),
    ]
    return tuple(dict.fromkeys(made))


def _load(events: int, *, leads: int = LEADS, event_bytes: int = EVENT_BYTES) -> Load:
    fitting = min(events, BYTES_MAX // event_bytes)
    return Load(stream="steady", leads=leads, events=max(fitting, EVENTS_A_LEAD_MIN * leads), event_bytes=event_bytes)


def grow(session: Session, events: int, reps: int) -> Iterator[Run]:
    """Our worker with RocksDB at every point, *reps* times."""
    for point in points(events):
        with session.input(point.load, point.partitions) as given:
            for rep in range(reps):
                run = session.run(OURS, given, point.workers)
                what = (
                    f"{point.load.leads:,} leads, {point.load.event_bytes:,} B, {point.partitions} partitions, "
                    f"{point.workers} workers"
                )
                say(f"  {rep + 1}/{reps} {what}: {sentence(run)}")
                yield run
