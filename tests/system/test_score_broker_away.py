"""Workers whose broker is killed under them, or not there yet."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from score_bench import MOSTLY_AT_LEAST_ONCE, WAIT_S, ScoreBench
from score_checks import PROMISED
from score_expected import Run
from score_feed import place, population, slices

pytestmark = pytest.mark.system


@pytest.fixture(params=MOSTLY_AT_LEAST_ONCE)
def bench(own_kafka, tmp_path: Path, request) -> Iterator[ScoreBench]:
    """Topics of four partitions on a broker of our own, and no worker yet."""
    made = ScoreBench(own_kafka.bootstrap, "", tmp_path, guarantee=request.param)
    made.create_topics()
    yield made
    made.close()


def test_a_worker_outlives_a_broker_that_is_killed(bench, own_kafka):
    """
    kill -9 of the broker while a worker has outputs on their way, for longer than a session lasts: the same
    worker goes on when the broker is back, and nothing is lost.
    """
    first, second, third = slices(place(population(11), 4, seed=11, routes=("home", "away")), 3)
    worker = bench.start()
    bench.feed(first)
    bench.wait_all_committed()
    with bench.growing(bench.topics.score_changed):
        bench.feed(second)
    own_kafka.kill()
    own_kafka.start()
    bench.feed(third)
    bench.wait_all_committed()

    assert worker.running
    assert [] == PROMISED[bench.guarantee](Run.of(bench))


def test_sigterm_ends_a_worker_whose_broker_is_away(bench, own_kafka):
    """
    SIGTERM to a worker that has partitions and has lost its broker: exit 0 within twenty seconds, of which it
    tries to commit and to leave for ten.
    """
    worker = bench.start()
    bench.feed(place(population(13, events=300), 4, seed=13))
    bench.wait_all_committed()
    own_kafka.kill()
    bench.wait_for(lambda: "Failed fetch messages" in worker.log())
    ended_with = worker.stop(20)

    assert 0 == ended_with
    assert "Traceback" not in worker.log()


def test_a_worker_waits_for_a_broker_that_is_not_there_yet(bench, own_kafka):
    """
    Without a broker a worker says so, in a line and without a traceback, and tries again; it scores once
    the broker is there.
    """
    own_kafka.stop()
    worker = bench.start()
    bench.wait_for(lambda: bool(worker.logged("broker_away")))
    waiting = worker.log()
    own_kafka.start()
    bench.feed(place(population(12, events=300), 4, seed=12))
    bench.wait_all_committed()

    assert "Traceback" not in waiting
    assert bench.bootstrap in worker.logged("broker_away")[0]["what"]
    assert [] == PROMISED[bench.guarantee](Run.of(bench))


def test_sigterm_ends_the_wait_for_a_broker(kafka, tmp_path):
    """
    SIGTERM while a worker waits for an answer of something that takes its connection and says nothing: exit 0
    within ten seconds.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(WAIT_S)
        bench = ScoreBench(kafka.bootstrap, "", tmp_path)
        worker = bench.start(KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{silent.getsockname()[1]}")
        connection, _ = silent.accept()
        with connection:
            worker.terminate()
            ended_with = worker.process.wait(10)
        bench.close()

    assert 0 == ended_with
