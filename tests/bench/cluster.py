"""The broker of a benchmark, seen from outside: topics, committed offsets, ends. The same for every contender."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import PRODUCT_ACTIVITY

WAIT_S = 60.0
_STEP_S = 0.05
_READ_MAX = 10_000

BROKER_SETTINGS: Mapping[str, str] = {
    # A deleted topic frees its disk soon: a run may leave gigabytes.
    "log.segment.delete.delay.ms": "1000",
    # Contenders that make their own topics take these.
    "num.partitions": "4",
}


class Stored(NamedTuple):
    """A record as the broker holds it; all of a benchmark's have a key and a value."""

    key: bytes
    value: bytes
    partition: int
    offset: int
    timestamp_ms: int


class Cluster:
    """Topics and groups of the broker at *bootstrap*."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._client: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._admin = AdminClient(self._client)
        self._topics = TopicCluster(self._client)

    def make_topics(self, prefix: str, partitions: int, *, inputs: bool) -> None:
        """The declared topics under *prefix*: that of the events, or all the others."""
        self._topics.apply(
            declared.on_cluster(prefix=prefix, partitions=partitions)
            for declared in load_declarations()
            if (declared.name == PRODUCT_ACTIVITY) == inputs
        )

    def delete_topics(self, prefix: str, *, keep: str | None = None) -> None:
        """Every topic with *prefix* in its name but *keep*; returns when they are gone."""
        # Some contenders put a word of their own before the name of a changelog.
        names = [name for name in self._listed() if prefix in name and name != keep]
        if not names:
            return
        for deleted in self._admin.delete_topics(names).values():
            deleted.result()
        wait_for(lambda: not set(names) & self._listed(), f"{len(names)} topics are gone")

    def delete_group(self, group: str) -> None:
        """*group* and its offsets, once its last member is gone; no matter if there is none."""

        def deleted() -> bool:
            try:
                self._admin.delete_consumer_groups([group])[group].result()
            except KafkaException as exc:
                return bool(exc.args[0].name() == "GROUP_ID_NOT_FOUND")
            return True

        wait_for(deleted, f"the group {group} is gone")

    def records(self, topic: str) -> Iterator[Stored]:
        """Every committed record that *topic* has now; those of one partition in order."""
        reader = Consumer(
            {
                **self._client,
                "group.id": "bench-reader",  # required by the client, and never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.queue.backoff.ms": 5,
            }
        )
        partitions = self._admin.list_topics(topic, timeout=10).topics[topic].partitions
        left = set(partitions)
        reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        try:
            while left:
                messages = reader.consume(_READ_MAX, 0.2)
                for message in messages:
                    error = message.error()
                    if error is None:
                        yield _stored(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            reader.close()

    def _listed(self) -> set[str]:
        return set(self._admin.list_topics(timeout=10).topics)

    def positions(self, topic: str, group: str) -> Positions:
        """How far *group* is in *topic*."""
        partitions = len(self._admin.list_topics(topic, timeout=10).topics[topic].partitions)
        return Positions(self._client, topic, partitions, group)


def _stored(message: Any) -> Stored:
    return Stored(message.key(), message.value(), message.partition(), message.offset(), message.timestamp()[1])


class Positions:
    """The committed offsets of one group on one topic, and the ends of that topic."""

    def __init__(self, client: Mapping[str, Any], topic: str, partitions: int, group: str) -> None:
        self._consumer = Consumer({**client, "group.id": group, "enable.auto.commit": False})
        self._partitions = [TopicPartition(topic, partition) for partition in range(partitions)]

    def committed(self) -> int:
        """The sum over the partitions; what cannot be asked right now (a coordinator moves) is 0."""
        try:
            return sum(max(at.offset, 0) for at in self._consumer.committed(self._partitions, timeout=10))
        except KafkaException:
            return 0

    def end(self) -> int:
        """The sum of the offsets behind the last record of each partition."""
        return sum(self._consumer.get_watermark_offsets(at, timeout=10)[1] for at in self._partitions)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def wait_for(happened: Callable[[], bool], what: str, seconds: float = WAIT_S) -> None:
    """
    Wait until *happened*.

    Raises:
        TimeoutError: it takes longer than *seconds*; *what* says what did not happen.
    """
    until_s = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until_s:
            raise TimeoutError(f"not in {seconds:.0f} s: {what}")
        time.sleep(_STEP_S)
