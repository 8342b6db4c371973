"""A destination that is away for a whole day while fifty qualifications a minute come in, and another that is not."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from delivery_world import TOPICS, Batch, World, delivery, record, with_traits
from virtual_time import run

from pql_stream.delivery.outcomes import Later, Outcome
from pql_stream.delivery.sink import Item
from pql_stream.testing.builders import JAN_5_MS, Record

DAY_S = 86_400.0
EVERY_S = 60.0 / 50
COUNT = int(DAY_S / EVERY_S)
OTHERS = 1_000
"""What the living sink gets: twenty minutes of it tell its p99."""
LEADS = 7_001
BATCH_MAX = 500
RATE, PERIOD_S = 100, 10.0
CALL_ITEMS = 100
MEMORY_GROWTH_BYTES_MAX = 4 * 1024


@dataclass
class Queue:
    """
    The topic of one sink: a delivery every 1.2 s, made when it is read, so that what lies in it takes no memory.

    `came` has when each was taken, `calls_s` when the calls were that took them, `tries` when it was tried in vain.
    """

    world: World
    count: int
    away_for_s: float = 0.0
    came: list[tuple[int, float]] = field(default_factory=list)
    tries: list[float] = field(default_factory=list)
    calls_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.sink.always = self._take
        self.world.sink.health = Later("not_connected")

    def _take(self, item: Item) -> Outcome | None:
        now_s, calls = self.world.now_s(), self.world.sink.calls
        is_away = now_s < self.away_for_s
        if item.delivery.delivery_id == calls[-1][0]:
            (self.tries if is_away else self.calls_s).append(now_s)
            del calls[:-1]
        if is_away:
            return Later("not_connected")
        self.came.append((int(item.delivery.delivery_id[1:]), now_s))
        return None

    def records(self, first: int, end: int) -> Iterator[Record]:
        for number in range(first, end):
            at_ms = JAN_5_MS + 10_000 + round(number * EVERY_S * 1000)
            yield record(delivery(number, f"u{number % LEADS}", decided_at_ms=at_ms), number)

    async def live(self) -> None:
        """One worker, until all is delivered."""
        deliverer, at, stop = self.world.deliverer(), 0, asyncio.Event()
        while at < self.count:
            arrived = min(int(self.world.now_s() / EVERY_S) + 1, self.count)
            if arrived <= at:
                await asyncio.sleep(at * EVERY_S - self.world.now_s() + 0.001)
                continue
            batch = Batch(TOPICS.deliveries, list(self.records(at, min(arrived, at + BATCH_MAX))))
            assert "done" == await deliverer.handle(batch, stop)
            at += len(batch.records)

    def waits_s(self) -> list[float]:
        """From a qualification to its arrival, in order of size."""
        return sorted(at_s - number * EVERY_S for number, at_s in self.came)


def queue(count: int, away_for_s: float = 0.0) -> Queue:
    return Queue(World(with_traits(rate=RATE, rate_period_s=PERIOD_S, batch_max=CALL_ITEMS)), count, away_for_s)


def pairs_apart(times_s: list[float], calls: int) -> Iterator[tuple[float, float]]:
    """Each moment with the one so many calls later."""
    return zip(times_s, times_s[calls:], strict=False)


def ours_bytes() -> int:
    """What our own code has allocated and still holds: the test's notes grow."""
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=True, filename_pattern="*/pql_stream/*")]
    )
    return sum(one.size for one in snapshot.statistics("filename"))


def p99(ordered: list[float]) -> float:
    return ordered[len(ordered) * 99 // 100]


@pytest.mark.proof
def test_a_sink_away_for_a_day_costs_others_nothing_and_drains_in_order():
    """
    A day at fifty a minute: the other sink's p99 is what it is alone, memory stays flat while 72,000 deliveries wait,
    and then they drain within the rate limit, all of them once, each lead's in order.
    """
    alone, beside, dead = queue(OTHERS), queue(OTHERS), queue(COUNT, DAY_S)
    memory: list[int] = []

    async def watch() -> None:
        """Memory after two hours of the outage, when the other sink is done, and after twenty-three."""
        for pause_s in (2 * 3_600.0, 21 * 3_600.0):
            await asyncio.sleep(pause_s)
            memory.append(ours_bytes())
        tracemalloc.stop()

    async def day() -> None:
        async with asyncio.TaskGroup() as group:
            for task in (dead.live(), beside.live(), watch()):
                group.create_task(task)

    run(alone.live())
    tracemalloc.start()
    try:
        run(day())
    finally:
        tracemalloc.stop()

    by_lead: dict[int, list[int]] = defaultdict(list)
    for number, _ in dead.came:
        by_lead[number % LEADS].append(number)
    assert p99(alone.waits_s()) == p99(beside.waits_s()) < 1.0
    assert DAY_S / 60 < len(dead.tries) < 3 * DAY_S / 60
    assert memory[1] - memory[0] < MEMORY_GROWTH_BYTES_MAX
    assert list(range(COUNT)) == sorted(number for number, _ in dead.came)
    assert ([], []) == (dead.world.parked, dead.world.dead)
    assert all(order == sorted(order) for order in by_lead.values())
    assert min(late - early for early, late in pairs_apart(dead.calls_s, RATE)) > PERIOD_S - 1e-6
