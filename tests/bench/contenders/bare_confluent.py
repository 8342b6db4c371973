"""
A bare confluent-kafka client: the least that a durable scorer in Python costs.

States live in a dict and are never written to disk; each lead that a batch changed goes to the changelog once,
as a row. There is no rebalance, no restart and no lease: it is a bound, not a product.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from pql_stream.core.states import LeadState
from pql_stream.wire.rows import dump_state
from tests.bench.contenders.job import (
    COMMIT_EVERY_S,
    FETCH_WAIT_MS,
    LINGER_MS,
    EventScorer,
    Job,
    job_of_command_line,
)

BATCH_MAX = 5_000
POLL_S = 0.005


class BareScorer:
    """One consumer, one producer, a dict."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._scorer = EventScorer(job.activity)
        self._states: dict[bytes, LeadState] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": job.bootstrap,
                "group.id": job.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "queued.max.messages.kbytes": 65_536,
                # By default it stops fetching for a second when its queue is full, and the worker idles.
                "fetch.queue.backoff.ms": 5,
            }
        )
        self._producer = Producer(
            {
                "bootstrap.servers": job.bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": LINGER_MS,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 256 * 1024,
            }
        )

    def run(self) -> None:
        """Until SIGTERM."""
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
        self._consumer.subscribe([self._job.activity])
        commit_at_s = time.monotonic() + COMMIT_EVERY_S
        while not stopped:
            self._handle(self._consumer.consume(BATCH_MAX, POLL_S))
            self._producer.poll(0)
            if time.monotonic() >= commit_at_s:
                self._commit()
                commit_at_s = time.monotonic() + COMMIT_EVERY_S
        self._commit()
        self._consumer.close()

    def _handle(self, messages: list[Any]) -> None:
        job, states, score = self._job, self._states, self._scorer.score
        touched: dict[bytes, int] = {}
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            key, partition = message.key(), message.partition()
            before = states.get(key)
            scored = score(before, message.value(), partition, message.offset(), message.timestamp()[1])
            if scored.state is not before:
                states[key] = scored.state
                touched[key] = partition
            if scored.change is not None:
                self._send(job.changes, scored.change, key, partition)
            if scored.qualification is not None:
                self._send(job.qualified, scored.qualification, key, partition)
        for key, partition in touched.items():
            self._send(job.changelog, dump_state(states[key], self._scorer.pack), key, partition)

    def _send(self, topic: str, value: bytes, key: Any, partition: int) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
            except BufferError:
                self._producer.poll(0.01)
            else:
                return

    def _commit(self) -> None:
        self._producer.flush()
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError._NO_OFFSET:  # the last commit covered everything
                raise


if __name__ == "__main__":
    BareScorer(job_of_command_line()).run()
