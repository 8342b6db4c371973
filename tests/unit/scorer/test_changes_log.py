"""score-changed under crashes and late writes: each lead's last record is right, and nobody is told what is not."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest
from published_world import PACK, TOPICS, Crash, Worker, World, points_in, told_once

from pql_stream.errors import StreamLost
from pql_stream.wire.records import OutRecord

ROUTES = {
    "h1": "home",
    "h2": "home",
    "a1": "away",
    "f1": "filled",
    "f2": "announced",
    "b1": "both",
    "b2": "both",
    "b3": "both",
    "m1": "mixed",
    "m2": "mixed",
}
SINGLE = ("home", "away", "filled", "announced")
"""Routes on which the order of a lead's events is fixed."""
MODES = {
    "home": ("live", None),
    "away": ("live", None),
    "both": ("live", None),
    "filled": ("backfill", None),
    "announced": ("backfill", True),
}
EFFECTS_OF_A_BATCH = 2
"""Changes, rows: the levels of these tests qualify nobody."""


def level(world: World, word: str, number: int, *, lead_id: str = "u1", home: bool = True) -> None:
    world.event("compliance_level_changed", lead_id, number, home=home, level=word)


@pytest.fixture
def world() -> World:
    """A partition on which nothing has happened."""
    return World(rng=random.Random(0))


async def killed_before_the_rows(world: World, topic: str = TOPICS.activity) -> None:
    """The life of a worker that writes the changes of what waits in *topic*, and not its rows."""
    worker = Worker(world)
    world.effects_left = EFFECTS_OF_A_BATCH
    world.rng = random.Random(1)  # the rows are not stored
    with pytest.raises(Crash):
        await worker.read(topic)
    world.effects_left = 1_000_000


def told(world: World, lead_id: str = "u1") -> list[tuple[int, float, float]]:
    """Sequence and score before and after of the lead's records."""
    records = [orjson.loads(change) for change in world.changes_of(lead_id)]
    return [(record["sequence"], record["score_before"], record["score_after"]) for record in records]


# --- all of it at once


def storm(world: World, calm: World, rng: random.Random) -> None:
    """The same events, in disorder, for both."""
    for number in range(rng.randint(10, 40)):
        lead_id = rng.choice(list(ROUTES))
        route = ROUTES[lead_id]
        filled = route in {"filled", "announced"} or (route == "mixed" and rng.random() < 0.5)
        home = route in {"home", "mixed"} or (route == "both" and rng.random() < 0.5)
        name, given = rng.choice(
            [
                ("compliance_level_changed", {"level": rng.choice(["none", "basic", "advanced"])}),
                ("feature_used", {"feature": f"f{rng.randint(0, 8)}"}),
                ("identify", {"team_size": rng.choice([1, 3, 8])}),
            ]
        )
        at = rng.randint(0, 1000) * 100 + number
        for each in (world, calm):
            if filled:
                each.filled_in(name, lead_id, at, announce=route == "announced", **given)
            else:
                each.event(name, lead_id, at, home=home, **given)


def faults_of(world: World, calm: World) -> list[str]:
    found = []
    for lead_id, route in ROUTES.items():
        if lead_id.encode() not in calm.rows:
            continue
        right, changes = calm.state_of(lead_id).pack.points, world.changes_of(lead_id)
        once = told_once(changes)
        # What comes late on two routes may be news right in front of a repeat of ours.
        readers = [changes] if route not in SINGLE and world.came_late else [changes, once]
        ends = [world.state_of(lead_id).pack.points, *(points_in(told[-1]) for told in readers if told)]
        if ends != [right] * len(ends):
            found.append(f"{lead_id} ends with {ends}, not {right}")
        if route in SINGLE and (once, len(once)) != (calm.changes_of(lead_id), len(set(changes))):
            found.append(f"{lead_id} has one route, and was told something else")
        modes = {(change["mode"], change.get("announce")) for change in map(orjson.loads, changes)}
        if route in MODES and modes - {MODES[route]}:
            found.append(f"{lead_id} was told of in another mode")
    return found


