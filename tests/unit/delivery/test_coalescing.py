"""Several upserts of a lead become one."""

from __future__ import annotations

import pytest
from delivery_world import World, delivery, record
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import run

from pql_stream.delivery.coalescing import coalesced
from pql_stream.delivery.lanes import Work
from pql_stream.delivery.outcomes import Later, Refused


def works(*kinds: str) -> list[Work]:
    """One delivery for each of "<lead><u|t>[sequence]"; numbers from 1."""
    made = []
    for number, kind in enumerate(kinds, 1):
        action = "upsert" if kind[1] == "u" else "task"
        sequence = int(kind[2:] or number)
        fields = {"record": {"sequence": sequence, "pack": "p", "pack_version": 1}}
        one = delivery(number, kind[0], action, **fields)
        made.append(Work(one, record(one, number), number))
    return made


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        (["au", "au", "au"], [(3, [1, 2])]),
        (["au", "bu", "au"], [(2, []), (3, [1])]),
        (["au", "at", "au"], [(1, []), (2, []), (3, [])]),
        (["au", "au", "at", "au", "au"], [(2, [1]), (3, []), (5, [4])]),
        (["au9", "au2"], [(1, [2])]),
        (["au5", "au5"], [(2, [1])]),
        (["au2", "au9", "au3"], [(2, [1, 3])]),
        (["at", "at"], [(1, []), (2, [])]),
    ],
)
def test_the_last_values_of_a_run_are_left(kinds, left):
    """By sequence; a task between two upserts keeps them apart."""
    found = [
        (int(work.delivery.delivery_id[1:]), [int(one.delivery.delivery_id[1:]) for one in work.carries])
        for work in coalesced(works(*kinds))
    ]

    assert left == found


def test_packs_and_routes_are_kept_apart():
    """Sequences are counted for each pack and version; another route writes other fields."""
    given_ = [
        delivery(1, "a", "upsert"),
        delivery(2, "a", "upsert", record={"sequence": 1, "pack": "q", "pack_version": 1}),
        delivery(3, "a", "upsert", record={"sequence": 1, "pack": "p", "pack_version": 2}),
        delivery(4, "a", "upsert", record={"tier": "gold"}),
        delivery(5, "a", "upsert", record={"tier": "gold"}),
    ]
    left = coalesced([Work(one, record(one, at), at) for at, one in enumerate(given_)])

    assert ["d1", "d2", "d3", "d5"] == [work.delivery.delivery_id for work in left]


@given(st.lists(st.sampled_from(["au", "bu", "at", "bt"]), max_size=12))
def test_nothing_vanishes_in_a_run(kinds):
    """Whoever is not left is carried by exactly one that is."""
    given_ = works(*kinds)
    left = coalesced(given_)

    every = [one.delivery.delivery_id for work in left for one in (work, *work.carries)]
    assert sorted(work.delivery.delivery_id for work in given_) == sorted(every)


@pytest.mark.parametrize(
    ("step", "state"), [(None, "delivered"), (Refused("invalid"), "refused"), (Later("busy", "item", 600.0), "parked")]
)
def test_the_others_are_superseded_whatever_becomes_of_the_last(step, state):
    """One call is made, and the ledger says of the others that they need none."""
    world = World()
    world.sink.always = lambda _item: step

    run(world.handle(*(delivery(number, action="upsert") for number in (1, 2, 3))))

    assert (["superseded", "superseded", state], [["d3"]], 2) == (
        world.states(1, 2, 3),
        world.sink.calls,
        world.meter.superseded,
    )


def test_older_values_do_not_follow_what_is_delivered():
    """The last of a run was delivered before a crash: the others, read again with it, are not sent."""
    world = World()
    deliveries = [delivery(number, action="upsert") for number in (1, 2)]
    run(world.handle(deliveries[1]))

    run(world.handle(*deliveries))

    assert (["d2"], ["superseded", "delivered"]) == (world.delivered(), world.states(1, 2))
