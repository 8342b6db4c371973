"""A worker that is told to end while the group is dealt anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from score_bench import MOSTLY_AT_LEAST_ONCE, ScoreBench, bench_on
from score_checks import PROMISED
from score_expected import Run
from score_feed import place, population, slices
from score_proxy import ADD_OFFSETS, PRODUCE, HoldingProxy

from pql_stream.stream.names import APP_ID

pytestmark = pytest.mark.system

PARTITIONS = 4
JOIN_GROUP = 11


@pytest.fixture(params=MOSTLY_AT_LEAST_ONCE)
def bench(request, kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet; under each guarantee."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=PARTITIONS, guarantee=request.param) as made:
        yield made


@pytest.fixture
def heirs_road(kafka) -> Iterator[HoldingProxy]:
    """The road to the broker for the worker that comes after it."""
    with HoldingProxy(kafka.bootstrap) as made:
        yield made


def test_a_rebalance_does_not_break_off_the_batch_of_a_worker_that_ends(bench, proxy, heirs_road):
    """
    SIGTERM with a batch in work, and another worker that joins before it is done: the batch is finished, the worker
    ends in good order, and the other one goes on.
    """
    first, second, third = slices(place(population(41), PARTITIONS, seed=41), 3)
    ending = bench.start("a", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    held = (f"{bench.prefix}{APP_ID}-", ADD_OFFSETS)
    if bench.guarantee == "at_least_once":
        held = (bench.topics.leads_changelog, PRODUCE)
    group = f"{bench.prefix}{APP_ID}"
    with proxy.held(*held):
        with heirs_road.held(group, JOIN_GROUP):
            bench.start("b", KAFKA_BOOTSTRAP_SERVERS=heirs_road.bootstrap)
            bench.wait_for(lambda: heirs_road.stands(group))
            bench.feed(second)
            bench.wait_for(lambda: proxy.stands(held[0]))
            ending.terminate()
            bench.wait_for(lambda: "Wait for streams" in ending.log())
        # The broker tells it of the other one, who waits for it, by a heartbeat: 0.6 s.
        bench.wait_for(lambda: "rebalancing" in ending.log() or not ending.running)
    ended_with = ending.process.wait(30)
    bench.feed(third)
    bench.wait_all_committed()

    assert 0 == ended_with, ending.log()[-2000:]
    assert [] == PROMISED[bench.guarantee](Run.of(bench))
