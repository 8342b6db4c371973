"""What fails alone waits alone: parked, tried again, given up; and its lead's later deliveries behind it."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
import pytest
from delivery_world import TOPICS, Consumer, World, delivery, record, with_traits
from virtual_time import run

from pql_stream.delivery.ledger import MemoryLedger
from pql_stream.delivery.outcomes import Later, Refused, Unknown
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.testing.builders import Record
from pql_stream.wire.deliveries import encode_delivery, redriven

BUSY = Later("busy", "item", detail="locked")


def always(world: World, name: str, step: object) -> None:
    """Whatever is tried as delivery *name* comes to *step*."""
    world.sink.always = lambda item: step if item.delivery.delivery_id == name else None


def whole_run(world: World) -> None:
    """Until nothing is left in either topic."""
    assert run(Consumer().live(world, asyncio.Event()))


def test_later_deliveries_of_the_lead_wait_behind_and_others_go_on():
    """The first is parked after three attempts, the second with it and unasked; another lead's is delivered."""
    world = World()
    always(world, "d1", BUSY)

    run(world.handle(delivery(1, "u1"), delivery(2, "u1"), delivery(3, "u2")))

    assert ["d3"] == world.delivered()
    assert ["parked", "parked", "delivered"] == world.states(1, 2, 3)
    assert 3 == sum(call == ["d1"] for call in world.sink.calls)
    first, second = world.copies()
    assert (3, 0, 1) == (first.attempts, first.place, first.parks)
    assert (0, 1, None) == (second.attempts, second.place, second.first_failed_at_ms)
    assert first.due_at_ms == second.due_at_ms == first.parked_at_ms + 60_000
    assert [("h", b"1")] == world.parked[0].headers


def test_what_comes_while_a_delivery_is_parked_waits_behind_it():
    """A later batch of the topic does not overtake what is parked of the same lead."""
    world = World()
    always(world, "d1", BUSY)

    async def two_batches() -> None:
        await world.handle(delivery(1, "u1"))
        await world.handle(delivery(2, "u1"), delivery(3, "u2"))

    run(two_batches())

    assert (["d3"], ["d1", "d2"]) == (world.delivered(), [copy.delivery_id for copy in world.copies()])


def test_parked_deliveries_are_tried_when_they_are_due_and_in_order():
    """The first fails at first, and once more when it is due; then all of the lead is delivered, in order."""
    world = World()
    world.sink.script["d1"] = deque([BUSY] * 4)
    world.add(*(delivery(number, "u1") for number in (1, 2, 3)))

    whole_run(world)

    assert ["d1", "d2", "d3"] == world.delivered()
    assert 5 == sum(call == ["d1"] for call in world.sink.calls)
    due_ms = [copy.due_at_ms for copy in world.copies()]
    assert sorted(due_ms) == due_ms


def test_a_long_retry_after_is_honoured_by_parking_again():
    """Asked for ten minutes, it is parked about ten times and tried after them, not before."""
    world = World()
    world.sink.script["d1"] = deque([Later("busy", "item", after_s=600.0)])
    world.add(delivery(1))
    times: list[float] = []
    world.sink.always = lambda _item: times.append(world.now_s())

    whole_run(world)

    assert (2, ["d1"]) == (len(times), world.delivered())
    assert times[1] - times[0] >= 600
    assert 10 <= len(world.parked) <= 12


def test_what_fails_for_too_long_is_given_up_and_its_lead_goes_on():
    """A day after it began to fail it is a dead letter, with the record as it was; the next is delivered."""
    world = World()
    always(world, "d1", BUSY)
    world.add(delivery(1, "u1"), delivery(2, "u1"))

    whole_run(world)

    assert ([("d1", "gave_up")], ["d2"]) == (world.dead_letters(), world.delivered())
    headers = dict(world.dead[0].headers)
    assert {"pql-dlq-detail": b"locked", "pql-dlq-sink": b"crm", "pql-dlq-original-topic": b"delivery-crm-parked"} == {
        name: headers[name] for name in ("pql-dlq-detail", "pql-dlq-sink", "pql-dlq-original-topic")
    }
    assert world.dead[0].value in [parked.value for parked in world.parked]
    assert 86_400 <= world.meter.delivered_s[0] <= 86_400 + 3_600 + 180


