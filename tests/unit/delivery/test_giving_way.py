"""Giving way: to a rebalance, to SIGTERM, to a new owner; and waiting for a ledger that is away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest
from delivery_world import TOPICS, Batch, Crash, World, delivery, record, with_traits
from virtual_time import run

from pql_stream.delivery.ledger import Ref, Settlement
from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.errors import LedgerAway


async def stopped_after(world: World, seconds: float, *numbers: int) -> tuple[str, float]:
    """How a batch of deliveries was handled that is stopped after *seconds*, and how long it took from then."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    handled = await world.handle(*(delivery(number, f"u{number}") for number in numbers), stop=stop)
    return handled, asyncio.get_running_loop().time() - seconds


def test_attempts_under_way_finish_and_are_recorded_and_nothing_new_begins():
    """Two calls of ten seconds are under way when the batch is stopped: both end, the third never begins."""
    world = World()
    world.settings = DeliverySettings(calls_max=2)
    world.sink.seconds = 10.0

    handled, took_s = run(stopped_after(world, 4.0, 1, 2, 3))

    assert ("gave_way", 6.0) == (handled, took_s)
    assert (["delivered", "delivered", "pending"], [["d1"], ["d2"]]) == (world.states(1, 2, 3), world.sink.calls)


def test_a_call_that_hangs_is_cut_off():
    """
    A destination hangs when the batch is stopped: after the time that the hand-over leaves for it, nobody knows what
    became of the call, and the next owner repeats it, marked and listed. The other call ended, and is done.
    """
    world = World(with_traits(repeatable=frozenset()))
    world.finish_s = 7.0
    world.sink.seconds = 5.0
    world.sink.hanging = {"d1"}

    handled, took_s = run(stopped_after(world, 4.0, 1, 2))

    assert (("gave_way", 7.0), ["unknown", "delivered"]) == ((handled, took_s), world.states(1, 2))
    assert 0 == world.sink.at_once
    world.sink.hanging = set()
    run(world.read())
    assert (["d1", "d2", "d1"], ("d1",)) == (world.delivered(), run(world.ledger.repeats()).delivery_ids)


@pytest.mark.parametrize("step", [Refused("invalid"), Later("busy", "item", 900.0), Unknown(), "bug"])
def test_every_outcome_is_recorded_on_the_way_out(step):
    """What ends while the batch gives way is in the ledger, and what failed is left to the next owner."""
    world = World(with_traits(repeatable=frozenset()))
    world.sink.seconds = 10.0
    world.sink.script["d1"] = deque([step])

    handled, _ = run(stopped_after(world, 4.0, 1))

    states = {"Refused": "refused", "Later": "pending", "Unknown": "unknown", "str": "refused"}
    assert ("gave_way", [states[type(step).__name__]], []) == (handled, world.states(1), world.parked)


WAITS: dict[str, Callable[[World], None]] = {
    "breaker": lambda world: setattr(world.sink, "always", lambda _item: Later("unauthorised")),
    "backoff": lambda world: setattr(world.sink, "always", lambda _item: Later("rate_limited", "item", 9.0)),
    "limiter": lambda world: setattr(world, "limiter", Never()),
    "ledger": lambda world: setattr(world.ledger, "away", lambda: True),
}


class Never:
    """A limiter that lets nothing pass for an hour."""

    async def acquire(self, bucket: str, tokens: int) -> float:
        return 3_600.0


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_no_wait_delays_it(wait):
    """Whatever the batch waits for, it gives way at once."""
    world = World()
    wait(world)

    assert ("gave_way", 0.0) == run(stopped_after(world, 7.0, 1))


def test_a_parked_delivery_that_is_not_due_delays_nothing():
    """The parked partition gives way while it waits."""
    world = World()
    one = delivery(1, due_at_ms=10**14, parks=1, place=0)
    world.parked = [record(one, 0, TOPICS.parked)]

    async def play() -> tuple[str, bool, bool]:
        stop = asyncio.Event()
        deliverer = world.deliverer()
        task = asyncio.create_task(deliverer.handle(Batch(TOPICS.parked, world.parked), stop))
        await asyncio.sleep(20)
        waits = deliverer.waits(TOPICS.parked, 0)
        stop.set()
        return await task, waits, deliverer.waits(TOPICS.parked, 0)

    assert ("gave_way", True, False) == run(play())
    assert [] == world.sink.calls


