"""The way out of a worker: records to their topics; and what becomes of a dead letter that is too large."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pql_stream.errors import RecordTooLarge
from pql_stream.stream.effects import Effects
from pql_stream.stream.names import Topics
from pql_stream.wire.dead_letters import is_ours, stub
from pql_stream.wire.records import OutRecord


class Writer(Protocol):
    """A producer: in order, acknowledged."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> object:
        """
        Write *records*.

        Raises:
            RecordTooLarge: its `index` names the record; those before it are written.
        """


class Sender(Protocol):
    """The way out."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Send *records* in order; returns when all are acknowledged."""


def _outgoing(topics: Topics, partition: int, effects: Effects) -> list[tuple[str, int, list[OutRecord]]]:
    """
    All outputs, dead letters and re-keyed records of *effects*, each with its topic and partition.

    Outputs go to the partition of their lead, which is the number of the input's: all topics keyed by
    lead have the same count.
    """
    sends = [(topics.activity_rekeyed, home, records) for home, records in effects.rekeyed.items()]
    sends += [
        (topics.activity_dlq, partition, effects.dead_letters),
        (topics.score_changed, partition, effects.changes),
        (topics.qualified, partition, effects.qualifications),
        (topics.shadow_diff, partition, effects.differences),
    ]
    return [send for send in sends if send[2]]


async def send_all(sender: Sender, topics: Topics, partition: int, effects: Effects) -> None:
    """Send all that *effects* send; returns when all of it is acknowledged."""
    sends = _outgoing(topics, partition, effects)
    await asyncio.gather(*(sender.send(topic, at, records) for topic, at, records in sends))


class Outbox:
    """
    Sends to every topic of scoring.

    Dead letters go through *compressing*: what came in compressed may not fit otherwise. Their topic
    has *dead_letter_partitions*.
    """

    def __init__(self, topics: Topics, *, writer: Writer, compressing: Writer, dead_letter_partitions: int) -> None:
        self._topics = topics
        self._writer = writer
        self._compressing = compressing
        self._dead_letter_partitions = dead_letter_partitions

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Send *records* in order; returns when all are acknowledged."""
        if topic == self._topics.activity_dlq:
            await self._send_dead_letters(partition, records)
        else:
            await self._writer.send(topic, partition, records)

    async def _send_dead_letters(self, partition: int, records: Sequence[OutRecord]) -> None:
        """A dead letter that does not fit is replaced by a stub, so that no partition stalls over it."""
        at = partition % self._dead_letter_partitions
        left = list(records)
        while left:
            try:
                await self._compressing.send(self._topics.activity_dlq, at, left)
            except RecordTooLarge as exc:
                smaller = _smaller(left[exc.index])
                if smaller == left[exc.index]:
                    raise  # a topic that takes no stub takes nothing
                left = [smaller, *left[exc.index + 1 :]]
            else:
                left = []


def _smaller(dead_letter: OutRecord) -> OutRecord:
    """The stub of *dead_letter*; if it is one already, the stub without the producer's headers and key."""
    value, headers = stub(dead_letter.value or b"", dead_letter.headers)
    if headers == dead_letter.headers:
        return OutRecord(None, dead_letter.value, [header for header in headers if is_ours(header)])
    return OutRecord(dead_letter.key, value, headers)