def test_a_channel_that_fails_holds_back_its_own_deliveries_only():
    """Two leads of one channel wait, without being asked each; the third's is delivered meanwhile."""
    world = World()
    world.sink.channels = {"u1": "c1", "u2": "c1", "u3": "c2"}
    world.sink.script["d1"] = deque([Later("rate_limited", "channel", after_s=4.0)])
    world.settings = DeliverySettings(calls_max=1)

    run(world.handle(delivery(1, "u1"), delivery(2, "u2"), delivery(3, "u3")))

    assert [["d1"], ["d3"], ["d2"], ["d1"]] == world.sink.calls


def test_a_channel_that_takes_nothing_is_not_waited_for():
    """Three failures in a row, whoever had them, and all that goes through the channel is parked."""
    world = World()
    world.sink.channels = {f"u{number}": "c1" for number in range(1, 9)}
    world.sink.always = lambda _item: Later("unavailable", "channel")
    world.settings = DeliverySettings(calls_max=1)

    run(world.handle(*(delivery(number, f"u{number}") for number in range(1, 9))))

    assert (3, ["parked"] * 8) == (len(world.sink.calls), world.states(*range(1, 9)))
    assert "closed" == world.breaker.state


def test_a_limit_for_each_channel_is_kept_without_holding_others():
    """One a second and channel: three of one channel take two seconds, another's go at once."""
    world = World(with_traits(rate=1, rate_period_s=1.0, rate_scope="channel"))
    world.sink.channels = {"u1": "c1", "u2": "c1", "u3": "c1", "u4": "c2"}
    times: dict[str, float] = {}
    world.sink.always = lambda item: times.setdefault(item.delivery.delivery_id, world.now_s()) and None

    run(world.handle(*(delivery(number, f"u{number}") for number in (1, 2, 3, 4))))

    assert [0.0, 1.0, 2.0, 0.0] == [round(times[f"d{number}"], 3) for number in (1, 2, 3, 4)]


def test_a_call_has_one_channel():
    """Where a call takes several items, those of other channels go in another."""
    world = World(with_traits(batch_max=10))
    world.sink.channels = {"u1": "c1", "u2": "c2", "u3": "c1"}

    run(world.handle(*(delivery(number, f"u{number}") for number in (1, 2, 3))))

    assert [["d1", "d3"], ["d2"]] == world.sink.calls


def test_nothing_is_waited_for_longer_than_it_is_parked():
    """A due time from a clock that was a day ahead costs a minute, not a day."""
    world = World()
    far = delivery(1, parks=1, place=0, due_at_ms=10**15, parked_at_ms=10**15)
    world.parked = [record(far, 0, TOPICS.parked)]

    async def seconds() -> float:
        await world.read_parked()
        return world.now_s()

    assert 60 <= run(seconds()) < 61


def test_an_emptied_ledger_loses_nothing():
    """All of a lead is parked, then the ledger is emptied: everything is delivered, in order."""
    world = World()
    world.sink.script["d1"] = deque([BUSY] * 3)
    world.add(*(delivery(number, "u1") for number in (1, 2, 3)))
    run(world.read())
    world.ledger.inner = MemoryLedger()
    consumer = Consumer()
    consumer.committed[TOPICS.deliveries] = len(world.main)
    run(consumer.live(world, asyncio.Event()))

    assert ["d1", "d2", "d3"] == world.delivered()


def test_an_older_copy_is_dropped():
    """A copy that was parked again since is not delivered: the newer one stands for it, also in the same batch."""
    world = World()
    always(world, "d1", Later("busy", "item", after_s=600.0))

    async def twice() -> None:
        await world.handle(delivery(1))
        await world.read_parked()
        await world.read_parked()

    run(twice())

    assert ([1, 2, 3], 1) == ([copy.parks for copy in world.copies()], len(world.sink.calls))


def test_a_copy_from_before_a_crash_does_not_bring_a_dead_letter_back():
    """It was parked, the ledger never heard of it, and the record before it, read again, was refused."""
    world = World()
    world.sink.script["d1"] = deque([Refused("invalid")])
    world.parked = [record(delivery(1, parks=1, place=0), 0, TOPICS.parked)]

    async def play() -> None:
        await world.handle(delivery(1))
        await world.read_parked()

    run(play())

    assert ([["d1"]], ["refused"]) == (world.sink.calls, world.states(1))


