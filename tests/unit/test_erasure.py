"""Erasing a lead beside a worker: what comes behind the tombstone is found, and erased again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pql_stream.errors import PqlError
from pql_stream.ops.erasure import ROUNDS_MAX, Eraser
from pql_stream.wire.headers import REPAIR

TOPIC = "lead-profiles"
ROW = b'{"schema": "lead-profiles/1"}'
CONFIRMATION = (None, [REPAIR])


class Log:
    """The one partition of the topic, which a worker writes to as well."""

    def __init__(self, bootstrap: str) -> None:
        self.config: dict[str, Any] = {"bootstrap.servers": bootstrap}

    def write(self, value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: bytes = b"u1") -> None:
        producer = Producer({**self.config, "log_level": 0})
        producer.produce(TOPIC, value, key, 0, headers=list(headers))
        producer.flush(10)

    def values(self) -> list[bytes | None]:
        consumer = Consumer({**self.config, "group.id": "look", "log_level": 0})
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        _, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)
        values = [record.value() for record in consumer.consume(end, timeout=10)]
        consumer.close()
        return values

    def eraser(self, *steps: Callable[[], None]) -> Eraser:
        """
        Its clock moves a second with each look, and the worker takes one of *steps* with it. The first look of a round
        comes right after the tombstone.
        """
        seconds = iter(range(1_000))
        left = list(steps)

        def clock() -> float:
            if left:
                left.pop(0)()
            return float(next(seconds))

        return Eraser(self.config, TOPIC, clock)


@pytest.fixture
def log(embedded_kafka) -> Log:
    """It, with a row."""
    log = Log(embedded_kafka({TOPIC: 1}).bootstrap)
    log.write(ROW)
    return log


def test_a_row_that_a_dying_worker_left_behind_the_tombstone_is_erased_too(log):
    """
    It was written by a worker that had not seen the tombstone, and that was killed before it could take it back.
    """
    confirmed = log.eraser(lambda: log.write(ROW)).erase("u1", 0)

    assert ([ROW, None, ROW, None], False) == (log.values(), confirmed)


def test_a_row_of_another_lead_is_left_alone(log):
    """
    What is read behind the tombstone is looked at by its key.
    """
    log.eraser(lambda: log.write(ROW, key=b"u2")).erase("u1", 0)

    assert [ROW, None, ROW] == log.values()


def test_a_worker_that_confirms_ends_the_look(log):
    """
    Its own tombstone says that it has forgotten the lead.
    """
    confirmed = log.eraser(lambda: log.write(*CONFIRMATION)).erase("u1", 0)

    assert ([ROW, None, None], True) == (log.values(), confirmed)


def test_a_lead_that_keeps_coming_back_is_told(log):
    """
    Events go on saying who it is: that is no race, and somebody has to stop them.
    """
    with pytest.raises(PqlError, match="keeps coming back"):
        log.eraser(*[lambda: log.write(ROW)] * (20 * ROUNDS_MAX)).erase("u1", 0)