def test_a_batch_that_comes_too_late_does_not_begin():
    """The stop is set before: nothing is looked up, nothing is parked."""
    world = World()

    async def play() -> str:
        stop = asyncio.Event()
        stop.set()
        return await world.handle(delivery(1), stop=stop)

    assert ("gave_way", []) == (run(play()), world.sink.calls)


def test_who_waits_on_purpose_says_so_and_who_works_does_not():
    """A watchdog sees the difference between a call that hangs and a breaker that is open."""
    world = World()
    world.sink.seconds = 10.0
    world.sink.script["d1"] = deque([Later("quota_used_up", after_s=3_600)])
    seen = {}

    async def play() -> None:
        deliverer = world.deliverer()
        world.add(delivery(1))
        task = asyncio.create_task(deliverer.handle(Batch(TOPICS.deliveries, world.main), asyncio.Event()))
        for after_s in (5, 100):
            await asyncio.sleep(after_s)
            seen[after_s] = deliverer.waits(TOPICS.deliveries, 0)
        await task

    run(play())

    assert {5: False, 100: True} == seen


def test_a_long_batch_shows_that_it_goes_on():
    """Who looks for stalls sees a step for each round, and none while a call hangs."""
    world = World(settings=DeliverySettings(calls_max=1))
    world.sink.seconds = 100.0
    seen = []

    async def play() -> None:
        deliverer = world.deliverer()
        world.add(*(delivery(number) for number in range(1, 4)))
        task = asyncio.create_task(deliverer.handle(Batch(TOPICS.deliveries, world.main), asyncio.Event()))
        for after_s in (50, 20, 100):
            await asyncio.sleep(after_s)
            seen.append(deliverer.steps(TOPICS.deliveries, 0))
        await task

    run(play())
    first, hanging, later = seen

    assert first == hanging < later


def test_a_cancelled_batch_leaves_no_call_behind():
    """The agent is cancelled: the call is cancelled with it, and the ledger says that it was under way."""
    world = World()
    world.sink.seconds = 10.0

    async def play() -> int:
        task = asyncio.create_task(world.handle(delivery(1)))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return world.sink.at_once

    assert (0, ["sending"]) == (run(play()), world.states(1))


def test_a_call_that_was_under_way_in_a_crash_is_repeated_and_listed():
    """The answer was lost with the worker: the next one tries again, as a repeat, and the ledger has it."""
    world = World(with_traits(repeatable=frozenset()))
    world.effects_left = 8  # taken over, looked up, claimed: two each; the call began and its effect is there

    with pytest.raises(Crash):
        run(world.handle(delivery(1)))
    assert (["sending"], ["d1"]) == (world.states(1), world.delivered())
    world.effects_left = 1_000
    run(world.read())

    assert ([False, True], ("d1",)) == (
        [effect.is_repeat for effect in world.sink.effects],
        run(world.ledger.repeats()).delivery_ids,
    )
    assert 1 == world.meter.repeated


def test_a_sink_that_looks_first_takes_the_repeat_back():
    """It finds that the destination had it: delivered, nothing sent, nothing listed, counted as a duplicate."""
    world = World(with_traits(repeatable=frozenset()))
    world.sink.looks = True
    world.sink.script["d1"] = deque(["lost"])

    run(world.handle(delivery(1)))

    assert (["d1"], 0) == (world.delivered(), run(world.ledger.repeats()).count)
    assert {"unknown": 1, "duplicate": 1} == world.meter.outcomes


def test_doubt_outlives_an_attempt_that_surely_failed():
    """An answer was lost, the next attempt was surely not taken: the third is a repeat all the same."""
    world = World(with_traits(repeatable=frozenset()))
    world.sink.script["d1"] = deque(["lost", Later("busy", "item"), Delivered()])

    run(world.handle(delivery(1)))

    assert [False, True] == [effect.is_repeat for effect in world.sink.effects]


