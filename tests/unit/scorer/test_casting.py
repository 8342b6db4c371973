"""Another pack goes live, between two batches and through crashes: one live pack at any time, no gap, no overlap."""

from __future__ import annotations

import random
from contextlib import suppress
from importlib.resources import files
from itertools import pairwise

import orjson
import pytest
from casting_world import (
    AT,
    LEADS,
    NEW,
    NEW_ID,
    OLD,
    OLD_ID,
    ROSTER,
    CastingWorker,
    CastingWorld,
    check,
    published,
    state_of,
    switch,
    use,
)
from published_world import TOPICS, Crash

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import PackId, compile_pack
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidState
from pql_stream.wire.control import CastAnswer, PackRef
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack

COMPILED = {pack.name: compile_pack(pack) for pack in (OLD, NEW)}


@pytest.fixture
def world() -> CastingWorld:
    """A partition on which nothing has happened."""
    return CastingWorld(rng=random.Random(0))


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


async def test_the_check_finds_a_pack_that_was_edited_under_its_version(world, tmp_path):
    """Points of what it was lie in the rows, and no event may ever move them; of another version there are none."""
    use(world, "u1", 6, 0)
    first = CastingWorker(world)
    await first.read_all()
    first.commit()
    text = files("pql_stream.packs").joinpath("pql-100-linear.yaml").read_text()
    told = []
    for version in (1, 2):
        path = tmp_path / f"{version}.yaml"
        edited = text.replace("{features_used: 2.14}", "{features_used: 2}")
        path.write_text(edited.replace("version: 1", f"version: {version}"))
        pack = load_pack(str(path))
        world.roster = Roster((OLD, pack))
        request = check(PackId(pack.name, pack.version))
        world.ask(request.model_copy(update={"request_id": f"c{version}"}))
        await CastingWorker(world).casting.step()
        told.append(world.known().reports[0, f"c{version}"].edited)

    assert [1, 0] == told


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