@pytest.mark.parametrize("seed", range(300))
async def test_whatever_happens_the_last_change_is_right(seed):
    """
    Crashes at any effect, writes that come late, sources read in another order: row and last record are
    right, and without late writes the last that a reader who drops repeats has seen. A lead with one route is
    told the same as without any of it.
    """
    rng = random.Random(seed)
    world, calm = World(rng=rng), World(rng=random.Random(1))
    storm(world, calm, rng)
    await calm.live()
    for _ in range(rng.randint(1, 4)):
        world.effects_left = rng.randint(1, 14)
        try:
            await world.live()
        except Crash:
            continue
    world.effects_left = 1_000_000
    await world.live()
    await world.live()

    assert [] == faults_of(world, calm)


# --- a take-over


async def test_after_a_clean_hand_over_nothing_is_read(world):
    """
    The note is the end of the log.
    """
    level(world, "basic", 1)
    await world.live()
    await world.live()

    assert 0 == world.reads


async def test_a_change_without_a_row_is_made_again_and_no_other(world):
    """
    A lead with one route: the repeat is the same, byte for byte.
    """
    level(world, "basic", 1)
    await killed_before_the_rows(world)
    level(world, "advanced", 2)
    await world.live()

    assert [(1, 0, 5), (1, 0, 5), (2, 5, 10)] == told(world)
    assert 2 == len(set(world.changes_of("u1")))


async def test_a_change_that_comes_to_nothing_is_taken_back(world):
    """
    The event of the other route is read first, and makes it void. The row goes on from the correction.
    """
    level(world, "basic", 1)
    await world.live()
    level(world, "advanced", 2)
    await killed_before_the_rows(world)
    level(world, "basic", 3, home=False)
    worker = Worker(world)
    await worker.read(TOPICS.activity_rekeyed)

    assert [(1, 0, 5), (2, 5, 10)] == told(world)

    await worker.read(TOPICS.activity)

    assert [(1, 0, 5), (2, 5, 10), (3, 10, 5)] == told(world)
    assert 3 == world.state_of("u1").pack.sequence


@pytest.mark.parametrize("announce", [False, True], ids=["silent", "announced"])
async def test_what_was_told_of_a_backfill_is_taken_back_likewise(world, announce):
    """
    Whoever was not told of the void change needs no word of its end; whoever was told does.
    """
    level(world, "basic", 1)
    await world.live()
    world.filled_in("compliance_level_changed", "u1", 2, announce=announce, level="advanced")
    await killed_before_the_rows(world, TOPICS.activity_backfill)
    level(world, "basic", 3)
    worker = Worker(world)
    await worker.read(TOPICS.activity)
    await worker.read(TOPICS.activity_backfill)
    records = [orjson.loads(change) for change in world.changes_of("u1")]

    assert [(1, 0, 5), (2, 5, 10), (3, 10, 5)] == told(world)
    assert ["live", "backfill", "backfill"] == [record["mode"] for record in records]
    assert [False, announce, announce] == [record.get("announce", False) for record in records]


async def test_a_note_stays_until_the_lead_is_right(world):
    """
    A second crash, before the void event was read again: its next owner still finds the change.
    """
    level(world, "advanced", 2)
    await killed_before_the_rows(world)
    level(world, "basic", 3, home=False)
    worker = Worker(world)
    await worker.read(TOPICS.activity_rekeyed)
    worker.commit()
    await world.live()

    assert 5 == told(world)[-1][2]
    assert world.state_of("u1").pack.sequence == told(world)[-1][0]


async def test_the_same_event_with_another_outcome_gets_another_id(world):
    """
    It makes the lead's first change both times, so it would have the same id; who drops repeats would miss it.

    The other route's event makes half of it void, and is done and committed before its owner is killed too.
    """
    world.event("identify", "u1", 1, team_size=8, industry="finance")
    await killed_before_the_rows(world)
    world.event("identify", "u1", 2, home=False, industry="retail")
    worker = Worker(world)
    await worker.read(TOPICS.activity_rekeyed)
    worker.commit()
    await Worker(world).read(TOPICS.activity)

    assert [(1, 0, 20), (2, 20, 10)] == told(world)
    assert 2 == len(told_once(world.changes_of("u1")))


