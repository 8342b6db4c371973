"""The batch transport on a real broker: whole workers that are killed, frozen, and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from transport_bench import PARTITIONS, WAIT_S, Bench

pytestmark = pytest.mark.system

ROCKSDB = ("--store", "pqlrocksdb://")


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path) -> Iterator[Bench]:
    """An app with its topics, and no worker yet."""
    made = Bench(kafka.bootstrap, topic_prefix + "app", tmp_path)
    kafka.create_topics({made.source: PARTITIONS, made.out: PARTITIONS})
    kafka.create_topics({made.changelog: PARTITIONS}, {"cleanup.policy": "compact,delete"})
    yield made
    made.close()
    kafka.delete_topics(topic_prefix)


def test_one_join_error_does_not_keep_a_worker_out_of_the_group(bench):
    """
    aiokafka parks a join error until somebody asks for it; the worker asks, and joins again.
    """
    bench.feed(400)
    bench.start("--join-error")
    bench.wait_all_committed()

    assert "injected join error" in bench.log_of()
    assert 400 == bench.counted()


def test_no_record_is_lost_in_the_window_at_the_end_of_recovery(bench):
    """
    A worker without a store of its own that is killed and started again recovers its rows from the
    changelog, and handles every record once, although the broker is slow while it seeks, and records are
    slow on their way between threads.
    """
    bench.feed(500)
    first = bench.start("--slow-seek-s", "0.3")
    bench.wait_all_committed()
    first.kill()
    first.wait()
    bench.feed(2500)
    bench.start("--slow-seek-s", "0.3", "--slow-poll-s", "0.3")
    bench.wait_all_committed()

    assert 3000 == bench.counted()
    assert 3000 == len(bench.outputs())


def test_a_killed_worker_goes_on_with_its_rocksdb_store(bench, kafka):
    """
    After kill -9 the rows come from the local store, those that it had recovered and those that it wrote: the
    changelog's records are deleted in between, so that there is nothing but a tail to read.
    """
    bench.feed(400, keys=40)
    first = bench.start(name="before")
    bench.wait_all_committed()
    bench.stop([first])
    second = bench.start(*ROCKSDB)
    bench.feed(20, keys=40)
    bench.wait_all_committed()
    second.kill()
    second.wait()
    deletions = kafka.admin.delete_records(
        [TopicPartition(bench.changelog, partition, -1) for partition in range(PARTITIONS)]
    )
    for deleted in deletions.values():
        deleted.result()
    bench.feed(40, keys=40)
    bench.start(*ROCKSDB)
    bench.wait_all_committed()

    written = {b"key-%d" % number: b"12" for number in range(20)}
    recovered = {b"key-%d" % number: b"11" for number in range(20, 40)}
    assert {**written, **recovered} == bench.rows()


def test_an_idle_owner_repairs_what_a_foreign_writer_wrote(bench):
    """
    A row that a zombie wrote is overwritten with the owner's, or with a tombstone where the owner has none.
    """
    bench.feed(100)
    bench.start()
    bench.wait_all_committed()
    own = bench.rows()
    bench.put(bench.changelog, b"key-1", b"999", partition_of(bench, b"key-1"))
    bench.put(bench.changelog, b"ghost", b"1", 0)
    bench.flush()
    bench.wait_for(lambda: bench.rows() == {**own, b"ghost": None})


def test_the_next_write_repairs_what_a_foreign_writer_wrote(bench):
    """
    Without the periodic look at the changelog, the gap in the offsets of the next write shows the foreign
    row.
    """
    bench.feed(100, keys=1)
    bench.start("--check-s", "1000")
    bench.wait_all_committed()
    partition = partition_of(bench, b"key-0")
    bench.put(bench.changelog, b"key-0", b"7", partition)
    bench.put(bench.changelog, b"ghost", b"1", partition)
    bench.flush()
    bench.put(bench.source, b"other", b"x", partition)
    bench.flush()
    bench.fed += 1
    bench.wait_all_committed()

    assert {b"key-0": b"100", b"other": b"1", b"ghost": None} == bench.rows()


def partition_of(bench: Bench, key: bytes) -> int:
    """The partition that the producer chose for *key*, read from what the worker put out."""
    return next(int(value.split(b"-")[0]) for out_key, value in bench.records(bench.out) if out_key == key)


def test_an_exception_in_the_agent_ends_the_process_and_commits_nothing(bench):
    """
    The record that raised is not skipped: the process ends with an error, and nothing of its partition is
    committed.
    """
    bench.feed(50, keys=1)
    worker = bench.start("--raise-on", "30")

    assert worker.wait(WAIT_S) not in (0, None)
    assert 0 == bench.committed()


def test_a_worker_that_crashes_writes_nothing_more(bench):
    """
    A batch is in work when that of another partition ends the process, and the end takes longer than the
    batch: by then the group may have given its partition away, so it is not written.
    """
    worker = bench.start("--batch-s", "1.5", "--raise-on", "1", "--slow-stop-s", "4")
    bench.feed(1, keys=1, partition=0)
    bench.wait_for(lambda: "begin batch" in bench.log_of())
    bench.feed(1, keys=1, partition=1)

    assert worker.wait(WAIT_S) not in (0, None)
    assert [] == bench.records(bench.out)
    assert [] == bench.records(bench.changelog)


def test_sigterm_finishes_and_commits_the_batches_in_work(bench):
    """
    SIGTERM in the middle of the batches: the process ends with 0 in time, and what it put out is committed.
    """
    bench.feed(20_000)
    worker = bench.start("--batch-s", "0.5")
    bench.wait_for(lambda: len(bench.outputs()) > 0)
    worker.terminate()

    assert 0 == worker.wait(10)
    assert bench.committed() == len(bench.outputs()) < 20_000


def test_a_batch_takes_in_what_comes_while_it_is_in_work(bench):
    """
    What comes behind it is handled and committed with it.
    """
    bench.feed(1, partition=0)
    bench.start("--grow-to", "5")
    bench.wait_for(lambda: "begin batch" in bench.log_of())
    bench.feed(2, partition=0)
    bench.feed(2, partition=0)
    bench.wait_all_committed()

    assert 1 == bench.log_of().count("begin batch")
    assert 5 == bench.counted() == len(bench.outputs())


def test_work_that_takes_long_gives_way(bench):
    """
    A batch that would not end is given back when another worker joins, and again at SIGTERM: the group is not held
    up, nothing of it is committed, and whoever has the partition next reads it again.
    """
    bench.feed(400)
    first = bench.start("--give-way", name="a")
    bench.wait_for(lambda: "begin batch" in bench.log_of("a"))
    second = bench.start("--give-way", name="b")
    bench.wait_for(lambda: "begin batch" in bench.log_of("b"))

    assert [0, 0] == bench.stop([first, second])
    assert 0 == bench.committed()

    bench.start(name="c")
    bench.wait_all_committed()

    assert 400 == bench.counted() == len(bench.outputs())


def test_workers_come_and_go_and_every_record_counts_once(bench):
    """
    Two joins and two leaves in good order, with records in flight, and batches that may grow: no record is lost, and
    none is handled twice.
    """
    first = bench.start("--batch-s", "0.02", "--standby", "1", name="a")
    bench.feed(3000)
    bench.wait_for(lambda: bench.committed() > 0)
    second = bench.start("--batch-s", "0.02", "--standby", "1", name="b")
    bench.feed(3000)
    bench.wait_for(lambda: "Worker ready" in bench.log_of("b"))
    bench.feed(3000)

    assert [0] == bench.stop([first])

    bench.feed(1000)
    bench.wait_all_committed()

    assert [0] == bench.stop([second])
    assert 10_000 == bench.counted()
    assert 10_000 == len(bench.outputs())
    assert 10_000 == bench.outputs().total()


def test_a_frozen_worker_writes_nothing_after_it_wakes_up(bench):
    """
    A worker that is frozen with a batch in work until its partitions are another's ends itself before the
    next effect.
    """
    frozen = bench.start("--batch-s", "1", name="frozen")
    bench.feed(100)
    bench.wait_for(lambda: bench.committed() == 100)
    bench.feed(100)
    bench.wait_for(lambda: bench.log_of("frozen").count("begin batch") > bench.log_of("frozen").count("end batch"))
    frozen.send_signal(signal.SIGSTOP)
    bench.start(name="heir")
    bench.wait_all_committed()
    bench.feed(100)
    bench.wait_all_committed()
    frozen.send_signal(signal.SIGCONT)

    assert frozen.wait(WAIT_S) not in (0, None)
    assert "no longer counts on this worker" in bench.log_of("frozen")
    assert 300 == bench.outputs().total()
    assert 300 == bench.counted()


def test_a_partition_that_stands_still_does_not_hold_back_the_others(bench):
    """
    One partition never gets done with its batch; the other three go on while it holds more than a batch can
    take.
    """
    bench.start("--slow-key", "key-stuck")
    bench.put(bench.source, b"key-stuck", b"x", 0)
    bench.flush()
    for partition in range(PARTITIONS):
        bench.feed(1000, keys=1, partition=partition)
    bench.wait_for(lambda: bench.committed() == 3000)

    assert {"1", "2", "3"} == {output.decode().split("-")[0] for output in bench.outputs()}


@pytest.mark.proof  # tests/system/test_score_broker_away.py has it of the whole worker
def test_a_worker_outlives_a_broker_that_is_killed(own_kafka, tmp_path: Path):
    """
    kill -9 of the broker with a worker at work: it goes on when the broker is back, and every record counts
    once.
    """
    bench = Bench(own_kafka.bootstrap, "app", tmp_path)
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
    for made in admin.create_topics([NewTopic(name, PARTITIONS) for name in bench.topics()]).values():
        made.result()
    worker = bench.start()
    bench.feed(500)
    bench.wait_all_committed()
    own_kafka.kill()
    own_kafka.start()
    bench.feed(500)
    bench.wait_all_committed()

    assert [0] == bench.stop([worker])
    assert 1000 == bench.counted()

    bench.close()
