"""Erases the contact data of a lead: a tombstone on `lead-profiles`, and a look at whether it stays the last word."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from pql_stream.core.profiles import ProfileField, known_fields
from pql_stream.errors import BrokerError, InvalidState, PqlError
from pql_stream.ops.changelog import newest_row
from pql_stream.ops.topics.reading import reading
from pql_stream.wire.headers import REPAIR
from pql_stream.wire.lead_profiles import load_profile

ANSWER_S_MAX = 30.0
"""How long the cluster may take for the tombstone: a broker's failover fits in."""

WATCH_S = 8.0
"""
How long a worker may take to notice: it looks every 3 s, and first finishes the batch that it is at.

A worker that is killed in the very moment may leave a row behind the tombstone that it made before it knew; that is
what we look for.
"""
ROUNDS_MAX = 10
_POLL_S = 0.2


class Known(NamedTuple):
    """
    What lies under a lead's key: where, and the names of the fields that are known.

    *fields* is None where this version cannot read it. *is_erased*: the last word is a tombstone.
    """

    partition: int
    fields: list[ProfileField] | None
    is_erased: bool


def known_of(client_config: Mapping[str, Any], topic: str, lead_id: str) -> Known:
    """
    What *topic* has of *lead_id*.

    Raises:
        PqlError: nothing.
        BrokerError: the cluster is away, or has no such topic.
    """
    newest = newest_row(client_config, topic, lead_id)
    if newest.offset is None:
        raise PqlError(
            f"there is no contact data of a lead {lead_id}",
            why=f"{topic} has no record of it",
            what_to_do="lead ids are compared exactly; a lead known by an anonymous id only is anon:<id>",
        )
    if newest.value is None:
        return Known(newest.partition, [], is_erased=True)
    try:
        fields = known_fields(load_profile(newest.value)[1])
    except InvalidState:
        return Known(newest.partition, None, is_erased=False)
    return Known(newest.partition, fields, is_erased=False)


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases leads of *topic*. *clock* is seconds that never go back."""

    client_config: Mapping[str, Any]
    topic: str
    clock: Callable[[], float] = time.monotonic

    def erase(self, lead_id: str, partition: int) -> bool:
        """
        Erase what *partition* has of *lead_id*; on return nothing is left. True when a worker has confirmed it.

        Raises:
            BrokerError: the cluster is away, or does not let us write.
            PqlError: the lead's contact data keeps coming back.
        """
        key = lead_id.encode()
        for _ in range(ROUNDS_MAX):
            offset = self._write_tombstone(key, partition)
            confirmed = self._watch(key, TopicPartition(self.topic, partition, offset + 1))
            if confirmed is not None:
                return confirmed
        raise PqlError(
            f"the contact data of lead {lead_id} keeps coming back",
            why="events go on saying who it is",
            what_to_do="stop the product from sending them, and erase again",
        )

    def _write_tombstone(self, key: bytes, partition: int) -> int:
        answers: list[KafkaError | int] = []

        def answered(error: KafkaError | None, message: Message) -> None:
            answers.append(error if error is not None else message.offset() or 0)

        limits = {"enable.idempotence": True, "message.timeout.ms": int(ANSWER_S_MAX * 1000), "log_level": 0}
        producer = Producer({**self.client_config, **limits})
        try:
            producer.produce(self.topic, None, key, partition, on_delivery=answered)
            producer.flush(ANSWER_S_MAX + 1)
        except KafkaException as exc:
            answers.append(exc.args[0])
        answer = answers[0] if answers else None
        if isinstance(answer, int):
            return answer
        raise BrokerError(
            "the tombstone was not acknowledged",
            why="there was no answer" if answer is None else answer.str(),
            what_to_do=f"see that the brokers are up and let us write to {self.topic}; to erase twice does no harm",
        )

    def _watch(self, key: bytes, behind: TopicPartition) -> bool | None:
        """Whether a worker confirms the erasure; None when a row came *behind* the tombstone."""
        until_s = self.clock() + WATCH_S
        with reading(self.client_config, self.topic) as consumer:
            consumer.assign([behind])
            while self.clock() < until_s:
                for record in _next(consumer):
                    if record.key() != key:
                        continue
                    if record.value():
                        return None
                    if REPAIR in (record.headers() or []):
                        return True
        return False


def _next(consumer: Consumer) -> Iterator[Message]:
    message = consumer.poll(_POLL_S)
    if message is None:
        return
    error = message.error()
    if error is None:
        yield message
    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name
        raise KafkaException(error)
