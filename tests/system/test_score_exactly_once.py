"""Exactly once (CONTRACT.md 7): who reads committed records sees each once, whatever is done to the workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from score_bench import ScoreBench, bench_on
from score_checks import faults_of_exactly_once
from score_expected import Run
from score_feed import Placed, place, population, slices
from score_proxy import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    END_TRANSACTION,
    INIT_PRODUCER,
    PRODUCE,
    TRANSACTION_OFFSETS,
    HoldingProxy,
)

from pql_stream.stream.names import APP_ID
from tests.proof import proof

pytestmark = pytest.mark.system

PARTITIONS = 4

STEPS = {
    "topics": ADD_PARTITIONS,
    "outputs": PRODUCE,
    "rows": PRODUCE,
    "group": ADD_OFFSETS,
    "offsets": TRANSACTION_OFFSETS,
    "commit": END_TRANSACTION,
}
"""The steps of a transaction, in their order, and the request that each is."""


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet; they will run exactly once."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=PARTITIONS, guarantee="exactly_once") as made:
        yield made


@pytest.fixture
def heirs_road(kafka) -> Iterator[HoldingProxy]:
    """The road to the broker for the worker that comes after it."""
    with HoldingProxy(kafka.bootstrap) as made:
        yield made


def feed_of(seed: int, parts: int = 3) -> list[Placed]:
    """Records in *parts*, with dirt, their leads on all routes: only exactly once has an order for those on both."""
    return slices(place(population(seed), PARTITIONS, seed=seed, routes=("home", "away", "both")), parts)


def name_of(bench: ScoreBench, step: str) -> str:
    """What a request of *step* names: its topic, or the transactional ids of all partitions."""
    topics = {"outputs": bench.topics.score_changed, "rows": bench.topics.leads_changelog}
    return topics.get(step, f"{bench.prefix}{APP_ID}-")


@contextmanager
def standing(bench: ScoreBench, proxy: HoldingProxy, step: str, part: Placed) -> Iterator[None]:
    """Feed *part*; the block begins when the worker behind *proxy* stands at *step*; behind it the step goes on."""
    name = name_of(bench, step)
    with proxy.held(name, STEPS[step]):
        bench.feed(part)
        bench.wait_for(lambda: proxy.stands(name))
        # What else is on its way gets there: a heartbeat takes 0.6 s.
        heartbeats = proxy.heartbeats
        bench.wait_for(lambda: proxy.heartbeats >= heartbeats + 2)
        yield


def read_up_to(bench: ScoreBench) -> int:
    """The sum of the offsets that are committed."""
    sources = (bench.topics.activity, bench.topics.activity_rekeyed)
    return sum(offset for topic in sources for offset in bench.committed(topic).values())


@pytest.mark.parametrize("step", [step if step in ("rows", "commit") else proof(step) for step in STEPS])
def test_a_worker_killed_at_any_step_costs_and_repeats_nothing(bench, proxy, step):
    """
    kill -9 of a worker at each step of a transaction, which never gets to the broker: started again on its state, it
    ends what was begun, and nothing is missing, extra, or there twice.
    """
    first, second, third = feed_of(31)
    killed = bench.start(KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    with standing(bench, proxy, step, second):
        killed.kill()
        proxy.cut()
    bench.start()
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults_of_exactly_once(Run.of(bench))


@pytest.mark.parametrize("step", [proof("outputs"), proof("offsets"), "commit"])
def test_a_step_that_arrives_after_its_worker_is_dead_changes_nothing(bench, proxy, step):
    """
    kill -9 of a worker whose request is still on the road, and arrives when the next one has taken over and gone
    on: the broker refuses it.
    """
    first, second, third = feed_of(32)
    killed = bench.start("a", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    with standing(bench, proxy, step, second):
        killed.kill()
        bench.start("b")
        bench.wait_all_committed()
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults_of_exactly_once(Run.of(bench))


def test_a_commit_that_arrives_while_the_next_worker_takes_over_counts(bench, proxy, heirs_road):
    """
    kill -9 of a worker whose commit is still on the road, and arrives just before its heir shuts it out: the heir
    reads nothing of the partition earlier, and so finds it committed.
    """
    first, second, third = feed_of(37)
    killed = bench.start("a", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    name, read = name_of(bench, "commit"), read_up_to(bench)
    with heirs_road.held(name, INIT_PRODUCER):
        with standing(bench, proxy, "commit", second):
            killed.kill()
            bench.start("b", PQL_STORE="memory", KAFKA_BOOTSTRAP_SERVERS=heirs_road.bootstrap)
            bench.wait_for(lambda: heirs_road.stands(name))
            # Time enough for the heir to read what it must not read yet.
            heartbeats = heirs_road.heartbeats
            bench.wait_for(lambda: heirs_road.heartbeats >= heartbeats + 3)
        # Of a small batch the offset may be all there is to commit.
        bench.wait_for(lambda: read_up_to(bench) > read)
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults_of_exactly_once(Run.of(bench))


@pytest.mark.parametrize("step", [proof("topics"), "rows", proof("commit")])
def test_a_frozen_worker_changes_nothing_when_it_wakes_up(bench, proxy, step):
    """
    A worker is frozen at the beginning, in the middle or at the end of a transaction until another one has its
    partitions and has gone on; then the step gets to the broker and the worker wakes up, and ends or joins again.
    """
    first, second, third = feed_of(33)
    frozen = bench.start("a", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    with standing(bench, proxy, step, second):
        frozen.freeze()
        bench.start("b")
        bench.feed(third)
        bench.wait_all_committed()
    frozen.thaw()
    bench.wait_for(lambda: not frozen.running or bench.members() == 2)
    bench.feed(feed_of(34, 1)[0])
    bench.wait_all_committed()

    assert [] == faults_of_exactly_once(Run.of(bench))


@pytest.mark.parametrize("step", [proof("outputs"), proof("offsets"), "commit"])
def test_a_connection_lost_in_a_transaction_costs_nothing(bench, proxy, step):
    """
    The connection breaks before the broker gets the request: the worker asks again on a new one, and
    goes on with a producer of which nothing can be on the road.
    """
    first, second, third = feed_of(35)
    worker = bench.start(KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    with standing(bench, proxy, step, second):
        proxy.cut()
    bench.wait_all_committed()
    bench.feed(third)
    bench.wait_all_committed()

    assert worker.running
    assert [] == faults_of_exactly_once(Run.of(bench))


def test_workers_come_and_go_without_a_trace(bench):
    """
    Workers that start, that end in good order, and that are killed, one after the other, while records come in.
    """
    parts = feed_of(36, 8)
    workers = [bench.start("a")]
    bench.feed(parts[0])
    bench.wait_all_committed()
    for number, part in enumerate(parts[1:]):
        with bench.growing(bench.topics.score_changed):
            bench.feed(part)
        if number % 3 == 0:
            workers.append(bench.start(f"b{number}"))
            bench.wait_ready(*workers)
        elif number % 3 == 1:
            workers.pop(0).kill()
        else:
            workers.append(bench.start(f"c{number}"))
            assert 0 == workers.pop(0).stop()
    bench.wait_all_committed()

    assert [] == faults_of_exactly_once(Run.of(bench))
