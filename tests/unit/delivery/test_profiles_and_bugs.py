"""Contact data that is missing or erased, bugs of ours, and the numbers of it all."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from delivery_world import TOPICS, Batch, Consumer, World, delivery, with_traits
from virtual_time import run

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.outcomes import Later, Refused
from pql_stream.errors import InvalidState
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.wire.deliveries import redriven

NEEDY = with_traits(needs_profile=True)


def test_contact_data_goes_with_the_delivery():
    """The sink gets what is known of the lead."""
    world = World(NEEDY)
    world.profiles["u1"] = LeadProfile("u1", email="a@b.example")
    seen = []
    world.sink.always = lambda item: seen.append(item.profile)

    run(world.handle(delivery(1)))

    assert [LeadProfile("u1", email="a@b.example")] == seen


def test_a_profile_that_is_on_its_way_is_waited_for():
    """It comes two minutes later: until then the lead is parked, and nothing is sent without it."""
    world = World(NEEDY)
    world.add(delivery(1), delivery(2))

    async def play() -> None:
        profile = LeadProfile("u1", email="a@b.example")
        asyncio.get_running_loop().call_later(130, world.profiles.__setitem__, "u1", profile)
        await Consumer().live(world, asyncio.Event())

    run(play())

    assert ["d1", "d2"] == world.delivered()
    assert 130 <= min(world.meter.delivered_s) <= 200


def test_a_profile_that_never_comes_is_not_waited_for_for_ever():
    """After five minutes the delivery is a dead letter; a sink that needs no profile never waited."""
    world = World(NEEDY)
    world.add(delivery(1))
    run(Consumer().live(world, asyncio.Event()))

    assert ([("d1", "no_profile")], []) == (world.dead_letters(), world.sink.calls)
    assert 300 <= world.now_s() <= 420


def test_an_erased_lead_is_told_nothing_more():
    """Its deliveries are refused as unwanted, parked ones as well, whatever the sink."""
    world = World()
    world.sink.script["d1"] = deque([Later("busy", "item", after_s=60.0)])

    async def play() -> None:
        await world.handle(delivery(1))
        world.profiles["u1"] = "erased"
        world.add(delivery(2, "u1"), delivery(3, "u2"))
        await Consumer().live(world, asyncio.Event())

    run(play())

    assert ([["d1"], ["d3"]], [("d1", "unwanted"), ("d2", "unwanted")]) == (world.sink.calls, world.dead_letters())


def test_a_bug_costs_one_delivery_and_tells_no_text():
    """Our code fails before the call of one and in the call of another: both are dead letters, the rest goes on."""
    world = World()
    world.profiles["u1"] = "bug"
    world.sink.channels["u2"] = "bug"
    world.sink.script["d3"] = deque(["bug"])

    run(world.handle(*(delivery(number, f"u{number}") for number in (1, 2, 3, 4))))

    assert [("d1", "internal_error"), ("d2", "internal_error"), ("d3", "internal_error")] == world.dead_letters()
    assert ["d4"] == world.delivered()
    assert ["KeyError", "KeyError", "ZeroDivisionError"] == [bug.splitlines()[-1] for bug in world.bugs]
    assert not any("u1" in bug.splitlines()[-1] for bug in world.bugs)


def test_contact_data_that_cannot_be_read_sends_nothing_to_the_dead_letters():
    """Rows of a version that we do not know: the worker ends, and the batch is read again by one that does."""
    world = World()
    world.profiles["u1"] = "unreadable"

    with pytest.raises(InvalidState):
        run(world.handle(delivery(1), delivery(2, "u2")))

    assert ([], ["pending"]) == (world.dead, world.states(1))


def test_a_bug_in_a_call_of_many_costs_the_one_it_is_about():
    """One item makes the whole call raise: smaller calls find it, the others are delivered."""
    world = World(with_traits(batch_max=4))
    world.sink.always = lambda item: "bug" if item.delivery.delivery_id == "d3" else None

    run(world.handle(*(delivery(number, f"u{number}") for number in range(1, 9))))

    assert [("d3", "internal_error")] == world.dead_letters()
    assert {f"d{number}" for number in range(1, 9)} - {"d3"} == set(world.delivered())


def test_what_a_bug_may_have_sent_is_in_doubt():
    """Redriven, a delivery that our own code failed on in the middle is a repeat."""
    world = World(with_traits(repeatable=frozenset()))
    world.sink.script["d1"] = deque(["bug"])

    async def play() -> None:
        await world.handle(delivery(1))
        await world.handle(redriven(delivery(1)))

    run(play())

    assert [True] == [effect.is_repeat for effect in world.sink.effects]


def test_the_numbers_add_up():
    """Outcomes, seconds, dead letters and what is parked, as they happened."""
    world = World()
    world.sink.script |= {
        "d1": deque([Later("busy", "item")]),
        "d2": deque([Refused("not_found")]),
        "d3": deque([Later("busy", "item", 900.0)]),
        "d4": deque(["lost"]),
    }

    run(world.handle(*(delivery(number, f"u{number}") for number in (1, 2, 3, 4))))

    meter = world.meter
    assert {"delivered": 2, "later": 2, "refused": 1, "unknown": 1} == meter.outcomes
    assert ({"not_found": 1}, 1) == (meter.dead_letters, meter.parked)
    assert all(10.0 < seconds < 12.0 for seconds in meter.delivered_s)


def test_what_waits_longest_is_told_over_all_partitions():
    """Two partitions are in work: the older delivery counts, until it is done."""
    world = World()
    world.sink.script["d1"] = deque([Later("quota_used_up", after_s=100.0)])

    async def play() -> list[int | None]:
        deliverer = world.deliverer()
        world.add(delivery(1, "u1"), delivery(2, "u2"))
        seen = []
        tasks = [
            asyncio.create_task(deliverer.handle(Batch(TOPICS.deliveries, [one], partition=partition), asyncio.Event()))
            for partition, one in enumerate(world.main)
        ]
        for _ in range(2):
            await asyncio.sleep(50)
            seen.append(world.meter.standing[-1])
        await asyncio.gather(*tasks)
        return [*seen, world.meter.standing[-1]]

    seen = run(play())

    assert [("paused", JAN_5_MS + 1), ("paused", JAN_5_MS + 1), ("closed", None)] == seen


def test_calls_at_once_are_bounded():
    """Never more than the setting for a partition, and that many when there is enough to do."""
    world = World()

    run(world.handle(*(delivery(number, f"u{number}") for number in range(1, 100))))

    assert world.settings.calls_max == world.sink.at_once_max
