"""Another pack goes live, between two batches and through crashes: one live pack at any time, no gap, no overlap."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import pairwise, product

import orjson
import pytest
from casting_world import (
    AT,
    NEW,
    NEW_ID,
    OLD,
    OLD_ID,
    ROSTER,
    CastingWorker,
    CastingWorld,
    check,
    switch,
)
from msgspec.structs import replace
from published_world import TOPICS, Crash

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import PackId, compile_pack
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidState
from pql_stream.wire.control import CastAnswer, PackRef
from pql_stream.wire.events import decode_event
from pql_stream.wire.shared_rows import load_lead

LEADS = ("u1", "u2", "u3")
COMPILED = {pack.name: compile_pack(pack) for pack in (OLD, NEW)}
_TIERS = tuple(replace(tier, score_from=tier.score_from // 4) for tier in OLD.tiers)
LOWER = replace(OLD, name="lower", tiers=_TIERS)
"""As the old one, with tiers that begin at a quarter of the score: bronze is 15 points."""
LOWER_ID = PackId("lower", 1)
TWIN = replace(LOWER, name="twin")
"""As the lower one in all but its name."""
TWIN_ID = PackId("twin", 1)


@pytest.fixture
def world() -> CastingWorld:
    """A partition on which nothing has happened."""
    return CastingWorld(rng=random.Random(0))


def published(world: CastingWorld, topic: str = TOPICS.score_changed) -> list[dict]:
    """What is left of a topic for who drops repeats by id."""
    first: dict[str, dict] = {}
    for record in world.topics[topic]:
        said = orjson.loads(record.value or b"")
        first.setdefault(said.get("qualification_id", said["change_id"]), said)
    return list(first.values())


def use(world: CastingWorld, lead_id: str, features: int, first: int) -> None:
    """The lead uses so many features it has not used before."""
    for number in range(first, first + features):
        world.event("feature_used", lead_id, number, feature=f"f{number}")


def state_of(world: CastingWorld, lead_id: str, live: PackId):
    """Its row, as a worker sees it on whose partition *live* is live."""
    return load_lead(world.rows[lead_id.encode()], world.roster.led_by(live))


async def test_the_first_worker_says_who_is_live(world):
    """Before the first batch; the next worker, whatever it has first, finds it and writes nothing."""
    await CastingWorker(world).casting.ready(0)
    world.roster = Roster((NEW, OLD))
    await CastingWorker(world).casting.ready(0)
    (cast,) = world.known().casts[0]

    assert (0, OLD_ID, None) == (cast.number, cast.live.id, cast.before)
    assert 1 == len(world.control_log)


async def test_shadows_are_told_of_nowhere_else(world):
    """All that a shadow says goes to pql-shadow-diff: the other topics have what the live pack says alone."""
    use(world, "u1", 6, 0)
    alone = CastingWorld(rng=random.Random(0), roster=Roster((OLD,)))
    use(alone, "u1", 6, 0)
    await CastingWorker(world).read_all()
    await CastingWorker(alone).read_all()
    differences = [orjson.loads(record.value or b"") for record in world.topics.pop(TOPICS.shadow_diff)]

    assert alone.topics == world.topics
    assert {("pql-100", "pql-100-linear")} == {(one["live"]["pack"], one["shadow"]["pack"]) for one in differences}
    assert ["feature_adoption"] == [rule["rule"] for rule in differences[0]["rules"]]


async def test_the_packs_change_between_two_batches(world):
    """The old pack's last change and the new one's first follow each other; each numbers its own from 1."""
    use(world, "u1", 3, 0)
    worker = CastingWorker(world)
    await worker.read_all()
    world.ask(switch(NEW_ID))
    await worker.casting.step()
    use(world, "u1", 2, 3)
    await worker.read_all()
    changes = [(one["pack"], one["sequence"], one["cause"]["event_id"]) for one in published(world)]

    assert [
        ("pql-100", 1, "e2"),
        ("pql-100-linear", 1, "e3"),
        ("pql-100-linear", 2, "e4"),
    ] == changes
    assert {TOPICS.score_changed: 1} == world.known().casts[0][-1].offsets


async def test_a_tier_that_is_announced_is_not_announced_again(world):
    """The new pack inherits it; what it gives by itself at that moment is counted as announced; then it goes on."""
    use(world, "u1", 8, 0)
    for run in range(60):
        world.event("workflow_completed", "u1", 100 + run, run_id=f"r{run}")
    world.event("compliance_level_changed", "u1", 200, level="advanced")
    world.event("trial_created", "u1", 1)
    world.event("identify", "u1", 201, team_size=12, company_revenue_usd=20_000_000, industry="finance")
    worker = CastingWorker(world)
    await worker.read_all()
    world.ask(switch(NEW_ID))
    await worker.casting.step()
    for number in range(300, 303):
        world.event("feature_requested", "u1", number, request_id=f"q{number}")
    world.event("tutorial_completed", "u1", 400)
    await worker.read_all()
    told = [(one["pack"], one["tier"]) for one in published(world, TOPICS.qualified)]
    names = [tier for _, tier in told]

    assert len(set(names)) == len(names)
    assert {"pql-100", "pql-100-linear"} == {pack for pack, _ in told}


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


async def test_a_rollback_goes_on_where_the_old_pack_was(world):
    """Its numbers go on; what the new one announced stays announced."""
    use(world, "u1", 3, 0)
    worker = CastingWorker(world)
    await worker.read_all()
    for number, (pack, first) in enumerate([(NEW_ID, 3), (OLD_ID, 5)]):
        world.ask(switch(pack, number))
        await worker.casting.step()
        use(world, "u1", 2, first)
        await worker.read_all()
    changes = [(one["pack"], one["sequence"]) for one in published(world)]

    assert [("pql-100", 1), ("pql-100-linear", 1), ("pql-100-linear", 2), ("pql-100", 2)] == changes[:4]
    assert [OLD_ID, NEW_ID, OLD_ID] == [cast.live.id for cast in world.known().casts[0]]


async def test_a_worker_without_the_pack_says_so_and_goes_on(world):
    """Once a request; the old pack stays live. One that has it does it."""
    world.roster = Roster((OLD,))
    worker = CastingWorker(world)
    world.ask(switch(NEW_ID))
    for _ in range(3):
        await worker.casting.step()
    (report,) = world.known().reports.values()
    stayed = world.known().live(0)
    world.roster = ROSTER
    await CastingWorker(world).casting.step()

    assert (False, OLD_ID, NEW_ID) == (report.able, stayed, world.known().live(0))
    assert "does not have pql-100-linear version 1, only pql-100 version 1" in report.why


async def test_a_worker_that_lacks_the_live_pack_does_not_start(world):
    """Going on with another would undo the cut-over."""
    world.ask(switch(NEW_ID))
    await CastingWorker(world).casting.step()
    world.roster = Roster((OLD,))
    with pytest.raises(InvalidState, match="pql-100-linear version 1 is live on partition 0"):
        await CastingWorker(world).casting.ready(0)


async def test_a_cast_that_comes_late_counts_for_nothing(world):
    """A worker that was frozen before its cast wakes up and writes it behind the new owner's; or in front of it."""
    await CastingWorker(world).casting.ready(0)
    late = CastAnswer(
        request_id="zombie", partition=0, number=1, live=PackRef.of(OLD_ID), before=None, offsets={}, cast_at=AT
    )
    world.ask(switch(NEW_ID))
    worker = CastingWorker(world)
    await worker.casting.step()
    world.ask(late)
    after = world.known().live(0)
    world.ask(switch(OLD_ID, 2))
    world.ask(late.model_copy(update={"number": 2}))
    await worker.casting.step()
    followed = worker.roles.of(0).live.id
    world.ask(switch(NEW_ID, 3))
    await worker.casting.step()

    assert (NEW_ID, OLD_ID, NEW_ID) == (after, followed, worker.roles.of(0).live.id)
    assert [0, 1, 2, 3] == [cast.number for cast in world.known().casts[0]]


