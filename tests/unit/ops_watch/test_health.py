"""What a worker answers its keeper, in words."""

from __future__ import annotations

import pytest

from pql_stream.ops.health import WorkerHealth
from pql_stream.stream.membership import Membership, RecoveryProgress


class App:
    """An app that is as a test says."""

    def __init__(self, *, ready=False):
        self.crashed = False
        self.is_ready = ready
        self.membership = Membership(lambda: 0.0)
        self.sources = range(12)
        self.progress = RecoveryProgress(0, 0, 0, 0)

    def recovery(self):
        return self.progress


class World:
    def __init__(self):
        self.ending = False
        self.stalls = []
        self.score, self.deliver = App(), App()
        self.health = WorkerHealth(lambda: self.ending)

    def watched(self):
        self.health.watch({"pql-score": self.score, "pql-deliver": self.deliver}, lambda: self.stalls)
        return self.health


@pytest.fixture
def world():
    return World()


def test_a_worker_that_waits_for_its_cluster_is_alive(world):
    """
    A restart would not bring the brokers back.
    """
    health = world.health

    assert (True, "the worker is alive") == (health.live().ok, health.live().sentence)
    assert [False, False] == [health.ready().ok, health.started().ok]
    assert "waiting for the cluster" in health.ready().sentence


def test_each_app_says_where_it_is(world):
    """
    Joining, looking for the ends, reading rows, reading contact data, ready: those that are not are named.
    """
    health, score, deliver = world.watched(), world.score, world.deliver
    told = [health.ready().sentence]
    score.membership.assigned()
    deliver.is_ready = True
    told.append(health.ready().sentence)
    score.progress = RecoveryProgress(partitions=24, partitions_done=3, rows=5_000_000, rows_done=1_249_999)
    told.append(health.started().sentence)
    score.is_ready, deliver.is_ready = True, False
    deliver.membership.assigned()
    deliver.membership.running()
    told.append(health.ready().sentence)
    deliver.is_ready = True
    told.append(health.ready().sentence)

    assert [
        "pql-score: joining its consumer group; pql-deliver: joining its consumer group",
        "pql-score: assigned, looking where the changelogs end",
        "pql-score: reading rows back from the changelogs: 3 of 24 partitions, 1,249,999 of 5,000,000 rows, 24 %",
        "pql-deliver: reading the contact data of its leads",
        "pql-score: ready, with 12 partitions; pql-deliver: ready, with 12 partitions",
    ] == told


def test_a_rebalance_is_not_ready_and_still_started(world):
    """
    Traffic stops, and the startup probe does not begin again.
    """
    health = world.watched()
    world.score.is_ready = world.deliver.is_ready = True
    before = health.ready().ok, health.started().ok
    world.score.is_ready = False

    assert ((True, True), (False, True)) == (before, (health.ready().ok, health.started().ok))


def test_only_what_a_restart_mends_is_not_alive(world):
    """
    A crash and stalls are, the first three of them by name; a recovery and an end are not.
    """
    health = world.watched()
    alive = health.live().ok
    world.ending = True
    ending = health.live().ok, health.ready()
    world.stalls = [f"p{number}: nothing has moved" for number in range(9)]
    stalled = health.live()
    world.score.crashed = True

    assert (True, True, False, "the worker is ending") == (alive, ending[0], ending[1].ok, ending[1].sentence)
    told = "p0: nothing has moved; p1: nothing has moved; p2: nothing has moved; a restart is needed"
    assert (False, told) == (stalled.ok, stalled.sentence)
    assert (False, "the worker has crashed and is ending") == (health.live().ok, health.live().sentence)