def test_a_refused_delivery_comes_back_only_when_it_is_redriven():
    """Read again, a refused delivery is skipped; redriven, it is tried."""
    world = World()
    world.sink.script["d1"] = deque([Refused("invalid")])

    async def again() -> list[list[str]]:
        states = []
        for one in (delivery(1), delivery(1), redriven(delivery(1, parks=3, place=7, attempts=9))):
            await world.handle(one)
            states.append(world.states(1))
        return states

    assert [["refused"], ["refused"], ["delivered"]] == run(again())
    assert 2 == len(world.sink.calls)


@pytest.mark.parametrize("batch_max", [1, 4])
def test_a_delivery_that_the_sink_chokes_on_is_found(batch_max):
    """No call with it in it is ever answered: the others are delivered, and it alone is parked, as failing alone."""
    world = World(with_traits(batch_max=batch_max))
    world.settings = DeliverySettings(calls_max=2)
    leads = range(1, 200)
    poison = "d6"
    world.sink.deliver = choking(world, poison)

    run(world.handle(*(delivery(number, f"u{number}") for number in leads)))

    assert {f"d{number}" for number in leads} - {poison} == set(world.delivered())
    [copy] = world.copies()
    assert (poison, True) == (copy.delivery_id, copy.first_failed_at_ms is not None)
    assert copy.attempts <= 12


def choking(world: World, poison: str):
    """A sink whose whole call fails when *poison* is in it."""
    inner = world.sink.deliver

    async def deliver(items):
        if any(item.delivery.delivery_id == poison for item in items):
            await asyncio.sleep(0.1)
            return [Unknown("500") for _ in items]
        return await inner(items)

    return deliver


@pytest.mark.parametrize("batch_max", [1, 2])
def test_a_batch_of_nothing_else_does_not_stop_its_partition(batch_max):
    """Everything in work fails, and the sink says that it is well: parked, and not yet as failing alone."""
    world = World(with_traits(batch_max=batch_max))
    world.sink.always = lambda _item: Later("unavailable")

    run(world.handle(delivery(1, "u1"), delivery(2, "u2")))

    assert (["parked", "parked"], [None, None]) == (
        world.states(1, 2),
        [copy.first_failed_at_ms for copy in world.copies()],
    )


@pytest.mark.parametrize("health", [Later("unavailable"), Unknown(), "bug"])
def test_a_sink_that_is_not_well_is_waited_for(health):
    """The same when the sink cannot be asked either: it is an outage, and nothing is parked."""
    world = World()
    world.sink.health = health
    world.sink.always = lambda _item: Later("unavailable") if world.now_s() < 5_000 else None

    run(world.handle(delivery(1, "u1"), delivery(2, "u2")))

    assert (["delivered", "delivered"], []) == (world.states(1, 2), world.parked)


def test_records_that_are_no_deliveries_are_dead_letters():
    """Noise, another sink's record and a wrong version, as they came; a tombstone is nothing."""
    world = World()
    wrong = msgspec.structs.replace(delivery(1), schema="delivery/9")
    values = [b"\xff{", encode_delivery(delivery(2, sink="slack")), encode_delivery(wrong), None, b""]
    world.main = [Record(TOPICS.deliveries, 0, at, 5, b"k", value, [("h", None)]) for at, value in enumerate(values)]

    handled = run(world.read())

    assert ("done", values[:3], {"invalid": 3}) == (
        handled,
        [dead.value for dead in world.dead],
        world.meter.dead_letters,
    )
    assert [
        ("h", None),
        ("pql-dlq-reason", b"invalid"),
        ("pql-dlq-detail", b"another sink's"),
        ("pql-dlq-sink", b"crm"),
        ("pql-dlq-original-topic", b"delivery-crm"),
        ("pql-dlq-original-partition", b"0"),
        ("pql-dlq-original-offset", b"1"),
        ("pql-dlq-original-timestamp", b"5"),
        ("pql-dlq-version", b"1"),
    ] == world.dead[1].headers


def test_a_record_that_comes_twice_is_delivered_once():
    """In one batch, and again later."""
    world = World()

    async def thrice() -> None:
        await world.handle(delivery(1), delivery(1))
        await world.handle(delivery(1))

    run(thrice())

    assert [["d1"]] == world.sink.calls