def test_a_worker_that_wakes_up_late_repeats_no_more_than_it_had_in_flight():
    """
    A worker freezes with a call in flight; another takes over, repeats that call and goes on.

    Awake again, the first one writes down what it had, and may not begin anything else.
    """
    world = World(with_traits(repeatable=frozenset()))
    world.settings = DeliverySettings(calls_max=1)
    world.sink.seconds = 1_000.0
    world.add(*(delivery(number, f"u{number}") for number in (1, 2, 3)))

    async def play() -> tuple[str, str, str]:
        first, group, stop = world.deliverer(), world.group, asyncio.Event()
        batch = Batch(TOPICS.deliveries, world.main)
        frozen = asyncio.create_task(first.handle(batch, stop))
        await asyncio.sleep(10)
        group.out_at_s = world.now_s()
        world.sink.seconds = 1.0
        second = await world.deliverer().handle(batch, asyncio.Event())
        asyncio.get_running_loop().call_later(2_000, stop.set)  # it joins again, and is told to hand over
        late = await frozen
        # It may be its own again later.
        group.back_at_s = world.now_s()
        again = await first.handle(Batch(TOPICS.deliveries, world.main, 3), asyncio.Event())
        return second, late, again

    assert ("done", "gave_way", "done") == run(play())
    assert ["d1", "d1", "d2", "d3"] == world.delivered()
    assert ("d1",) == run(world.ledger.repeats()).delivery_ids


async def zombie(world: World, *, out_after_s: float) -> list[str]:
    """
    Two workers have the same batch. The first is out of its group after *out_after_s*, and then the other one, with
    calls of 100 s, is the owner.
    """
    first, group, stop = world.deliverer(), world.group, asyncio.Event()
    batch = Batch(TOPICS.deliveries, world.main)
    group.out_at_s = out_after_s
    asyncio.get_running_loop().call_later(1_000, stop.set)
    frozen = asyncio.create_task(first.handle(batch, stop))
    await asyncio.sleep(out_after_s)
    world.sink.seconds = 100.0
    owner = asyncio.create_task(world.deliverer().handle(batch, asyncio.Event()))
    return [await frozen, await owner]


def test_a_worker_that_is_out_of_its_group_claims_nothing_more():
    """It has a call in flight, and would go on with the others; the new owner's calls are not repeated."""
    world = World(with_traits(repeatable=frozenset()))
    world.settings = DeliverySettings(calls_max=1)
    world.sink.seconds = 10.0
    world.add(*(delivery(number, f"u{number}") for number in (1, 2, 3)))

    assert ["gave_way", "done"] == run(zombie(world, out_after_s=5.0))
    assert ["d1", "d1", "d2", "d3"] == world.delivered()
    assert ("d1",) == run(world.ledger.repeats()).delivery_ids


def test_a_worker_that_is_out_of_its_group_takes_nothing_over():
    """It was frozen with a batch that it had not begun: it sends nothing, and the owner does not notice."""
    world = World(with_traits(repeatable=frozenset()))
    world.add(*(delivery(number, f"u{number}") for number in (1, 2)))

    assert ["gave_way", "done"] == run(zombie(world, out_after_s=0.0))
    assert (["d1", "d2"], 0) == (world.delivered(), run(world.ledger.repeats()).count)
    assert ["w2"] == world.ledger.owners


def test_a_partition_that_a_zombie_took_over_is_taken_back():
    """
    Its take-over was on the way to the ledger when it froze. The owner loses its claim, hears from the group that the
    partition is its own all the same, and goes on: it does not stand still until the next rebalance.
    """
    world = World(with_traits(repeatable=frozenset()))
    world.settings = DeliverySettings(calls_max=1)
    world.sink.seconds = 10.0
    world.add(*(delivery(number, f"u{number}") for number in (1, 2, 3)))

    async def play() -> str:
        owner = asyncio.create_task(world.deliverer().handle(Batch(TOPICS.deliveries, world.main), asyncio.Event()))
        await asyncio.sleep(5)
        await world.ledger.take_over(f"{TOPICS.deliveries}/0", "zombie")
        return await owner

    assert "done" == run(play())
    assert (["d1", "d2", "d3"], 0) == (world.delivered(), run(world.ledger.repeats()).count)
    assert ["w1", "zombie", "w1"] == world.ledger.owners
    assert 10.0 + 2.0 + 20.0 == world.now_s()  # two more words of the group, one a second


