"""A shadow pack comes to know what happened before it was there; nothing that is published changes by it."""

from __future__ import annotations

import random
from contextlib import suppress

import orjson
import pytest
from casting_world import NEW, NEW_ID, OLD, OLD_ID, ROSTER, CastingWorker, CastingWorld, check, fill, switch
from published_world import TOPICS, Crash

from pql_stream.core.features import DAY_MS
from pql_stream.core.lineups import Roster
from pql_stream.core.packs import compile_pack
from pql_stream.core.transition import advance
from pql_stream.wire.events import decode_event
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.shared_rows import load_lead

LEADS = ("u1", "u2", "u3")
ALL = [*LEADS, "u9"]
LINEAR = compile_pack(NEW)


def use(world: CastingWorld, seed: int, first: int, count: int) -> None:
    """Events of a few leads."""
    rng = random.Random(seed)
    for number in range(first, first + count):
        name, given = rng.choice(
            [
                ("feature_used", {"feature": f"f{number}"}),
                ("workflow_completed", {"run_id": f"r{number}"}),
                ("compliance_level_changed", {"level": rng.choice(["none", "basic", "advanced"])}),
            ]
        )
        world.event(name, rng.choice(LEADS), number, home=rng.random() < 0.7, **given)


async def before_the_shadow() -> CastingWorld:
    """A world in which leads have a past that only the old pack has heard of; u9 came a day later."""
    world = CastingWorld(rng=random.Random(0), roster=Roster((OLD,)))
    use(world, 1, 0, 20)
    world.event("feature_used", "u9", DAY_MS, feature="late")
    worker = CastingWorker(world)
    await worker.read_all()
    worker.commit()
    world.roster = ROSTER
    return world


def recomputed(world: CastingWorld) -> dict[str, tuple[int, ...]]:
    """The points of all events under the new pack alone."""
    states: dict = {}
    for records in world.sources.values():
        for record in records:
            event = decode_event(record.value, record.topic, 0, record.offset, timestamp_ms=record.timestamp)
            states[event.lead_id] = advance(states.get(event.lead_id), event, LINEAR).state
    return {lead_id: state.pack.points for lead_id, state in sorted(states.items())}


def shadow_points(world: CastingWorld) -> dict[str, tuple[int, ...]]:
    """The points that the rows have."""
    return {key.decode(): load_lead(row, ROSTER.first).shadows[0].points for key, row in sorted(world.rows.items())}


def published(world: CastingWorld) -> list[bytes]:
    """Of score-changed and pql-qualified."""
    return [record.value for topic in (TOPICS.score_changed, TOPICS.qualified) for record in world.topics[topic]]


async def test_a_filled_pack_has_the_points_of_a_recomputation():
    """And every lead is complete; what is published stays as it was."""
    world = await before_the_shadow()
    worker, said = CastingWorker(world), published(world)
    world.ask(check(NEW_ID))
    world.ask(fill(NEW_ID))
    await worker.casting.step()
    lacking = shadow_points(world)
    await worker.filling.step()
    checked, filled = world.known().reports[0, "c1"], world.known().reports[0, "f1"]

    assert recomputed(world) == shadow_points(world) != lacking
    assert said == published(world)
    assert (4, 4) == (checked.leads, checked.incomplete)
    assert (True, 4, 0) == (filled.able, filled.leads, filled.incomplete)


async def test_what_is_different_is_told_when_it_is_filled():
    """Once a lead, with the request as its cause; to fill again tells nothing."""
    world = await before_the_shadow()
    worker = CastingWorker(world)
    await worker.casting.step()
    for number in (1, 2):
        world.ask(fill(NEW_ID, number))
        await worker.filling.step()
        await worker.filling.step()
    told = [orjson.loads(record.value or b"") for record in world.topics[TOPICS.shadow_diff]]

    assert ALL == sorted(one["lead_id"] for one in told)
    assert {("f1", "fill", True)} == {
        (one["cause"]["event_id"], one["cause"]["event"], one["complete"]) for one in told
    }


