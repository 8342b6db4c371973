"""A destination that is away for a day, and one that must not be hammered."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from delivery_world import Consumer, World, delivery, with_traits
from virtual_time import run

from pql_stream.delivery.outcomes import Later, Outcome
from pql_stream.delivery.sink import Item

DAY_S = 86_400.0


def test_a_day_without_the_destination_costs_time_and_nothing_else():
    """
    Twenty-four hours of refused connections over a backlog of a thousand.

    A try a minute, nothing parked, nothing given up; then everything within the rate limit, in order per lead.
    """
    world = World(with_traits(rate=100, rate_period_s=10.0))
    times_s: list[float] = []

    def away_for_a_day(_item: Item) -> Outcome | None:
        times_s.append(world.now_s())
        return Later("not_connected") if world.now_s() < DAY_S else None

    world.sink.always = away_for_a_day
    world.sink.health = Later("not_connected")
    world.add(*(delivery(number, f"u{number % 300}") for number in range(1, 1_001)))

    assert run(Consumer(batch_max=500).live(world, asyncio.Event()))

    tries = [at_s for at_s in times_s if at_s < DAY_S]
    after = [at_s for at_s in times_s if at_s >= DAY_S]
    assert DAY_S / 60 < len(tries) < 3 * DAY_S / 60
    assert ([], [], 1_000) == (world.parked, world.dead, len(after))
    assert min(late - early for early, late in zip(after, after[100:], strict=False)) > 10.0 - 1e-6
    assert after[-1] - DAY_S < 60 + 1_000 / 10 + 10
    by_lead = defaultdict(list)
    for effect in world.sink.effects:
        by_lead[effect.lead_id].append(int(effect.delivery_id[1:]))
    assert all(sorted(order) == order for order in by_lead.values())


def test_bad_credentials_are_not_hammered():
    """401 for a day: one try in a quarter of an hour, one alert, and everything goes out when they are good."""
    world = World()
    tries: list[str] = []

    def unauthorised(item: Item) -> Outcome | None:
        tries.append(item.delivery.delivery_id)
        return Later("unauthorised", detail="401") if world.now_s() < DAY_S else None

    world.sink.always = unauthorised

    assert "done" == run(world.handle(*(delivery(number, f"u{number}") for number in range(1, 51))))
    assert len(tries) - 50 <= DAY_S / 900 + world.settings.calls_max
    assert [("crm", "unauthorised"), ("crm", None)] == world.alerts.told
    assert 50 == len(world.delivered())


def test_one_dead_sink_delays_no_other():
    """Two sinks' batches beside each other: the living one is done as fast as ever."""
    dead, alive = World(), World()
    dead.sink.health = Later("not_connected")
    dead.sink.always = lambda _item: Later("not_connected") if dead.now_s() < DAY_S / 8 else None

    async def play() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        ends = {}

        async def handle(name: str, world: World) -> None:
            await world.handle(*(delivery(number, f"u{number}") for number in range(1, 101)))
            ends[name] = loop.time()

        await asyncio.gather(handle("dead", dead), handle("alive", alive))
        return ends["dead"], ends["alive"]

    dead_s, alive_s = run(play())

    assert dead_s >= DAY_S / 8
    assert alive_s < 2.0