async def test_the_check_counts_who_is_incomplete(world):
    """Leads from before the shadow lack what it alone keeps; a lead that came later lacks nothing."""
    world.roster = Roster((OLD,))
    use(world, "u1", 8, 0)
    use(world, "u2", 2, 20)
    first = CastingWorker(world)
    await first.read_all()
    first.commit()
    world.roster = ROSTER
    worker = CastingWorker(world)
    use(world, "u3", 3, 40)
    await worker.read_all()
    world.ask(check(NEW_ID))
    await worker.casting.step()
    await worker.casting.step()
    (report,) = world.known().reports.values()

    assert (3, 2, 1) == (report.leads, report.incomplete, report.losing)


async def test_nothing_is_cast_while_changes_are_open(world):
    """A crash left a change without its row: its event is read again under the old pack, then the packs change."""
    use(world, "u1", 3, 0)
    first = CastingWorker(world)
    await first.casting.ready(0)
    world.effects_left, world.rng = 2, random.Random(1)  # the change is written, the row is not
    with pytest.raises(Crash):
        await first.read_all()
    world.effects_left = 1_000_000
    world.ask(switch(NEW_ID))
    second = CastingWorker(world)
    await second.casting.step()
    waits = world.known().live(0)
    await second.read_all()
    await second.casting.step()

    assert (OLD_ID, NEW_ID) == (waits, world.known().live(0))
    assert ["pql-100"] == [one["pack"] for one in published(world)]


