"""`pql-control` as a command sees it: read to its end, and written to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.topics.cluster import CONNECT_S_MAX
from pql_stream.ops.topics.reading import reading, records_of
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.names import CONTROL, prefixed
from pql_stream.wire.control import Request, encode_control


def read_control(client_config: Mapping[str, Any], prefix: str) -> ControlLog:
    """
    What the control topic says.

    Raises:
        BrokerError: the cluster is away, or does not let us read it.
    """
    topic, log = prefixed(CONTROL, prefix), ControlLog()
    with reading(client_config, topic) as consumer:
        for message in records_of(consumer, TopicPartition(topic, 0)):
            log.add(message.offset() or 0, message.value())
    return log


def ask(client_config: Mapping[str, Any], prefix: str, request: Request) -> None:
    """
    Write *request* to the control topic; returns when it is durable.

    Raises:
        BrokerError: it is not.
    """
    topic = prefixed(CONTROL, prefix)
    failed: list[BrokerError] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(BrokerError(f"{topic} took no request", why=str(error)))

    try:
        producer = Producer({**client_config, "enable.idempotence": True, "log_level": 0})
        producer.produce(topic, encode_control(request), request.key.encode(), 0, on_delivery=delivered)
        left = producer.flush(CONNECT_S_MAX)
    except KafkaException as exc:
        raise BrokerError(f"{topic} took no request", why=exc.args[0].str()) from exc
    if left:
        raise BrokerAway(f"no answer while writing to {topic}", what_to_do="try again")
    if failed:
        raise failed[0]
