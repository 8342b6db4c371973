"""A lead's row from the changelog of a running cluster, for `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pql_stream.errors import BrokerError
from pql_stream.ops.topics.cluster import CONNECT_S_MAX, TopicCluster
from pql_stream.stream.names import LEADS_CHANGELOG, prefixed
from pql_stream.stream.partitioner import partition_of

_BATCH = 10_000


def read_row(client_config: Mapping[str, Any], prefix: str, lead_id: str) -> bytes | None:
    """
    The newest row of *lead_id*, read from its partition up to the end that it has now; None if it has none.

    Joins no group and commits nothing.

    Raises:
        BrokerError: the cluster is away, or has no such changelog.
    """
    topic = prefixed(LEADS_CHANGELOG, prefix)
    partitions = TopicCluster(client_config).partitions([topic]).get(topic)
    if partitions is None:
        raise BrokerError(
            f"there is no topic {topic}",
            why="nothing was scored on this cluster under this prefix",
            what_to_do="look at KAFKA_BOOTSTRAP_SERVERS and PQL_TOPIC_PREFIX, or name files of events",
        )
    key = lead_id.encode()
    at = TopicPartition(topic, partition_of(key, partitions))
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
        return _newest(consumer, at, key)
    except KafkaException as exc:
        raise BrokerError(f"cannot read {topic}", why=exc.args[0].str(), what_to_do="try again") from exc
    finally:
        consumer.close()


def _newest(consumer: Consumer, at: TopicPartition, key: bytes) -> bytes | None:
    start, end = consumer.get_watermark_offsets(at, timeout=CONNECT_S_MAX)
    consumer.assign([TopicPartition(at.topic, at.partition, start)])
    found: bytes | None = None
    position = start
    while position < end:
        messages = consumer.consume(_BATCH, timeout=CONNECT_S_MAX)
        if not messages:
            raise BrokerError(f"no answer while reading {at.topic}", what_to_do="try again")
        for message in messages:
            if message.error() is not None:  # the end of the partition: control records may hide it from us
                return found
            position = (message.offset() or 0) + 1
            if message.key() == key:
                found = message.value()
    return found
