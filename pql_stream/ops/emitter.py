"""A producer for people: records to one topic, counted as they are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.topics.cluster import TopicCluster

ANSWER_S_MAX = 30.0
"""How long the cluster may take for one record: a broker's failover fits in, and somebody waits for the end."""

MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""As `max.message.bytes` of product-activity (CONTRACT.md 1)."""
VALUE_BYTES_MAX = MESSAGE_BYTES_MAX - 1024
"""What fits into a message with everything that Kafka puts around it."""


class Emitter:
    """
    Sends to *topic*; as a context manager it waits for what is under way.

    Partitions are Kafka's default, murmur2 of the key: librdkafka's own default is another.

    Attributes: `acknowledged` and `failed` count records, `failure` is the last reason; `ends` has, of each partition
    that something went to, the offset behind it.

    Raises, when entered:
        BrokerError: the cluster is away, or the topic is not there.
    """

    def __init__(self, client_config: Mapping[str, Any], topic: str) -> None:
        self.acknowledged = 0
        self.failed = 0
        self.failure = ""
        self.ends: dict[int, int] = {}
        self._topic = topic
        self._client_config = client_config
        self._is_lost = False

    def __enter__(self) -> Self:
        if self._topic not in TopicCluster(self._client_config).partitions([self._topic]):
            raise BrokerError(
                f"there is no topic {self._topic}",
                why="topics are not created by writing to them",
                what_to_do="run `pql-stream topics apply`",
            )
        self._producer = Producer(
            {
                **self._client_config,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "message.timeout.ms": int(ANSWER_S_MAX * 1000),
                "linger.ms": 20,
                "log_level": 0,
            }
        )
        return self

    def send(self, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes | None]] = ()) -> None:
        """
        Hand over one record; waits when too many are under way.

        Raises:
            BrokerAway: an earlier one got no answer in `ANSWER_S_MAX`, so this one would not either.
        """
        while True:
            if self._is_lost:
                raise BrokerAway(
                    "the cluster does not answer any more",
                    why=self.failure,
                    what_to_do="see that its brokers are up, and run it again: what is repeated counts once",
                )
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._answered, headers=list(headers))
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def flush(self) -> None:
        """Wait until every record is answered, or given up."""
        # Every record is answered within ANSWER_S_MAX, if only by its own time running out.
        self._producer.flush(ANSWER_S_MAX + 1)

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged += 1
            partition, offset = message.partition() or 0, message.offset() or 0
            self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
        else:
            self.failed += 1
            self.failure = error.str()
            self._is_lost = self._is_lost or error.code() == KafkaError._MSG_TIMED_OUT  # noqa: SLF001 - its public name
