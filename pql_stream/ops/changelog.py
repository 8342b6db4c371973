"""Rows from a changelog of a running cluster: one lead's for `explain` and `erase`, any one for a worker's start."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.topics.cluster import CONNECT_S_MAX, METADATA_POLL_S, PASSING, TopicCluster
from pql_stream.stream.partitioner import partition_of

SAMPLE_OFFSETS = (100, 20_000)
"""
How far back from its end a partition is looked at for a row: a little in each, and if that was nothing, further.

What is no row there is a transaction's marker, or what a transaction took back: a whole batch.
"""


class Newest(NamedTuple):
    """
    Where a lead's rows lie, and the newest: its offset and *value*, None for a tombstone.

    *offset* is None where the lead has no record at all.
    """

    partition: int
    offset: int | None
    value: bytes | None


def newest_row(client_config: Mapping[str, Any], topic: str, lead_id: str) -> Newest:
    """
    The newest row of *lead_id* in the changelog *topic*, read from its partition up to the end that it has now.

    Joins no group and commits nothing.

    Raises:
        BrokerError: the cluster is away, or has no such changelog.
    """
    partitions = TopicCluster(client_config).partitions([topic]).get(topic)
    if partitions is None:
        raise BrokerError(
            f"there is no topic {topic}",
            why="nothing was scored on this cluster under this prefix",
            what_to_do="look at KAFKA_BOOTSTRAP_SERVERS and PQL_TOPIC_PREFIX",
        )
    key = lead_id.encode()
    found = Newest(partition_of(key, partitions), None, None)
    with reader(client_config, topic) as consumer:
        for message in _records(consumer, TopicPartition(topic, found.partition)):
            if message.key() == key:
                found = found._replace(offset=message.offset(), value=message.value())
    return found


def sample_row(client_config: Mapping[str, Any], topic: str, partitions: int) -> bytes | None:
    """
    A row from near the end of a partition of the changelog *topic*; None if there is no row in any.

    Raises:
        BrokerError: the cluster is away, or does not let us read.
    """
    with reader(client_config, topic) as consumer:
        for offsets_max, partition in product(SAMPLE_OFFSETS, range(partitions)):
            newest = _records(consumer, TopicPartition(topic, partition), offsets_max=offsets_max)
            rows = [row for message in newest if (row := message.value()) is not None]
            if rows:
                return rows[-1]
    return None


@contextmanager
def reader(client_config: Mapping[str, Any], topic: str) -> Iterator[Consumer]:
    """
    A consumer that reads what is committed and joins no group.

    Raises:
        BrokerError: whatever the client says of *topic* within the block.
    """
    consumer = Consumer(
        {
            **client_config,
            "group.id": "pql-explain",  # required by the client, and never joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    except KafkaException as exc:
        raise _unreadable(topic, exc.args[0]) from exc
    finally:
        consumer.close()


def _records(consumer: Consumer, at: TopicPartition, offsets_max: int | None = None) -> Iterator[Message]:
    """The records of a partition up to the end that it has now: all, or those at its last *offsets_max* offsets."""
    start, end = _watermarks(consumer, at)
    if start == end:
        return
    if offsets_max is not None:
        start = max(start, end - offsets_max)
    consumer.assign([TopicPartition(at.topic, at.partition, start)])
    position = start
    while position < end:
        # One by one: a batch would be waited for until it is full, or the time is up.
        message = consumer.poll(CONNECT_S_MAX)
        if message is None:
            raise BrokerAway(f"no answer while reading {at.topic}", what_to_do="try again")
        error = message.error()
        if error is None:
            position = (message.offset() or 0) + 1
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name
            return  # before the end that we know: what is left there are a transaction's markers
        else:
            raise KafkaException(error)


def _watermarks(consumer: Consumer, at: TopicPartition) -> tuple[int, int]:
    """The first offset of a partition, and the one behind its last record."""
    until_s = time.monotonic() + CONNECT_S_MAX
    while True:
        try:
            return consumer.get_watermark_offsets(at, timeout=CONNECT_S_MAX)
        except KafkaException as exc:
            if exc.args[0].code() not in PASSING or time.monotonic() > until_s:
                raise
        time.sleep(METADATA_POLL_S)


def _unreadable(topic: str, error: KafkaError) -> BrokerError:
    away = error.code() in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}  # noqa: SLF001 - the client's public names
    kind = BrokerAway if away else BrokerError
    return kind(f"cannot read {topic}", why=error.str(), what_to_do="see that the brokers are up and let us read it")
