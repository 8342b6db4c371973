"""Where an app is in its group, how long that took, and how far its recovery is."""

from __future__ import annotations

import pytest

from pql_stream.stream.membership import Membership
from pql_stream.stream.metrics import PartitionId

A, B = PartitionId("leads", 0), PartitionId("leads", 1)


class Meter:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def rebalanced(self, seconds):
        self.told.append(("rebalanced", seconds))

    def recovery_started(self):
        self.told.append(("started",))

    def recovery_ended(self, seconds):
        self.told.append(("ended", seconds))

    def recovery_left(self, rows):
        self.told.append(("left", rows))


class World:
    def __init__(self):
        self.now_s = 100.0
        self.meter = Meter()
        self.membership = Membership(lambda: self.now_s)
        self.membership.watched_by(self.meter)


@pytest.fixture
def world():
    return World()


def test_each_phase_is_timed(world):
    """
    The start until the first assignment, the recovery, and later from when the group took our partitions.
    """
    membership = world.membership
    phases = [membership.phase]
    for seconds, step in ((3, membership.assigned), (5, membership.running), (60, membership.joining)):
        world.now_s += seconds
        step()
        phases.append(membership.phase)
    world.now_s += 2
    membership.joining()  # as the group is joined again and again
    world.now_s += 4
    membership.assigned()

    assert ["joining", "recovering", "running", "joining"] == phases
    assert [("rebalanced", 3), ("started",), ("ended", 5), ("rebalanced", 6), ("started",)] == world.meter.told
    assert 2 == membership.assignments


def test_a_recovery_that_is_overtaken_has_no_end(world):
    """
    The group deals anew before all rows are back: no time of it is told, and `running` of an older one changes nothing.
    """
    world.membership.assigned()
    world.membership.joining()
    world.membership.running()

    assert "joining" == world.membership.phase
    assert "ended" not in {told[0] for told in world.meter.told}


def test_recovery_counts_from_where_it_began(world):
    """
    A local state that has most rows makes the way short; 100 % only when nothing is left.
    """
    world.membership.assigned()
    first = world.membership.recovery({A: (899, 999), B: (-1, -1)})
    later = world.membership.recovery({A: (998, 999), B: (-1, -1)})
    last = world.membership.recovery({A: (1_005, 999), B: (-1, -1)})

    assert (2, 1, 100, 0, 0) == (first.partitions, first.partitions_done, first.rows, first.rows_done, first.percent)
    assert (99, 99, 1) == (later.rows_done, later.percent, later.left)
    assert (2, 100, 0) == (last.partitions_done, last.percent, last.left)
    assert [("left", 100), ("left", 1), ("left", 0)] == world.meter.told[2:]


def test_a_new_assignment_begins_anew(world):
    """
    What was read for the one before is no progress of this one.
    """
    world.membership.assigned()
    world.membership.recovery({A: (-1, 99)})
    world.membership.assigned()

    assert 50 == world.membership.recovery({A: (49, 99)}).rows


def test_nothing_to_recover_is_all_of_it(world):
    """
    Also before the ends of the changelogs are known.
    """
    assert 100 == world.membership.recovery({}).percent