async def test_it_is_filled_from_the_backfill_too():
    """What was once filled in for the old pack lies on another topic, and counts as much."""
    world = await before_the_shadow()
    world.roster = Roster((OLD,))
    for number in range(3):
        world.filled_in("feature_used", "u9", 500 + number, feature=f"old{number}")
    first = CastingWorker(world)
    await first.read_all()
    first.commit()
    world.roster = ROSTER
    worker = CastingWorker(world)
    world.ask(fill(NEW_ID))
    await worker.casting.step()
    await worker.filling.step()
    told = [orjson.loads(record.value or b"") for record in world.topics[TOPICS.shadow_diff]]

    assert recomputed(world) == shadow_points(world)
    assert 0 == world.known().reports[0, "f1"].incomplete
    assert {"backfill"} == {one["mode"] for one in told}


async def test_its_state_says_from_when_on_it_is_complete():
    """The first event of the youngest lead of whom something is missing; nothing where everybody is complete."""
    world = await before_the_shadow()
    worker = CastingWorker(world)
    world.ask(check(NEW_ID))
    await worker.casting.step()
    world.ask(fill(NEW_ID))
    await worker.filling.step()
    checked, filled = world.known().reports[0, "c1"], world.known().reports[0, "f1"]
    youngest_ms = max(load_lead(row, ROSTER.first).first_seen_at_ms for row in world.rows.values())

    assert (rfc3339(youngest_ms), None) == (checked.complete_after, filled.complete_after)


@pytest.mark.parametrize("seed", range(15))
async def test_crashes_and_live_events_beside_it_change_nothing(seed):
    """Workers die after some of their effects; live events come between; the last one fills it to the end."""
    world = await before_the_shadow()
    world.rng = rng = random.Random(seed)
    world.ask(fill(NEW_ID))
    for life in range(12):
        use(world, seed * 100 + life, 1000 + life * 10, 2)
        world.effects_left = rng.randint(1, 8)
        with suppress(Crash):
            worker = CastingWorker(world)
            await worker.casting.step()
            if rng.random() < 0.5:
                await worker.read_all()
                worker.commit()
            await worker.filling.step()
    world.effects_left = 1_000_000
    await world.live()
    await CastingWorker(world).casting.step()
    last = CastingWorker(world)
    await last.casting.step()
    await last.filling.step()

    assert recomputed(world) == shadow_points(world)
    assert 0 == world.known().reports[0, "f1"].incomplete


async def test_what_was_deleted_stays_incomplete():
    """Leads that were there before the oldest record was written, a day's leeway for clocks, are not complete."""
    world = await before_the_shadow()
    world.deleted = 2
    worker = CastingWorker(world)
    world.ask(fill(NEW_ID))
    await worker.casting.step()
    await worker.filling.step()
    report = world.known().reports[0, "f1"]

    assert (4, 3) == (report.leads, report.incomplete)


async def test_the_live_pack_is_not_filled():
    """What is published would change without an event."""
    world = await before_the_shadow()
    worker = CastingWorker(world)
    world.ask(fill(OLD_ID))
    await worker.casting.step()
    await worker.filling.step()
    report = world.known().reports[0, "f1"]

    assert not report.able
    assert "pql-100 version 1 is live on partition 0" in report.why


async def test_a_pack_that_nobody_has_is_not_filled():
    """The answer names the packs that there are."""
    world = await before_the_shadow()
    world.roster = Roster((OLD,))
    worker = CastingWorker(world)
    world.ask(fill(NEW_ID))
    await worker.casting.step()
    await worker.filling.step()

    assert "does not have pql-100-linear" in world.known().reports[0, "f1"].why


async def test_a_cut_over_meanwhile_ends_it():
    """It begins anew under the new roles, and then is refused: the pack is live."""
    world = await before_the_shadow()
    worker = CastingWorker(world)
    world.ask(fill(NEW_ID))
    await worker.casting.step()
    world.ask(switch(NEW_ID))

    async def stretches(partition: int) -> list:
        await worker.casting.step()
        return await CastingWorld.stretches(world, partition)

    world.stretches = stretches
    await worker.filling.step()
    begun = dict(world.known().reports)
    await worker.filling.step()

    assert {} == begun
    assert not world.known().reports[0, "f1"].able
