"""Whatever a destination answers and wherever a worker dies: nothing is lost, nothing overtakes, repeats are listed."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass

from delivery_world import Consumer, Crash, Step, World, delivery, with_traits
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import run

from pql_stream.core.routes import Action
from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown

STEPS: list[Step] = [
    Delivered(),
    Later("unavailable"),
    Later("rate_limited", after_s=2.0),
    Later("busy", "item"),
    Later("busy", "item", after_s=90.0),
    Later("rate_limited", "channel", after_s=1.0),
    Refused("invalid"),
    Unknown(),
    "lost",
    "bug",
]


@dataclass(frozen=True)
class Story:
    """What is to be delivered, what goes wrong, and after how many effects each worker dies."""

    deliveries: list[tuple[str, str]]
    scripts: list[list[Step]]
    deaths: list[int]
    stops: list[float]
    repeatable: frozenset[Action]
    looks: bool
    batch_max: int
    reads: list[int]


stories = st.builds(
    Story,
    deliveries=st.lists(
        st.tuples(st.sampled_from(["u1", "u2", "u3"]), st.sampled_from(["upsert", "task"])), min_size=1, max_size=8
    ),
    scripts=st.lists(st.lists(st.sampled_from(STEPS), max_size=5), min_size=8, max_size=8),
    deaths=st.lists(st.integers(0, 60), max_size=4),
    stops=st.lists(st.floats(0, 100), max_size=2),
    repeatable=st.frozensets(st.sampled_from(["upsert", "task"])),
    looks=st.booleans(),
    batch_max=st.sampled_from([1, 3]),
    reads=st.lists(st.integers(1, 5), min_size=1, max_size=3),
)


def told(story: Story) -> World:
    """The world at the end of *story*: what does not die reads on until all is done."""
    world = World(with_traits(repeatable=story.repeatable, batch_max=story.batch_max))
    world.sink.looks = story.looks
    world.sink.channels = {"u1": "c1"}
    consumer = Consumer()
    for number, (lead_id, action) in enumerate(story.deliveries, 1):
        world.add(delivery(number, lead_id, action))
        world.sink.script[f"d{number}"] = deque(story.scripts[number - 1])

    async def live() -> bool:
        stop = asyncio.Event()
        if stops:
            asyncio.get_running_loop().call_later(stops.pop(), stop.set)
        return await consumer.live(world, stop)

    deaths, stops = list(story.deaths), list(story.stops)
    is_done = False
    while not is_done:
        # What one worker read as one batch, the next may read as two.
        consumer.batch_max = story.reads[world.lives % len(story.reads)]
        world.effects_left = deaths.pop() if deaths else 1_000_000
        try:
            is_done = run(live())
        except BaseExceptionGroup as group:
            _, others = group.split(Crash)
            if others is not None:
                raise
        world.sink.at_once = 0
    return world


def finished(world: World, number: int) -> bool:
    """Is the delivery at its destination, or among the dead letters, or did another carry its values?"""
    name = f"d{number}"
    ended = {*world.delivered(), *(dead for dead, _ in world.dead_letters())}
    return name in ended or world.states(number) == ["superseded"]


@given(stories)
@settings(max_examples=100)
def test_nothing_is_lost_whatever_happens(story):
    """Every delivery ends at its destination, among the dead letters, or in one with later values of its lead."""
    world = told(story)

    numbers = range(1, len(story.deliveries) + 1)
    assert [] == [number for number in numbers if not finished(world, number)]
    for number in numbers:
        if world.states(number) == ["superseded"]:
            lead_and_action = story.deliveries[number - 1]
            assert lead_and_action[1] == "upsert"
            later = [other for other in numbers if other > number and story.deliveries[other - 1] == lead_and_action]
            assert any(world.states(other) != ["superseded"] for other in later)


@given(stories)
@settings(max_examples=100)
def test_no_delivery_overtakes_another_of_its_lead(story):
    """What the destination did for a lead is in the order of its changes, repeats included."""
    world = told(story)

    for lead_id in ("u1", "u2", "u3"):
        order = [int(effect.delivery_id[1:]) for effect in world.sink.effects if effect.lead_id == lead_id]
        assert sorted(order) == order


@given(stories)
@settings(max_examples=100)
def test_repeats_are_marked_and_listed(story):
    """What a destination knows again it has once; of the rest, everything it has twice is in the ledger's list."""
    world = told(story)

    times = Counter(world.delivered())
    twice = {name for name, count in times.items() if count > 1}
    known = {f"d{number}" for number, (_, action) in enumerate(story.deliveries, 1) if action in story.repeatable}
    assert twice <= set(run(world.ledger.repeats()).delivery_ids)
    assert not known & set(run(world.ledger.repeats()).delivery_ids)
    seen: set[str] = set()
    for effect in world.sink.effects:
        assert effect.is_repeat or effect.delivery_id not in seen
        seen.add(effect.delivery_id)


@given(stories)
@settings(max_examples=50)
def test_nothing_is_repeated_without_a_reason(story):
    """Where every attempt is answered, and no worker dies, nothing is listed as repeated."""
    calm = [[step for step in script if step not in ("lost", "bug") and step != Unknown()] for script in story.scripts]
    world = told(Story(**{**story.__dict__, "deaths": [], "scripts": calm}))

    assert 0 == run(world.ledger.repeats()).count
    assert {1} >= set(Counter(world.delivered()).values())