# --- all of it at once


def storm(world: CastingWorld) -> None:
    """Events of a few leads, most of which move some rule under both packs."""
    for number in range(30):
        name, given = world.rng.choice(
            [
                ("feature_used", {"feature": f"f{number}"}),
                ("compliance_level_changed", {"level": world.rng.choice(["none", "basic", "advanced"])}),
                ("identify", {"team_size": world.rng.choice([1, 3, 8]), "industry": "finance"}),
                ("workflow_completed", {"run_id": f"r{number}"}),
                ("feature_requested", {"request_id": f"q{number}"}),
            ]
        )
        world.event(name, world.rng.choice(LEADS), number, **given)


def recomputed(world: CastingWorld, lead_id: str, pack: str) -> tuple[int, ...] | None:
    """The points of all its events under one pack alone."""
    state = None
    for record in world.sources[TOPICS.activity]:
        if record.key == lead_id.encode():
            event = decode_event(record.value, record.topic, 0, record.offset, timestamp_ms=record.timestamp)
            state = advance(state, event, COMPILED[pack]).state
    return None if state is None else state.pack.points


def faults(world: CastingWorld, lead_id: str) -> list[str]:
    """What is wrong with what is told of a lead, and with its row."""
    own = [one for one in published(world) if one["lead_id"] == lead_id]
    causes = [one["cause"]["event_id"] for one in own]
    packs = [one["pack"] for one in own]
    tiers = [one["tier"] for one in published(world, TOPICS.qualified) if one["lead_id"] == lead_id]
    found = ["a tier twice"] if len(set(tiers)) != len(tiers) else []
    # What was on the road when a worker died can arrive when another pack scores its events.
    if not world.came_late:
        # The old pack's name sorts first.
        found += ["packs take turns"] if sorted(packs) != packs else []
        found += ["an event moved both"] if len(set(causes)) != len(causes) else []
    for pack in (OLD, NEW):
        told = [one for one in own if one["pack"] == pack.name]
        points = recomputed(world, lead_id, pack.name)
        found += ["a gap"] if list(range(1, len(told) + 1)) != [one["sequence"] for one in told] else []
        found += ["a joint"] if any(a["score_after"] != b["score_before"] for a, b in pairwise(told)) else []
        if points is not None and points != state_of(world, lead_id, PackId(pack.name, pack.version)).pack.points:
            found.append(f"points of {pack.name}")
    if NEW.name in packs:
        last = orjson.loads(world.changes_of(lead_id)[-1])
        newest = next(one for one in reversed(own) if one["pack"] == NEW.name)
        found += ["the last record"] if last["change_id"] != newest["change_id"] else []
        found += (
            ["the last score"] if round(last["score_after"] * 100) != sum(recomputed(world, lead_id, NEW.name)) else []
        )
    return found


@pytest.mark.parametrize("announce", ["none", "new"])
@pytest.mark.parametrize("seed", range(25))
async def test_crashes_around_a_cut_over_leave_one_live_pack_and_no_gap(seed, announce):
    """
    A worker dies after some of its effects, and the next goes on, while somebody asks for the new pack. In the end it
    is live; each lead's changes are some of the old pack's and then some of the new one's, each without a gap and as
    recomputed; no event moved both; no tier was announced twice; rows are those of a recomputation.
    """
    rng = random.Random(seed)
    world = CastingWorld(rng=rng)
    storm(world)
    for _ in range(40):
        if rng.random() < 0.1:
            world.ask(switch(NEW_ID, len(world.control_log), announce))
        world.effects_left = rng.randint(1, 6)
        with suppress(Crash):
            await world.live()
    world.effects_left = 1_000_000
    world.ask(switch(NEW_ID, 999, announce))
    await world.live()

    assert NEW_ID == world.known().live(0)
    assert {lead_id: [] for lead_id in LEADS} == {lead_id: faults(world, lead_id) for lead_id in LEADS}
