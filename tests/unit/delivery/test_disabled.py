"""A destination that answers 410 is left alone: by every worker, over restarts, until somebody enables it."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from delivery_world import SINK, TOPICS, Batch, Crash, World, delivery, record, with_traits
from virtual_time import run

from pql_stream.delivery.outcomes import Refused
from pql_stream.delivery.settings import DeliverySettings

ENDPOINT = "hash-of-the-url"
GONE = Refused("gone", "status 410")


def world_with_410(*numbers: int) -> World:
    """A destination that answers the first delivery with 410, and would take all others."""
    world = World(with_traits(endpoint=ENDPOINT), DeliverySettings(calls_max=1))
    world.sink.script["d1"] = deque([GONE])
    world.add(*(delivery(number, f"u{number}") for number in numbers))
    return world


def test_after_a_410_nothing_is_sent_by_any_worker():
    """What is left of the batch, and what the next worker reads, goes to the dead letters; each tells it once."""
    world = world_with_410()

    run(world.handle(delivery(1, "u1"), delivery(2, "u2")))
    run(world.handle(delivery(3, "u3")))

    assert [["d1"]] == world.sink.calls
    assert [("d1", "gone"), ("d2", "gone"), ("d3", "gone")] == world.dead_letters()
    assert [(SINK, "disabled")] * 2 == world.alerts.told
    assert ("disabled", None) == world.meter.standing[-1]
    assert ["refused"] * 3 == world.states(1, 2, 3)


def test_what_is_parked_is_not_sent_either():
    """It is due, and the endpoint is disabled."""
    world = World(with_traits(endpoint=ENDPOINT))
    run(world.ledger.disable(ENDPOINT, 1))
    world.parked = [record(delivery(1, parks=1, place=0), 0, TOPICS.parked)]

    run(world.read_parked())

    assert ([], [("d1", "gone")]) == (world.sink.calls, world.dead_letters())


def test_enabled_again_it_gets_what_comes_then():
    """By the next batch of a worker that runs all the time; nothing is asked of the worker."""
    world = world_with_410(1, 2)

    async def play() -> None:
        worker = world.deliverer()
        for at in (0, 1):
            await worker.handle(Batch(TOPICS.deliveries, world.main[at : at + 1]), asyncio.Event())
            await world.ledger.enable(ENDPOINT)

    run(play())

    assert (["d2"], [("d1", "gone")]) == (world.delivered(), world.dead_letters())
    assert [(SINK, "disabled"), (SINK, "enabled")] == world.alerts.told


def test_another_url_is_not_disabled():
    """The mark is of the endpoint: with a new URL the sink is as new."""
    world = World(with_traits(endpoint="hash-of-the-new-url"))
    run(world.ledger.disable(ENDPOINT, 1))

    run(world.handle(delivery(1)))

    assert ["d1"] == world.delivered()


def test_the_ledger_knows_before_anything_is_given_up():
    """A worker that dies with the first dead letter has told the ledger: the next one sends nothing."""
    world = world_with_410(1, 2)
    send = world.send

    async def dying_send(*_: object) -> None:
        raise Crash

    world.send = dying_send
    with pytest.raises(Crash):
        run(world.read())
    world.send = send
    world.sink.calls.clear()
    run(world.read())

    assert ([], {("d1", "gone"), ("d2", "gone")}) == (world.sink.calls, set(world.dead_letters()))


def test_a_mark_waits_for_the_ledger():
    """It goes away while the 410 is on its way: the dead letter waits too, and then the mark is there."""
    world = world_with_410(1)
    world.sink.seconds = 5.0
    world.ledger.away = lambda: 3 < world.now_s() < 600

    run(world.read())

    assert (True, [("d1", "gone")]) == (run(world.ledger.enable(ENDPOINT)), world.dead_letters())


def test_a_look_does_not_forget_what_the_ledger_was_not_told_yet():
    """Another batch looks between the 410 and the mark."""
    world = world_with_410(1)

    async def play() -> tuple[bool, int | None]:
        worker = world.deliverer()
        world.outlet.switch.disable()
        await worker.look()
        return world.outlet.switch.is_disabled, await world.ledger.disabled_at_ms(ENDPOINT)

    assert (True, None) == run(play())


def test_a_sink_without_an_endpoint_refuses_one_by_one():
    """A Slack channel that is archived is gone, and others are not."""
    world = World()
    world.sink.script["d1"] = deque([GONE])

    run(world.handle(delivery(1, "u1"), delivery(2, "u2")))

    assert (["d2"], [("d1", "gone")], []) == (world.delivered(), world.dead_letters(), world.alerts.told)


def test_a_worker_shows_what_is_disabled_before_anything_is_for_it():
    """After a restart the metric says so without a delivery."""
    world = World(with_traits(endpoint=ENDPOINT))
    run(world.ledger.disable(ENDPOINT, 1))

    async def play() -> None:
        await world.deliverer().look()

    run(play())

    assert [("disabled", None)] == world.meter.standing
