"""What the demo plays: real input, some dirt, some wrong partitions, then simulated trial users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pql_stream.ops.demo.dirt import dirt
from pql_stream.ops.demo.ravenstack import EVENTS_COUNT, ravenstack_events
from pql_stream.testing.simulation import simulate

Chapter = Literal["companies", "trial users"]

QUICK_EVENTS = 10_000
TRIAL_USERS = 60
TRIAL_SEED = 7
_MISPLACED_EVERY = 40
"""One event in so many lies on a partition that its lead does not belong to, as with a producer that keys otherwise."""


@dataclass(frozen=True, slots=True)
class DemoRecord:
    """One record to produce; *misplaced* ones go to the partition after the right one."""

    chapter: Chapter
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    misplaced: bool = False


def demo_records(*, quick: bool) -> Iterator[DemoRecord]:
    """
    Everything that is played, in order, always the same.

    The companies' two years come with dirt between them; *quick* takes the first 10,000 of their events only.
    """
    count = QUICK_EVENTS if quick else EVENTS_COUNT
    bad = dirt()
    every = count // len(bad)
    for number, event in enumerate(islice(ravenstack_events(), count)):
        place, between = divmod(number, every)
        if between == 0 and place < len(bad):
            yield DemoRecord("companies", bad[place].key, bad[place].value, bad[place].headers)
        yield DemoRecord("companies", event.key, event.value, misplaced=number % _MISPLACED_EVERY == 1)
    for activity in simulate(TRIAL_USERS, TRIAL_SEED, form="mixed"):
        yield DemoRecord("trial users", activity.key, activity.value)


def demo_lines(records: Iterable[DemoRecord]) -> Iterator[bytes]:
    """The values of *records* as lines of a file, without their ends; those that cannot be one are left out."""
    return (record.value for record in records if record.value and b"\n" not in record.value)


def refusals_expected() -> int:
    """How many of the demo's records are no event."""
    return sum(record.reason is not None for record in dirt())


def skips_expected() -> int:
    """How many of the demo's records are tombstones."""
    return sum(record.reason is None for record in dirt())