@pytest.mark.parametrize(
    "note", ["", "score-changed=", "score-changed=-1", "somebody else's", "score-changed=99", "score-changed=٣"]
)
async def test_a_note_that_is_not_ours_is_the_beginning(world, note):
    """
    Another tool has set the offsets, or the topic was made anew and is shorter: read all there is.
    """
    level(world, "advanced", 2)
    await killed_before_the_rows(world)
    world.notes = dict.fromkeys(world.sources, note)
    await world.live()

    assert [(1, 0, 10), (1, 0, 10)] == told(world)
    assert 0 < world.reads


async def test_the_latest_note_counts(world):
    """
    An idle source keeps an old one.
    """
    level(world, "basic", 1)
    level(world, "advanced", 2, home=False)
    await world.live()
    world.notes[TOPICS.activity_rekeyed] = "score-changed=0"
    await world.live()

    assert 0 == world.reads


# --- late writes


def late(world: World, *numbers: int) -> None:
    """The lead's changes of these numbers arrive once more, from an earlier owner."""
    records = [OutRecord(b"u1", change) for change in told_once(world.changes_of("u1"))]
    world.late = [records[number - 1] for number in numbers]
    world.arrive()


async def with_four_changes(world: World) -> Worker:
    for number in range(1, 5):
        level(world, "basic" if number % 2 else "advanced", number)
    worker = Worker(world)
    await worker.read(TOPICS.activity)
    return worker


def numbers(world: World) -> list[int]:
    return [sequence for sequence, _, _ in told(world)]


async def test_older_changes_at_the_end_are_followed_by_ours_again(world):
    """
    Found by a look at the end of the log; all that came behind them is written again, in order.
    """
    worker = await with_four_changes(world)
    late(world, 1, 2)
    await worker.changes_log.check()

    assert [1, 2, 3, 4, 1, 2, 3, 4] == numbers(world)

    written = len(world.topics[TOPICS.score_changed])
    await worker.changes_log.check()

    assert written == len(world.topics[TOPICS.score_changed])
    assert f"score-changed={written}" == worker.changes_log.note(0)


async def test_a_gap_before_a_batch_is_repaired_behind_it(world):
    """
    What was written late is found by the offsets of another lead's changes.
    """
    worker = await with_four_changes(world)
    late(world, 2)
    level(world, "basic", 9, lead_id="u2")
    await worker.read(TOPICS.activity)

    assert [1, 2, 3, 4, 2, 3, 4] == numbers(world)


async def test_a_late_change_that_ours_lie_behind_needs_no_repair(world):
    """
    Our batch was written behind it.
    """
    worker = await with_four_changes(world)
    late(world, 3)
    level(world, "basic", 9)
    await worker.read(TOPICS.activity)

    assert [1, 2, 3, 4, 3, 5] == numbers(world)


async def test_the_next_owner_repairs_what_this_one_could_not(world):
    """
    The owner is killed with the late change in the log.
    """
    worker = await with_four_changes(world)
    worker.commit()
    late(world, 2)
    await Worker(world).changes_log.check()

    assert [1, 2, 3, 4, 2, 3, 4] == numbers(world)


async def test_a_newest_change_that_was_compacted_is_replaced_by_a_correction(world):
    """
    Nothing can be repeated any more, not even where the points are right: a new number puts it right.
    """
    worker = await with_four_changes(world)
    late(world, 2)
    world.gone = {1, 2, 3}
    await worker.changes_log.check()

    assert (5, 10, 10) == told(world)[-1]
    assert 5 == world.state_of("u1").pack.sequence


