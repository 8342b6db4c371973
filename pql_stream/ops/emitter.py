"""A producer for people: records to one topic, counted as they are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

from pql_stream.errors import BrokerError
from pql_stream.ops.topics.cluster import TopicCluster

FLUSH_S = 60.0
MESSAGE_BYTES_MAX = 2 * 1024 * 1024


class Emitter:
    """
    Sends to *topic*; as a context manager it waits for what is under way.

    Partitions are Kafka's default, murmur2 of the key: librdkafka's own default is another.

    Raises, when entered:
        BrokerError: the cluster is away, or the topic is not there.
    """

    def __init__(self, client_config: Mapping[str, Any], topic: str) -> None:
        self.acknowledged = 0
        self.failed = 0
        self.failure = ""
        self._topic = topic
        self._client_config = client_config
        self._producer = Producer(
            {
                **client_config,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "linger.ms": 20,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        if self._topic not in TopicCluster(self._client_config).partitions([self._topic]):
            raise BrokerError(
                f"there is no topic {self._topic}",
                why="topics are not created by writing to them",
                what_to_do="run `pql-stream topics apply`",
            )
        return self

    def send(self, key: bytes | None, value: bytes) -> None:
        """Hand over one record; waits when too many are under way."""
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._answered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self._producer.flush(FLUSH_S)
        if left:
            self.failed += left
            self.failure = self.failure or f"no answer in {FLUSH_S:.0f} s"

    def _answered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failed += 1
            self.failure = error.str()
