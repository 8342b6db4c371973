"""Which partitions are said to stand still: by what the cluster knows, whatever the worker believes."""

from __future__ import annotations

import pytest

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.group_offsets import GroupOffsets
from pql_stream.ops.stalls import StallWatch
from pql_stream.stream.metrics import PartitionId

HERE = PartitionId("product-activity", 0)
THERE = PartitionId("delivery-crm", 3)
AFTER_S = 900
STEP_S = 15.0


class World:
    """A worker, its cluster and the time; a test says what each would."""

    def __init__(self):
        self.now_s = 6_000.0
        self.offsets = {HERE: GroupOffsets(7, 7)}
        self.steps = {}
        self.waits = set()
        self.starting = None
        self.is_away = False
        self.records = True
        self.ends = {}
        self.watch = StallWatch(self, self, after_s=AFTER_S, clock=lambda: self.now_s)

    # --- the app
    def owned(self):
        return {at: self.steps.get(at, 0) for at in self.offsets}

    def waiting(self):
        return self.waits

    def start(self):
        return self.starting

    def heard(self, ends):
        self.ends = ends

    # --- the cluster
    async def read(self, partitions):
        if self.is_away:
            raise BrokerAway("away")
        return {at: self.offsets[at] for at in partitions}

    async def has_record(self, at, offset):
        if self.records is None:
            raise BrokerError("no answer")
        return self.records

    # --- time
    async def pass_s(self, seconds, each=lambda: None):
        """Let *seconds* go by, with a look at each step."""
        for _ in range(int(seconds / STEP_S)):
            self.now_s += STEP_S
            each()
            await self.watch.look()
        return self.watch.stalled()


@pytest.fixture
def world():
    return World()


async def test_records_that_wait_for_15_minutes_are_a_stall(world):
    """
    Not a second earlier; and the sentence names the partition.
    """
    world.offsets[HERE] = GroupOffsets(7, 9)
    before = await world.pass_s(AFTER_S)
    (told,) = await world.pass_s(STEP_S)

    assert [] == before
    assert "product-activity, partition 0: records wait, and no commit has moved for 900 s" == told


async def test_a_commit_that_moves_is_none(world):
    """
    However far behind, and however slowly.
    """

    def commit():
        committed, end = world.offsets[HERE]
        world.offsets[HERE] = GroupOffsets(committed + (world.now_s % 600 == 0), end)

    world.offsets[HERE] = GroupOffsets(7, 1_000_000)

    assert [] == await world.pass_s(4 * AFTER_S, commit)


async def test_a_stall_is_over_when_a_commit_moves(world):
    """
    The worker is well again, and the time begins anew.
    """
    world.offsets[HERE] = GroupOffsets(7, 9)
    during = await world.pass_s(2 * AFTER_S)
    world.offsets[HERE] = GroupOffsets(8, 9)

    assert 1 == len(during)
    assert [] == await world.pass_s(AFTER_S)


async def test_nothing_to_do_is_none(world):
    """
    An idle night, and then one record that is done at once.
    """
    idle = await world.pass_s(4 * AFTER_S)
    world.offsets[HERE] = GroupOffsets(7, 8)

    assert ([], []) == (idle, await world.pass_s(60))


async def test_waiting_on_purpose_is_none(world):
    """
    A destination that is away for a day, and what is not due; when it is back the time begins.
    """
    world.offsets = {THERE: GroupOffsets(7, 9)}
    world.waits = {THERE}
    waiting = await world.pass_s(4 * AFTER_S)
    world.waits = set()

    assert ([], []) == (waiting, await world.pass_s(AFTER_S))
    assert 1 == len(await world.pass_s(STEP_S))


async def test_a_long_batch_that_goes_on_is_none(world):
    """
    Five hundred deliveries at a slow destination take their time; each round is a step.
    """
    world.offsets = {THERE: GroupOffsets(7, 507)}

    def round_():
        world.steps[THERE] = world.steps.get(THERE, 0) + 1

    assert [] == await world.pass_s(4 * AFTER_S, round_)
    assert 1 == len(await world.pass_s(AFTER_S + STEP_S))


async def test_the_time_of_an_outage_does_not_count(world):
    """
    While the brokers are away nothing can move, and a restart would not help.
    """
    world.offsets[HERE] = GroupOffsets(7, 9)
    await world.pass_s(AFTER_S / 2)
    world.is_away = True
    away = await world.pass_s(4 * AFTER_S)
    world.is_away = False

    assert ([], []) == (away, await world.pass_s(AFTER_S / 2))
    assert 1 == len(await world.pass_s(2 * STEP_S))


async def test_an_answer_now_and_then_says_nothing_of_the_time_between(world):
    """
    Brokers that fail every other time cannot be told from a worker that stands still.
    """
    world.offsets[HERE] = GroupOffsets(7, 9)

    def flap():
        world.is_away = not world.is_away

    assert [] == await world.pass_s(4 * AFTER_S, flap)


async def test_the_time_in_which_we_were_frozen_does_not_count(world):
    """
    A machine that wakes up after hours has not seen a stall.
    """
    world.offsets[HERE] = GroupOffsets(7, 9)
    await world.pass_s(60)
    world.now_s += 10 * AFTER_S

    assert [] == await world.pass_s(60)


async def test_markers_of_transactions_are_no_records(world):
    """
    The end of a partition may lie behind what can be committed; a look at what is there tells.
    """
    world.offsets[HERE] = GroupOffsets(7, 8)
    world.records = False
    markers = await world.pass_s(4 * AFTER_S)
    world.records = None
    unknown = await world.pass_s(4 * AFTER_S)
    world.records = True

    assert ([], []) == (markers, unknown)
    assert 1 == len(await world.pass_s(AFTER_S + STEP_S))


async def test_a_partition_that_went_is_somebody_elses(world):
    """
    Another worker owns it now; when it comes back the time begins anew.
    """
    world.offsets[HERE] = GroupOffsets(7, 9)
    await world.pass_s(2 * AFTER_S)
    world.offsets = {}
    gone = await world.pass_s(STEP_S)
    world.offsets = {HERE: GroupOffsets(7, 9)}

    assert ([], []) == (gone, await world.pass_s(AFTER_S))


@pytest.mark.parametrize("what", ["joining the consumer group", "reading rows back from the changelogs"])
async def test_a_start_that_does_not_get_on_is_a_stall(world, what):
    """
    The group never lets us in, or a recovery waits for a row that does not come; one that gets on may take hours.
    """
    world.offsets = {}
    left = iter(range(10_000, 0, -1))

    def move():
        world.starting = (what, next(left))

    slow = await world.pass_s(4 * AFTER_S, move)
    stuck = await world.pass_s(AFTER_S + STEP_S)

    assert ([], [f"{what}: nothing has moved for 915 s"]) == (slow, stuck)


async def test_the_lag_hears_of_ends_that_nobody_fetches(world):
    """
    A client that has stopped asking for records knows no end; the lag must grow all the same.
    """
    world.offsets[HERE] = GroupOffsets(7, 900)
    await world.pass_s(STEP_S)

    assert {HERE: 900} == world.ends
