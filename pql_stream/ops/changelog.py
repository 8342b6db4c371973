"""Rows from a changelog of a running cluster: one lead's for `explain` and `erase`, a sample for a start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import TopicPartition

from pql_stream.errors import BrokerError
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.reading import reading, records_of
from pql_stream.stream.partitioner import partition_of

SAMPLE_OFFSETS = (100, 20_000)
"""
How far back from its end a partition is looked at for a row: a little in each, and if that was nothing, further.

What is no row there is a transaction's marker, or what a transaction took back: a whole batch.
"""
SAMPLE_ROWS_MAX = 100
"""Rows that are enough for a sample."""


class PlacedRow(NamedTuple):
    """A row, its lead's id as UTF-8, and the partition that it lies on."""

    key: bytes
    row: bytes
    partition: int


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
    with reading(client_config, topic) as consumer:
        for message in records_of(consumer, TopicPartition(topic, found.partition)):
            if message.key() == key:
                found = found._replace(offset=message.offset(), value=message.value())
    return found


def sample_rows(
    client_config: Mapping[str, Any], topic: str, partitions: int, enough: int = SAMPLE_ROWS_MAX
) -> list[PlacedRow]:
    """
    Rows from near the ends of the partitions of the changelog *topic*, one after the other until there are *enough*;
    none only where none are near.

    Raises:
        BrokerError: the cluster is away, or does not let us read.
    """
    with reading(client_config, topic) as consumer:
        for offsets_max in SAMPLE_OFFSETS:
            found: list[PlacedRow] = []
            for partition in range(partitions):
                newest = records_of(consumer, TopicPartition(topic, partition), offsets_max=offsets_max)
                rows = [
                    PlacedRow(message.key() or b"", row, partition)
                    for message in newest
                    if (row := message.value()) is not None
                ]
                found += rows[-SAMPLE_ROWS_MAX:]
                if len(found) >= enough:
                    return found  # each further partition costs the start of a worker up to a second
            if found:
                return found
    return []
