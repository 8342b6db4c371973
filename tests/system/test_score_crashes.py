"""The delivery promise (CONTRACT.md 7) when workers are killed, stopped and frozen at their worst moments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from score_bench import ScoreBench
from score_checks import faults, repeats
from score_expected import Run
from score_feed import Placed, place, population, slices

from tests.oracle.render import Record

pytestmark = pytest.mark.system

PARTITIONS = 4
QUIET = PARTITIONS - 1
"""A partition that the tests with a held topic keep free, to see commits go by."""

SEND_AND_STORE = ("score_changed", "leads_changelog")


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet."""
    made = ScoreBench(kafka.bootstrap, topic_prefix, tmp_path, partitions=PARTITIONS)
    made.create_topics()
    yield made
    made.close()
    kafka.delete_topics(topic_prefix)


def feed_of(seed: int, routes: tuple = ("home", "home", "away"), parts: int = 3) -> list[Placed]:
    """Records in *parts*; few enough that a test takes seconds."""
    return slices(place(population(seed), PARTITIONS, seed=seed, routes=routes), parts)


def stand_at(bench: ScoreBench, topic: str, part: Placed) -> None:
    """
    Feed *part* to workers that cannot write to *topic*, and return when they stand there.

    They have written what comes before, and have committed what they think is done.
    """
    before = bench.topics.activity_dlq if topic == bench.topics.score_changed else bench.topics.score_changed
    with bench.growing(before):
        bench.feed([(partition, record) for partition, record in part if partition != QUIET])
    commit_goes_by(bench)


def commit_goes_by(bench: ScoreBench) -> None:
    """A tombstone needs no write, so it is committed with whatever else counts as done."""
    bench.feed([(QUIET, Record(None, (), b"nobody", 0))])
    bench.wait_for(lambda: f"{bench.topics.activity}-{QUIET}" not in bench.not_committed())


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
def test_a_worker_killed_in_the_middle_costs_nothing(bench, store):
    """
    kill -9 of one of two workers as soon as it has put something out, and its restart: nothing is missing,
    nothing is extra, every score is right, repeats are the same and in order.
    """
    first, second, third = feed_of(3)
    bench.start("a", PQL_STORE=store)
    killed = bench.start("b", PQL_STORE=store)
    bench.feed(first)
    bench.wait_all_committed()
    with bench.growing(bench.topics.score_changed):
        bench.feed(second)
    killed.kill()
    bench.start("b", PQL_STORE=store)
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


@pytest.mark.parametrize("held", SEND_AND_STORE)
def test_a_worker_killed_between_two_steps_costs_nothing(bench, held):
    """
    kill -9 of a worker whose outputs, or whose rows, are on their way and not written: the next one does
    it all again. Rows before outputs, or a commit before either, would lose something here.
    """
    first, second, third = feed_of(4)
    killed = bench.start(PQL_STORE="memory")
    bench.feed(first)
    bench.wait_all_committed()
    topic = getattr(bench.topics, held)
    with bench.held(topic):
        stand_at(bench, topic, second)
        killed.kill()
    bench.start(PQL_STORE="memory")
    bench.feed([(partition, record) for partition, record in second if partition == QUIET])
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


@pytest.mark.parametrize("seed", [5, 6])
def test_leads_on_two_routes_end_right_after_kills(bench, seed):
    """
    Leads whose events come by two routes, and a worker that is killed with their changes written and their
    rows not: the last change is right, and no tier is announced under a second id.
    """
    first, second = feed_of(seed, ("both",), 2)
    killed = bench.start(PQL_STORE="memory")
    bench.feed(first)
    bench.wait_all_committed()
    with bench.held(bench.topics.leads_changelog):
        stand_at(bench, bench.topics.leads_changelog, second)
        killed.kill()
    bench.start(PQL_STORE="memory")
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


def test_sigterm_ends_in_good_order(bench):
    """
    SIGTERM with batches in work: exit 0 within ten seconds, what was done is committed, the other worker
    and the next start do the rest, and nothing is written twice.
    """
    first, second, third = feed_of(7)
    stopped = bench.start("a")
    bench.start("b")
    bench.feed(first)
    bench.wait_all_committed()
    with bench.held(bench.topics.leads_changelog):
        stand_at(bench, bench.topics.leads_changelog, second)
        stopped.terminate()
    ended_with = stopped.process.wait(10)
    bench.start("a")
    bench.feed(third)
    bench.wait_all_committed()
    run = Run.of(bench)

    assert 0 == ended_with
    assert [] == faults(run)
    assert 0 == repeats(run)


@pytest.mark.parametrize("held", SEND_AND_STORE)
def test_a_frozen_worker_spoils_nothing_when_it_wakes_up(bench, held):
    """
    A worker is frozen with outputs, or rows, on their way until another one has its partitions and has gone
    on: what it still writes when it wakes up is repaired. The last row and the last change of each lead are
    right; nothing is extra; repeats are the same.
    """
    first, second, third = feed_of(8)
    frozen = bench.start("a")
    heir = bench.start("b")
    bench.feed(first)
    bench.wait_all_committed()
    bench.wait_for(lambda: bench.members() == 2)
    topic = getattr(bench.topics, held)
    with bench.held(topic):
        stand_at(bench, topic, second)
        frozen.freeze()
    bench.feed([(partition, record) for partition, record in second if partition == QUIET])
    bench.feed(third)
    bench.wait_all_committed()
    frozen.thaw()
    bench.wait_for(lambda: not frozen.running or bench.members() == 2)

    # An owner that leaves in good order has repaired its partitions before.
    for worker in (frozen, heir):
        if worker.running:
            worker.stop()
    assert [] == faults(Run.of(bench))


def test_the_group_goes_on_after_a_freeze(bench):
    """
    A worker that was frozen for longer than its session ends or joins again; what comes afterwards is
    scored once.
    """
    first, second, third = feed_of(9)
    frozen = bench.start("a")
    bench.start("b")
    bench.feed(first)
    bench.wait_all_committed()
    bench.wait_for(lambda: bench.members() == 2)
    frozen.freeze()
    bench.feed(second)
    bench.wait_all_committed()
    frozen.thaw()
    bench.feed(third)
    bench.wait_for(lambda: not frozen.running or bench.members() == 2)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))
