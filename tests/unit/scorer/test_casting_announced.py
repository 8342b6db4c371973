"""Who is told of a cut-over: the tiers that the new pack gives by itself, once, whoever dies on the way."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import pairwise, product

import orjson
import pytest
from casting_world import (
    LEADS,
    LOWER,
    LOWER_ID,
    NEW,
    OLD,
    OLD_ID,
    TWIN,
    TWIN_ID,
    CastingWorker,
    CastingWorld,
    published,
    state_of,
    switch,
    use,
)
from published_world import TOPICS, Crash

from pql_stream.core.lineups import Roster


@pytest.fixture
def world() -> CastingWorld:
    """A partition on which nothing has happened."""
    return CastingWorld(rng=random.Random(0))


async def test_announce_new_tells_of_those_that_the_new_pack_puts_higher(world):
    """Once, with a change that names the request as its cause; the others are told of nothing."""
    world.roster = Roster((OLD, LOWER))
    use(world, "u1", 7, 0)
    use(world, "u2", 1, 50)
    worker = CastingWorker(world)
    await worker.read_all()
    world.ask(switch(LOWER_ID, announce="new"))
    world.ask(switch(LOWER_ID, 2, announce="new"))
    await worker.casting.step()
    await worker.casting.step()
    (told,) = published(world, TOPICS.qualified)
    change = published(world)[-1]

    assert ("u1", "lower", "bronze", "unqualified") == (
        told["lead_id"],
        told["pack"],
        told["tier"],
        told["tier_before"],
    )
    assert (told["change_id"], "lower", 1, "r2", "cutover") == (
        change["change_id"],
        change["pack"],
        change["sequence"],
        change["cause"]["event_id"],
        change["cause"]["event"],
    )
    assert LOWER_ID == world.known().live(0)


@pytest.mark.parametrize("effects", range(1, 9))
@pytest.mark.parametrize("seed", range(4))
async def test_what_a_dead_worker_announced_is_announced_again_and_is_the_same(world, effects, seed):
    """
    It died while it told of leads; the next owner first tells of the same rows once more, and reads what came since
    only then: no id has two bodies, nobody is told of twice, and the last record of each lead is the new pack's.
    """
    world.roster, world.rng = Roster((OLD, LOWER)), random.Random(seed)
    for number, lead_id in enumerate(LEADS):
        use(world, lead_id, 7, number * 10)
    first = CastingWorker(world)
    await first.read_all()
    first.commit()
    world.ask(switch(LOWER_ID, announce="new"))
    world.effects_left = effects
    with suppress(Crash):
        await first.casting.step()
    world.effects_left = 1_000_000
    for number, lead_id in enumerate(LEADS):
        world.event("workflow_completed", lead_id, 100 + number, run_id="r1")
        world.event("tutorial_completed", lead_id, 200 + number)
    second = CastingWorker(world)
    await second.read_all()
    world.arrive()
    await second.changes_log.check()
    told = [orjson.loads(record.value or b"") for record in world.topics[TOPICS.qualified]]
    bodies = {record.value for topic in (TOPICS.score_changed, TOPICS.qualified) for record in world.topics[topic]}
    ids = {orjson.loads(body).get("qualification_id", orjson.loads(body)["change_id"]) for body in bodies}

    assert len(bodies) == len(ids)
    assert set(product(LEADS, ("bronze", "silver"))) == {(one["lead_id"], one["tier"]) for one in told}
    assert {("lower", 2)} == {
        (last["pack"], last["sequence"]) for last in (orjson.loads(world.changes_of(lead_id)[-1]) for lead_id in LEADS)
    }


async def test_who_was_told_of_before_the_cast_keeps_that_record(world):
    """A worker that takes over between the two does not write the old pack's last change behind it again."""
    world.roster = Roster((OLD, LOWER))
    use(world, "u1", 7, 0)
    first = CastingWorker(world)
    await first.read_all()
    first.commit()
    world.ask(switch(LOWER_ID, announce="new"))
    world.effects_left, world.rng = 3, random.Random(1)  # told and stored; the cast is not written
    with suppress(Crash):
        await first.casting.step()
    between = world.known().live(0)
    world.effects_left = 1_000_000
    await CastingWorker(world).casting.step()
    packs = [orjson.loads(body)["pack"] for body in world.changes_of("u1")]

    assert (OLD_ID, LOWER_ID) == (between, world.known().live(0))
    assert ["pql-100", "lower"] == [pack for pack, last in pairwise([*packs, ""]) if pack != last]


async def test_a_tier_that_history_brought_is_not_announced_by_a_cut_over(world):
    """It counts as announced under whatever pack, though nobody was told; the differences say that it was history."""
    world.roster = Roster((LOWER, NEW, TWIN))
    for number in range(7):
        world.filled_in("feature_used", "u1", number, feature=f"f{number}")
    worker = CastingWorker(world)
    await worker.read_all()
    world.ask(switch(TWIN_ID, announce="new"))
    await worker.casting.step()
    world.event("tutorial_completed", "u1", 50)
    await worker.read_all()
    told = [(one["pack"], one["tier"], one["mode"]) for one in published(world, TOPICS.qualified)]
    differences = [orjson.loads(record.value or b"") for record in world.topics[TOPICS.shadow_diff]]

    assert TWIN_ID == world.known().live(0)
    assert [("lower", "bronze", "backfill"), ("twin", "silver", "live")] == told
    assert {"backfill", "live"} == {one["mode"] for one in differences}
    assert {"backfill"} == {one["mode"] for one in differences if one["live"]["pack"] == "lower"}


async def test_announce_none_is_silent(world):
    """Nothing is told at the change, and nothing at the next event that does not lift the lead above it."""
    world.roster = Roster((OLD, LOWER))
    use(world, "u1", 7, 0)
    worker = CastingWorker(world)
    await worker.read_all()
    world.ask(switch(LOWER_ID))
    await worker.casting.step()
    world.event("community_post", "u1", 60, post_id="p")
    await worker.read_all()

    assert [] == world.topics[TOPICS.qualified]
    assert 1 == state_of(world, "u1", LOWER_ID).pack.announced