def test_a_worker_that_is_not_sure_of_its_group_waits_until_it_is():
    """The broker was away for longer than the session: nothing new is sent, and everything when it has answered."""
    world = World()
    world.settings = DeliverySettings(calls_max=1)
    world.sink.seconds = 10.0
    world.add(*(delivery(number, f"u{number}") for number in (1, 2)))

    async def play() -> tuple[str, list[list[str]], bool]:
        deliverer = world.deliverer()
        world.group.out_at_s, world.group.back_at_s = 5.0, 500.0
        task = asyncio.create_task(deliverer.handle(Batch(TOPICS.deliveries, world.main), asyncio.Event()))
        await asyncio.sleep(400)
        calls, waits = list(world.sink.calls), deliverer.waits(TOPICS.deliveries, 0)
        return await task, calls, waits

    assert ("done", [["d1"]], True) == run(play())
    assert (["d1", "d2"], ["delivered"] * 2) == (world.delivered(), world.states(1, 2))


def test_a_ledger_that_is_away_pauses_delivery():
    """Nothing is sent while it is away, and everything when it is back."""
    world = World()
    world.ledger.away = lambda: world.now_s() < 600

    handled = run(world.handle(*(delivery(number, f"u{number}") for number in (1, 2))))

    assert ("done", ["d1", "d2"]) == (handled, world.delivered())
    assert 600 <= world.now_s() < 610


def test_an_outcome_waits_for_the_ledger():
    """It goes away with a call under way: what came of it is written when it is back, and nothing is repeated."""
    world = World(with_traits(repeatable=frozenset()))
    world.sink.seconds = 5.0
    world.ledger.away = lambda: 3 < world.now_s() < 600

    run(world.handle(delivery(1)))

    assert (["delivered"], ["d1"]) == (world.states(1), world.delivered())


def test_what_cannot_be_written_on_the_way_out_is_repeated():
    """The ledger is away and the batch must go: it does not wait, and the next owner marks the repeat."""
    world = World(with_traits(repeatable=frozenset()))
    world.sink.seconds = 5.0
    world.ledger.away = lambda: 3 < world.now_s() < 600

    handled = run(stopped_after(world, 4.0, 1))
    world.ledger.away = lambda: False
    run(world.read())

    assert (("gave_way", 1.0), [False, True]) == (handled, [effect.is_repeat for effect in world.sink.effects])


def test_what_was_claimed_and_not_sent_is_no_repeat():
    """The ledger's answer to the claim comes after the stop: the claim is taken back, and the next owner's is first."""
    world = World(with_traits(repeatable=frozenset()))
    claim = world.ledger.claim

    async def slow_claim(*args, **kwargs):
        await asyncio.sleep(10)
        return await claim(*args, **kwargs)

    world.ledger.claim = slow_claim
    handled = run(stopped_after(world, 4.0, 1))

    assert (("gave_way", 6.0), [], ["pending"]) == (handled, world.sink.calls, world.states(1))


def test_a_claim_that_was_made_and_not_answered_is_no_repeat():
    """The ledger did it and its answer was lost: asked again, it gives the same."""
    world = World(with_traits(repeatable=frozenset()))
    claim = world.ledger.claim
    answers = iter(["lost"])

    async def lossy_claim(*args, **kwargs):
        grants = await claim(*args, **kwargs)
        if next(answers, None) == "lost":
            raise LedgerAway("no answer")
        return grants

    world.ledger.claim = lossy_claim
    run(world.handle(delivery(1)))

    assert ([False], 0) == ([effect.is_repeat for effect in world.sink.effects], run(world.ledger.repeats()).count)


def test_what_was_finished_meanwhile_is_left_alone():
    """Between the look-up and the claim somebody delivers the first of a lead: only the second is sent."""
    world = World()
    world.limiter = Delivering(world)

    run(world.handle(delivery(1), delivery(2)))

    assert ([["d2"]], ["delivered", "delivered"]) == (world.sink.calls, world.states(1, 2))


def test_what_was_finished_meanwhile_is_left_alone_among_the_parked():
    """The same of the second of a parked lead, while the first is delivered: only the third is sent after it."""
    world = World()
    world.limiter = Delivering(world, "d2")
    world.parked = [record(delivery(number, parks=1, place=number), number, TOPICS.parked) for number in (1, 2, 3)]

    run(world.read_parked())

    assert ([["d1"], ["d3"]], ["delivered"] * 3) == (world.sink.calls, world.states(1, 2, 3))


class Delivering:
    """A limiter beside which somebody else delivers *name*."""

    def __init__(self, world: World, name: str = "d1") -> None:
        self.world = world
        self.name = name

    async def acquire(self, bucket: str, tokens: int) -> float:
        await self.world.ledger.settle("x", "somebody", [Settlement(Ref(self.name, "u1", 0), "delivered")])
        return 0.0
