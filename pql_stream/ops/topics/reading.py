"""Records of a partition up to the end that it has now: for people who ask, and not for a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.topics.cluster import CONNECT_S_MAX, METADATA_POLL_S, PASSING


def committed_consumer(client_config: Mapping[str, Any], group: str, **more: Any) -> Consumer:  # noqa: ANN401 - the client's settings
    """A consumer of what is committed; as long as it subscribes to nothing, it is no member of *group*."""
    ours = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed", "log_level": 0}
    return Consumer({**client_config, **ours, **more})


@contextmanager
def reading(client_config: Mapping[str, Any], topic: str) -> Iterator[Consumer]:
    """
    A consumer for `records_of`. *topic* is the one that an error names.

    Raises:
        BrokerError: the cluster is away, or does not let us read.
    """
    # The client wants a group, which is never joined.
    consumer = committed_consumer(client_config, "pql-read", **{"enable.partition.eof": True})
    try:
        yield consumer
    except KafkaException as exc:
        raise _unreadable(topic, exc.args[0]) from exc
    finally:
        consumer.close()


def records_of(
    consumer: Consumer, at: TopicPartition, offsets_max: int | None = None, *, first: int = 0
) -> Iterator[Message]:
    """
    The records of a partition up to the end that it has now: all from the offset *first* on, or those of them at its
    last *offsets_max* offsets.
    """
    start, end = watermarks(consumer, at)
    start = max(start, first)
    if start >= end:
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


def watermarks(consumer: Consumer, at: TopicPartition) -> tuple[int, int]:
    """
    The first offset of a partition, and the one behind its last record.

    Raises:
        KafkaException: the cluster does not say.
    """
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
