"""
Plays records to a worker and collects what it writes.

The embedded broker drops what lies 5 MB behind, read or not. So records go out in rounds, and a round
begins when the worker has scored and delivered the one before and committed that, and its outputs are collected.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from pql_stream.errors import BrokerError
from pql_stream.ops.demo.deliveries import Wanted
from pql_stream.ops.demo.records import DemoRecord
from pql_stream.ops.demo.settings_file import SINKS
from pql_stream.stream.names import APP_ID, DELIVER_APP_ID, Topics, sink_topics
from pql_stream.stream.partitioner import partition_of

ROUND_BYTES = 2_000_000
"""Of a round, over all partitions: its outputs are some times as large, and must fit into 5 MB a partition."""
ROUND_S_MAX = 60.0
_ANSWER_S = 10.0
_COLLECT_S = 0.1


@dataclass(slots=True)
class Collected:
    """What came out: the last change of each lead, the qualifications in order, dead letters by reason."""

    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    qualifications: list[dict[str, Any]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    changes: int = 0


class Player:
    """
    Feeds the topics of the broker at *bootstrap*, each with *partitions*.

    *wanted* is told of what the worker publishes. *alive* is asked while waiting; it raises when there is no worker to
    wait for any more.
    """

    def __init__(self, bootstrap: str, partitions: int, wanted: Wanted, alive: Callable[[], None]) -> None:
        self.sent = 0
        self.collected = Collected()
        self._wanted = wanted
        self._topics = Topics.under("")
        self._partitions = partitions
        self._alive = alive
        common = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._producer = Producer({**common, "linger.ms": 5, "message.max.bytes": 4_000_000})
        self._scoring = Consumer({**common, "group.id": APP_ID, "enable.auto.commit": False})
        self._delivering = Consumer({**common, "group.id": DELIVER_APP_ID, "enable.auto.commit": False})
        self._outputs = Consumer({**common, "group.id": "pql-demo", "enable.auto.commit": False})
        # Topic and partition -> the offset up to which its records are collected.
        self._collected_up_to = {
            (topic, partition): 0
            for topic in (self._topics.score_changed, self._topics.qualified, self._topics.activity_dlq)
            for partition in range(partitions)
        }
        self._outputs.assign([TopicPartition(topic, partition, 0) for topic, partition in self._collected_up_to])

    def close(self) -> None:
        """Disconnect."""
        for consumer in (self._scoring, self._delivering, self._outputs):
            consumer.close()

    def play(self, records: Iterable[DemoRecord]) -> Iterator[int]:
        """Send *records*; after each round that the worker is through with, the number of records so far."""
        size = 0
        for record in records:
            self._send(record)
            size += len(record.value or b"")
            if size >= ROUND_BYTES:
                self._finish_round()
                yield self.sent
                size = 0
        self._finish_round()
        yield self.sent

    def _send(self, record: DemoRecord) -> None:
        # Records without a key have no home; they spread.
        home = self.sent % self._partitions if record.key is None else partition_of(record.key, self._partitions)
        partition = (home + 1) % self._partitions if record.misplaced else home
        self._producer.produce(self._topics.activity, record.value, record.key, partition, headers=list(record.headers))
        self._producer.poll(0)
        self.sent += 1

    def _finish_round(self) -> None:
        if self._producer.flush(_ANSWER_S):
            raise BrokerError("the embedded broker takes no records", what_to_do="run the demo again")
        deadline_s = time.monotonic() + ROUND_S_MAX
        # What is committed has its outputs written, so these are asked for afterwards.
        while not (self._is_committed() and self._is_collected()):
            self._collect()
            self._alive()
            if time.monotonic() > deadline_s:
                raise BrokerError(
                    f"the worker is not through with a round after {ROUND_S_MAX:.0f} s",
                    what_to_do="run the demo again; if it stays so, please report it with the worker's log",
                )

    def _is_committed(self) -> bool:
        """Is all that anybody works on done? What is filled from another topic is asked for after that."""
        topics = self._topics
        scored = (topics.activity, topics.activity_rekeyed)
        queues = [sink_topics(sink, "") for sink in SINKS]
        delivered = (topics.score_changed, topics.qualified, *(one.deliveries for one in queues))
        # What is parked may be parked again: once its topic is done, so is the one that it came from.
        parked = tuple(one.parked for one in queues)
        return (
            all(self._is_done(self._scoring, topic) for topic in scored)
            and all(self._is_done(self._delivering, topic) for topic in delivered)
            and all(self._is_done(self._delivering, topic) for topic in parked)
        )

    def _is_done(self, group: Consumer, topic: str) -> bool:
        parts = [TopicPartition(topic, partition) for partition in range(self._partitions)]
        for part in group.committed(parts, timeout=_ANSWER_S):
            _, end = group.get_watermark_offsets(part, timeout=_ANSWER_S)
            if end > max(part.offset, 0):
                return False
        return True

    def _is_collected(self) -> bool:
        for (topic, partition), offset in self._collected_up_to.items():
            # Not by the consumer of the outputs: the answer would stand in line behind its waiting fetch.
            _, end = self._scoring.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_S)
            if end > offset:
                return False
        return True

    def _collect(self) -> None:
        """Take in what has come out so far."""
        for message in self._outputs.consume(5_000, timeout=_COLLECT_S):
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if message.error() is None and topic is not None and partition is not None and offset is not None:
                self._take(topic, message.value(), message.headers())
                self._collected_up_to[topic, partition] = offset + 1

    def _take(self, topic: str, value: bytes | None, headers: Any) -> None:  # noqa: ANN401 - pairs, or None
        if topic == self._topics.activity_dlq:
            self.collected.refused[dict(headers)["pql-dlq-reason"].decode()] += 1
            return
        record = orjson.loads(value or b"")
        if topic == self._topics.qualified:
            self._wanted.take("pql-qualified", record)
            self.collected.qualifications.append(record)
        else:
            self._wanted.take("score-changed", record)
            self.collected.changes += 1
            self.collected.scores[record["lead_id"]] = record
