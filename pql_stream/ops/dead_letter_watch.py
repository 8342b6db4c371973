"""How many dead letters wait for somebody, and since when: read from their topics, beside the worker's own consumer."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from confluent_kafka import Consumer, TopicPartition

from pql_stream.delivery.redrive import read_dead_letter
from pql_stream.errors import PqlError
from pql_stream.ops.delivery.dead_letters import record_of
from pql_stream.ops.interruptible import unless_stopped
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.reading import reading, records_of, watermarks

LOOK_EVERY_S = 60.0
_OURS_YET_S = 5.0

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lying:
    """What waits on a dead-letter topic. *oldest_at_s*: seconds since 1970; None when nothing does."""

    records: int
    oldest_at_s: float | None


class DepthMeter(Protocol):
    """Takes how deep the dead-letter topics are. Never raises, never waits."""

    def lying(self, topics: Mapping[str, Lying]) -> None:
        """These are all that this process looks after now."""


@dataclass(slots=True)
class OpenLetters:
    """
    The dead letters of one partition that were not redriven.

    It takes 8 bytes for each offset from the oldest of them on, so no more than the topic itself holds.
    """

    next: int = 0
    count: int = 0
    _first: int = 0
    _at_ms: array[int] = field(default_factory=lambda: array("q"))

    def add(self, offset: int, at_ms: int) -> None:
        """A dead letter."""
        if not self._at_ms:
            self._first = offset
        # Offsets in between were something else; 0 is nothing that waits.
        self._at_ms.extend([0] * (offset - self._first - len(self._at_ms)))
        self._at_ms.append(max(at_ms, 1))
        self.count += 1

    def redriven(self, offset: int) -> None:
        """A mark says so of the letter at *offset*."""
        at = offset - self._first
        if 0 <= at < len(self._at_ms) and self._at_ms[at]:
            self._at_ms[at] = 0
            self.count -= 1

    def oldest_at_ms(self, low: int) -> int | None:
        """When the oldest was written that is still there: the topic begins at *low* now."""
        gone = 0
        while gone < len(self._at_ms) and (self._first + gone < low or not self._at_ms[gone]):
            self.count -= self._at_ms[gone] != 0
            gone += 1
        del self._at_ms[:gone]
        self._first += gone
        return self._at_ms[0] if self._at_ms else None


class DepthReader:
    """
    Reads *topics* of the cluster that *client_config* (librdkafka's names) leads to. Blocks.

    *are_marked*: a record there may say of an earlier one that it was redriven (the sinks' topics); then all is read
    once, and later what is new. Of the others the ends are asked for, and their first record; there an offset counts as
    a record, if it is a transaction's marker, too.
    """

    def __init__(self, client_config: Mapping[str, Any], topics: Sequence[str], *, are_marked: bool) -> None:
        self._client_config = client_config
        self._topics = topics
        self._are_marked = are_marked
        self._open: dict[tuple[str, int], OpenLetters] = {}

    def read(self) -> dict[str, Lying]:
        """
        What waits on each topic.

        Raises:
            BrokerError: the cluster is away, or does not let us read.
        """
        counts = TopicCluster(self._client_config).partitions(self._topics)
        return {topic: self._lying(topic, count) for topic, count in counts.items()}

    def _lying(self, topic: str, partitions: int) -> Lying:
        records, oldest_ms = 0, []
        with reading(self._client_config, topic) as consumer:
            for count, at_ms in self._of_partitions(consumer, topic, partitions):
                records += count
                if at_ms is not None:
                    oldest_ms.append(at_ms)
        return Lying(records, min(oldest_ms) / 1000 if oldest_ms else None)

    def _of_partitions(self, consumer: Consumer, topic: str, partitions: int) -> Iterator[tuple[int, int | None]]:
        for number in range(partitions):
            at = TopicPartition(topic, number)
            low, end = watermarks(consumer, at)
            yield self._marked(consumer, at, low) if self._are_marked else _unmarked(consumer, at, low, end)

    def _marked(self, consumer: Consumer, at: TopicPartition, low: int) -> tuple[int, int | None]:
        letters = self._open.setdefault((at.topic, at.partition), OpenLetters())
        for message in records_of(consumer, at, first=letters.next):
            record = record_of(message)
            letters.next = record.offset + 1
            read = read_dead_letter(record, at.topic, at.partition)
            if isinstance(read, int):
                letters.redriven(read)
            elif read is not None:
                letters.add(record.offset, record.timestamp)
        oldest_at_ms = letters.oldest_at_ms(low)
        return letters.count, oldest_at_ms


def _unmarked(consumer: Consumer, at: TopicPartition, low: int, end: int) -> tuple[int, int | None]:
    first = next(records_of(consumer, at), None)
    return (0, None) if first is None else (end - low, first.timestamp()[1])


class DeadLetterWatch:
    """
    Tells *meter* once in a while what *reader* reads.

    *is_ours*: of all workers of a group one is enough, and it stops when another one takes over.
    """

    def __init__(
        self, reader: DepthReader, meter: DepthMeter, *, is_ours: Callable[[], bool], stop: asyncio.Event
    ) -> None:
        self._reader = reader
        self._meter = meter
        self._is_ours = is_ours
        self._stop = stop

    async def run(self) -> None:
        """Look once in a while, for ever."""
        while True:
            looked = await self.look()
            await asyncio.sleep(LOOK_EVERY_S if looked else _OURS_YET_S)

    async def look(self) -> bool:
        """Look now, if it is ours to do."""
        if not self._is_ours():
            self._meter.lying({})
            return False
        try:
            found = await unless_stopped(self._reader.read, self._stop)
        except PqlError as exc:
            log.warning("dead_letters_not_read", what=exc.what, why=exc.why)
        else:
            self._meter.lying(found or {})
        return True
