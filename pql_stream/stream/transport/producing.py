"""Records out: whole batches, in order, acknowledged; and what to do about a record that is too large."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    RecordListTooLargeError,
)

from pql_stream.errors import BrokerError, PqlError
from pql_stream.stream.connection import Connection

# Below the broker's default of 1,048,588 for max.message.bytes, so a batch of small records is never refused.
BATCH_BYTES = 900_000
# A broker closes the connection on a request of 100 MiB (socket.request.max.bytes), and the client would try again for ever.
RECORD_BYTES_MAX = 64 * 1024 * 1024
_STOP_S = 5.0
_RESENDS_MAX = 5

log = logging.getLogger(__name__)


class OutRecord(NamedTuple):
    """One record to write; a *value* of None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def bytes(self) -> int:
        """Size of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        return size + sum(len(name) + len(value) for name, value in self.headers)


class Span(NamedTuple):
    """The offsets of one acknowledged batch, both ends included."""

    first: int
    last: int


class RecordTooLarge(PqlError):
    """
    The broker refuses a record for its size, and will always do so.

    Attributes: `index`, the record in what was to be sent; the ones before it (`spans`) are durable, it and those behind
    it were not written. Send something smaller in its place, and the rest after it.
    """

    def __init__(self, topic: str, index: int, size: int, spans: Sequence[Span]) -> None:
        super().__init__(
            f"a record of {size} bytes is too large for {topic}",
            why="the topic's max.message.bytes is smaller",
            what_to_do="raise max.message.bytes of the topic (`pql-stream topics apply`)",
        )
        self.topic = topic
        self.index = index
        self.size = size
        self.spans = tuple(spans)


class _BatchRefused(Exception):  # noqa: N818  # private, and says what happened
    """The broker finds a batch of *count* records too large."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def make_producer(
    connection: Connection, *, transactional_id: str | None = None, compression: str | None = None
) -> AIOKafkaProducer:
    """A producer, not started yet: idempotent, acknowledged by all replicas; *compression* as in aiokafka."""
    return AIOKafkaProducer(
        **connection.client_options(),
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        compression_type=compression,
        max_batch_size=BATCH_BYTES,
        linger_ms=0,
    )


async def _send_some(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[OutRecord], count_max: int
) -> Span:
    """Send as many of the first *count_max* records as fit into a batch (a first one always fits), and wait."""
    builder = producer.create_batch()
    timestamp_ms = int(time.time() * 1000)
    for record in records[:count_max]:
        added = builder.append(
            timestamp=timestamp_ms, key=record.key, value=record.value, headers=list(record.headers)
        )
        if added is None:
            break
    count = builder.record_count()
    try:
        metadata = await (await producer.send_batch(builder, topic, partition=partition))
    except (MessageSizeTooLargeError, RecordListTooLargeError) as exc:
        raise _BatchRefused(count) from exc
    if metadata.offset < 0:
        # The broker knows a retried batch as written, but no longer where: no offset to go on from.
        raise BrokerError(f"{topic}-{partition}: a write was acknowledged without its offset")
    return Span(metadata.offset, metadata.offset + count - 1)


async def send_records(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[OutRecord]
) -> list[Span]:
    """
    Write *records* in order, in as many batches as it takes, and wait for every acknowledgement.

    For a producer of one's own (one with transactions). After RecordTooLarge an idempotent producer cannot write to this
    partition any more: aiokafka has counted the refused batch. `RecordWriter` replaces its producer then.

    Raises:
        RecordTooLarge: `index` is the first record of the refused batch; the one that is too large is it or behind it.
        KafkaError: the broker refuses for another reason.
    """
    spans: list[Span] = []
    sent = 0
    while sent < len(records):
        _check_size(topic, records[sent], sent, spans)
        try:
            span = await _send_some(producer, topic, partition, records[sent:], len(records))
        except _BatchRefused as exc:
            raise RecordTooLarge(topic, sent, records[sent].bytes, spans) from exc
        spans.append(span)
        sent += span.last - span.first + 1
    return spans


def _check_size(topic: str, record: OutRecord, index: int, spans: Sequence[Span]) -> None:
    if record.bytes > RECORD_BYTES_MAX:
        raise RecordTooLarge(topic, index, record.bytes, spans)


class RecordWriter:
    """
    The producer of a worker: idempotent, and replaced when a refused batch has made it unusable.

    One for all topics. Records of one call stay in order; calls for the same partition that overlap may interleave.
    """

    def __init__(self, connection: Connection, *, compression: str | None = None) -> None:
        self._connection = connection
        self._compression = compression
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()

    async def start(self) -> None:
        """Connect."""
        self._producer = await self._new_producer()

    async def stop(self) -> None:
        """Flush and disconnect, within 5 seconds: a broker that is away must not hold up the end of the process."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop_producer(producer)

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = make_producer(self._connection, compression=self._compression)
        await producer.start()
        return producer

    async def _replace(self, used: AIOKafkaProducer) -> None:
        async with self._replacing:
            if self._producer is used:
                self._producer = await self._new_producer()
                await _stop_producer(used)

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[Span]:
        """
        Write *records* in order and wait for every acknowledgement; the offsets they got, one span a batch.

        Raises:
            RecordTooLarge: names the record; those before it are written.
            BrokerError: the broker refuses for another reason. What was written is not known.
        """
        spans: list[Span] = []
        sent, count_max, resends = 0, len(records), 0
        while sent < len(records):
            producer = self._producer
            if producer is None:
                raise BrokerError("the producer is not connected")
            _check_size(topic, records[sent], sent, spans)
            try:
                span = await _send_some(producer, topic, partition, records[sent:], count_max)
            except _BatchRefused as exc:
                await self._replace(producer)
                if exc.count == 1:
                    raise RecordTooLarge(topic, sent, records[sent].bytes, spans) from exc
                # Halves, until the record that is too large stands alone.
                count_max = exc.count // 2
                continue
            except OutOfOrderSequenceNumber as exc:
                # Another task's batch was refused just before, so the broker has not written this one.
                resends += 1
                if resends > _RESENDS_MAX:
                    raise BrokerError(f"{topic}-{partition}: {exc!r}") from exc
                await self._replace(producer)
                continue
            except KafkaError as exc:
                raise BrokerError(f"{topic}-{partition}: {exc!r}") from exc
            spans.append(span)
            sent += span.last - span.first + 1
            count_max = len(records)
        return spans


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), _STOP_S)
    except (KafkaError, TimeoutError) as exc:
        log.warning("the producer did not stop in good order: %r", exc)
