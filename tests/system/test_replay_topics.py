"""Topics as the source of a replay, on a real broker: times, transactions and retention, which the other has not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from pql_stream.errors import BrokerError
from pql_stream.ops.replaying.bounds import OffsetBound, TimeBound
from pql_stream.ops.replaying.options import AskedSource
from pql_stream.replay.source import Source
from tests.conftest import TestKafka

pytestmark = pytest.mark.system

START_MS = 1_767_607_200_000
FOR_EVER = {"retention.ms": "-1"}
WAIT_S = 60


@pytest.fixture
def topic(kafka, topic_prefix, monkeypatch) -> Iterator[str]:
    """A topic of two partitions, whose cluster and prefix are in the environment."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("PQL_TOPIC_PREFIX", topic_prefix)
    kafka.create_topics({f"{topic_prefix}in": 2}, FOR_EVER)
    yield f"{topic_prefix}in"
    kafka.delete_topics(topic_prefix)


def asked(name: str = "in", **given: object) -> Source:
    return AskedSource((), (name,), **given).source()


def values_of(source: Source) -> str:
    return b"".join(record.value for chunk in source.read() for record in chunk.records).decode()


def write(
    bootstrap: str, topic: str, values: str, *, after_ms: int = 0, partitions: int = 2, **config: object
) -> Producer:
    """A record for each letter, to one partition after the other, a millisecond apart."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **config})
    producer.list_topics(topic, timeout=10)
    if config:
        producer.init_transactions(WAIT_S)
        producer.begin_transaction()
    for number, value in enumerate(values):
        at_ms = START_MS + after_ms + number
        producer.produce(topic, value.encode(), value.encode(), number % partitions, timestamp=at_ms)
    assert producer.flush(WAIT_S) == 0
    return producer


def groups_of(kafka) -> set[str]:
    return {group.group_id for group in kafka.admin.list_consumer_groups().result().valid}


def touches(kafka, group: str, topic: str) -> bool:
    """Does a member of *group* read *topic*, or has the group committed an offset of it? Others come and go."""
    members = kafka.admin.describe_consumer_groups([group])[group].result().members
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition) for partition in range(2)])
    committed = kafka.admin.list_consumer_group_offsets([asked])[group].result().topic_partitions
    read = {at.topic for member in members for at in member.assignment.topic_partitions}
    return topic in read or any(at.offset >= 0 for at in committed)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (TimeBound(START_MS + 2), None, "cdef"),
        (None, TimeBound(START_MS + 2), "ab"),
        (TimeBound(START_MS + 1), TimeBound(START_MS + 5), "bcde"),
        (TimeBound(START_MS + 6), None, ""),
        (None, TimeBound(START_MS + 6), "abcdef"),
        (OffsetBound(1), OffsetBound(2), "cd"),
        (TimeBound(START_MS + 3), OffsetBound(2), "d"),
    ],
)
def test_a_range_of_times_and_what_it_leaves_alone(kafka, topic, begin, end, expected):
    """
    From the first record that is so late in each partition; no group comes into being, and none is joined.
    """
    write(kafka.bootstrap, topic, "abcdef")
    before = groups_of(kafka)
    source = asked(begin=begin, end=end)
    write(kafka.bootstrap, topic, "xyz", after_ms=3)

    assert expected == values_of(source)
    assert [] == [group for group in groups_of(kafka) - before if touches(kafka, group, topic)]


def test_offsets_without_a_record_hold_nothing_up(kafka, topic):
    """
    Aborted records and markers are passed over, at the end of a range as well; what is still open is behind the end.
    """
    write(kafka.bootstrap, topic, "ab", **{"transactional.id": f"{topic}-1"}).commit_transaction(WAIT_S)
    write(kafka.bootstrap, topic, "xy", after_ms=10, **{"transactional.id": f"{topic}-2"}).abort_transaction(WAIT_S)
    write(kafka.bootstrap, topic, "cd", after_ms=20, **{"transactional.id": f"{topic}-3"}).commit_transaction(WAIT_S)
    write(kafka.bootstrap, topic, "zz", after_ms=30, **{"transactional.id": f"{topic}-4"}).abort_transaction(WAIT_S)
    still_open = write(kafka.bootstrap, topic, "uv", after_ms=40, **{"transactional.id": f"{topic}-5"})
    source = asked()
    still_open.commit_transaction(WAIT_S)

    assert "abcd" == values_of(source)
    assert "abcduv" == values_of(asked())


def test_a_compacted_topic_is_read_as_it_is(kafka, topic, topic_prefix):
    """
    Gaps of any length between the offsets, at the beginning too.
    """
    name = f"{topic_prefix}compacted"
    quickly = {"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"}
    kafka.create_topics({name: 1}, quickly)
    until_s = time.monotonic() + WAIT_S
    found, written = "", ""
    while len(found) == len(written):
        assert time.monotonic() < until_s
        write(kafka.bootstrap, name, "aaaaaaaab", after_ms=1_000 * len(written), partitions=1)
        written += "aaaaaaaab"
        found = values_of(asked("compacted"))

    assert len(found) < len(written)
    assert found.endswith("ab")


def test_a_beginning_that_is_gone_is_told(kafka, topic):
    """
    Before reading, and while it goes on; without a beginning that is asked for, what there is is read.
    """
    write(kafka.bootstrap, topic, "abcdef")
    fixed = asked()
    for deleted in kafka.admin.delete_records([TopicPartition(topic, 0, 2)]).values():
        deleted.result()

    assert "bdef" == values_of(asked())
    with pytest.raises(BrokerError, match="does not have the records from offset 1 of partition 0 any more"):
        asked(begin=OffsetBound(1))
    with pytest.raises(BrokerError, match="does not have the records from offset 0 of partition 0 any more"):
        values_of(fixed)


def test_a_topic_that_was_made_anew_is_told(kafka, topic, topic_prefix):
    """
    A topic of the same name with fewer records is not waited for without end; another cluster is told at once.
    """
    write(kafka.bootstrap, topic, "abcdef")
    fixed = replace(asked(), patience_s=1.0)
    kafka.delete_topics(topic_prefix)
    until_s = time.monotonic() + WAIT_S
    while topic in kafka.admin.list_topics(timeout=10).topics:
        assert time.monotonic() < until_s
    kafka.create_topics({topic: 2}, FOR_EVER)
    write(kafka.bootstrap, topic, "ab")

    with pytest.raises(BrokerError, match="ends at offset 1, and ended at 3 before"):
        values_of(fixed)
    with pytest.raises(BrokerError, match="is not the one that the replay began with"):
        replace(fixed, cluster_id="other").check()


def test_a_broker_that_comes_back_is_read_on(own_kafka, monkeypatch):
    """
    Killed in the middle and started again: the records are those without an interruption, each once.
    """
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", own_kafka.bootstrap)
    TestKafka(own_kafka.bootstrap).create_topics({"in": 2}, FOR_EVER)
    producer = Producer({"bootstrap.servers": own_kafka.bootstrap, "linger.ms": 50, "log_level": 0})
    for number in range(50_000):  # more than is fetched ahead
        producer.produce("in", b"%1000d" % number, None, number % 2, timestamp=START_MS + number)
        producer.poll(0)
    assert producer.flush(WAIT_S) == 0
    chunks = replace(asked(), patience_s=240.0).read()  # a broker on a busy machine takes its time
    records = list(next(chunks).records)
    own_kafka.kill()
    with ThreadPoolExecutor(1) as elsewhere:
        started = elsewhere.submit(own_kafka.start)
        records += [record for chunk in chunks for record in chunk.records]
        started.result()

    assert list(range(50_000)) == [int(record.value) for record in records]