async def test_a_late_change_that_was_already_read_again_is_taken_back(world):
    """
    Its event was void when the new owner read it, and is not read once more.
    """
    level(world, "advanced", 2)
    await killed_before_the_rows(world)
    world.late, world.topics[TOPICS.score_changed] = world.topics[TOPICS.score_changed], []
    level(world, "basic", 3, home=False)
    worker = Worker(world)
    await worker.read(TOPICS.activity_rekeyed)
    await worker.read(TOPICS.activity)

    assert [(1, 0, 5)] == told(world)

    world.arrive()
    await worker.changes_log.check()

    assert [(1, 0, 5), (1, 0, 10), (2, 10, 5)] == told(world)


async def test_a_lead_that_has_no_row_is_let_be(world):
    """
    No event of it lies here: the record was never one of an owner.
    """
    level(world, "basic", 1)
    elsewhere = World()
    level(elsewhere, "basic", 7, lead_id="u9")
    await elsewhere.live()
    worker = Worker(world)
    await worker.read(TOPICS.activity)
    world.late = elsewhere.topics[TOPICS.score_changed]
    world.arrive()
    await worker.changes_log.check()

    assert [(1, 0, 5)] == told(world, "u9")
    assert "score-changed=2" == worker.changes_log.note(0)


# --- who may write


async def test_without_a_lease_nothing_is_repaired(world):
    """
    A zombie that repaired would write behind the new owner. The note stays, so the next owner does it.
    """
    worker = await with_four_changes(world)
    late(world, 2)
    world.leased = False

    with pytest.raises(StreamLost):
        await worker.changes_log.check()
    assert [1, 2, 3, 4, 2] == numbers(world)
    assert "score-changed=4" == worker.changes_log.note(0)


async def test_a_partition_that_is_not_owned_is_left_alone(world):
    """
    After the release there is nothing to check, to note, or to write to.
    """
    worker = await with_four_changes(world)
    late(world, 2)
    await worker.changes_log.release()
    await worker.changes_log.check()

    assert [1, 2, 3, 4, 2] == numbers(world)
    assert "" == worker.changes_log.note(0)
    level(world, "basic", 9)
    with pytest.raises(StreamLost, match="not owned"):
        await worker.read(TOPICS.activity)


async def test_a_check_that_waited_for_a_release_does_nothing(world):
    """
    The partition may be another worker's by then.
    """
    worker = await with_four_changes(world)
    async with worker.changes_log.batch(0, dict):
        late(world, 2)
        waiting = [asyncio.ensure_future(work) for work in (worker.changes_log.release(), worker.changes_log.check())]
        await asyncio.sleep(0)  # both come to the lock
    await asyncio.gather(*waiting)

    assert [1, 2, 3, 4, 2] == numbers(world)


async def test_other_topics_are_passed_on(world):
    """
    Their offsets say nothing about score-changed.
    """
    worker = await with_four_changes(world)
    await worker.changes_log.send(TOPICS.qualified, 7, [OutRecord(b"u1", b"1")])

    assert [b"1"] == [record.value for record in world.topics[TOPICS.qualified]]
    assert "score-changed=4" == worker.changes_log.note(0)


async def test_a_log_that_went_back_ends_us(world):
    """
    The topic was made anew under a running worker, or lost what it had acknowledged.
    """
    worker = await with_four_changes(world)
    world.topics[TOPICS.score_changed] = []
    level(world, "basic", 9)

    with pytest.raises(StreamLost, match="went back"):
        await worker.read(TOPICS.activity)


async def test_a_writer_that_never_rests_ends_us(world):
    """
    Two owners that repair each other for ever would fill the log: we give up.
    """
    worker = await with_four_changes(world)
    second = OutRecord(b"u1", world.changes_of("u1")[1])
    send = world.send

    async def answered(topic: str, partition: int, records: list[OutRecord]) -> list[tuple[int, int]]:
        spans = await send(topic, partition, records)
        world.topics[topic].append(second)
        return spans

    world.send = answered
    world.topics[TOPICS.score_changed].append(second)

    with pytest.raises(StreamLost, match="keeps writing"):
        await worker.changes_log.check()


def test_the_levels_of_these_tests_qualify_nobody():
    """The effects of a batch are counted by it."""

    assert PACK.tier_floors[1] > 1000
