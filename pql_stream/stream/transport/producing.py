"""Records out: whole batches, in order, acknowledged; and what to do about a record that is too large."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
)

from pql_stream.errors import BrokerError, RecordTooLarge
from pql_stream.stream.connection import Connection
from pql_stream.stream.transport import internals
from pql_stream.stream.transport.lease import Lease
from pql_stream.stream.transport.packing import PackedBatch
from pql_stream.stream.transport.requests import join_once, several_at_once
from pql_stream.wire.records import OutRecord

# Below the broker's default of 1,048,588 for max.message.bytes, so a batch of small records is never refused.
BATCH_BYTES = 900_000
# A broker closes the connection on a request of 100 MiB (socket.request.max.bytes), and the client would
# try again for ever.
RECORD_BYTES_MAX = 64 * 1024 * 1024
_STOP_S = 5.0


class Span(NamedTuple):
    """The offsets of one acknowledged batch, both ends included."""

    first: int
    last: int


class _LeaseInDoubt(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """The lease has run out and the group has not spoken yet: the producer tries again."""

    retriable = True


class _LeaseLost(KafkaError):  # type: ignore[misc]  # as above
    """The group no longer counts on us: the write is dropped."""


class BatchRefused(Exception):  # inside the transport, and says what happened
    """The broker finds a batch of *count* records too large; none of them is written."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def new_producer(connection: Connection, **options: object) -> AIOKafkaProducer:
    """A producer of whole batches, not started yet; *options* as in aiokafka."""
    producer = AIOKafkaProducer(**connection.client_options(), linger_ms=0, **options)
    join_once(producer)
    several_at_once(producer)
    return producer


def make_producer(connection: Connection) -> AIOKafkaProducer:
    """A producer, not started yet: idempotent, acknowledged by all replicas."""
    return new_producer(connection, acks="all", enable_idempotence=True)


def pack(records: Sequence[OutRecord], *, compressed: bool, transactional: bool = False) -> PackedBatch:
    """As many of *records* as one batch may have, written now."""
    now_ms = int(time() * 1000)
    return PackedBatch(records, now_ms, bytes_max=BATCH_BYTES, compressed=compressed, transactional=transactional)


async def send_batch(producer: AIOKafkaProducer, batch: PackedBatch, topic: str, partition: int) -> Span:
    """
    Send *batch*, and wait.

    Raises:
        BatchRefused: the broker finds them too large together.
        BrokerError: they are written, and the broker no longer knows where.
        KafkaError: they are not written, or that is not known.
    """
    count = batch.record_count()
    try:
        metadata = await (await producer.send_batch(batch, topic, partition=partition))
    except (MessageSizeTooLargeError, RecordListTooLargeError) as exc:
        raise BatchRefused(count) from exc
    if metadata.offset < 0:
        # The broker knows a retried batch as written, but no longer where: no offset to go on from.
        raise BrokerError(f"{topic}-{partition}: a write was acknowledged without its offset")
    return Span(metadata.offset, metadata.offset + count - 1)


async def send_in_order(
    topic: str, records: Sequence[OutRecord], send_some: Callable[[Sequence[OutRecord]], Awaitable[Span]]
) -> list[Span]:
    """
    Send *records* in order by calls of *send_some*, which sends the first of those it is given in one batch.

    Raises:
        RecordTooLarge: names the record; those before it are written.
    """
    spans: list[Span] = []
    sent, count_max = 0, len(records)
    while sent < len(records):
        if records[sent].bytes > RECORD_BYTES_MAX:
            raise RecordTooLarge(topic, sent, records[sent].bytes)
        try:
            span = await send_some(records[sent : sent + count_max])
        except BatchRefused as exc:
            if exc.count == 1:
                raise RecordTooLarge(topic, sent, records[sent].bytes) from exc
            # Halves, until the record that is too large stands alone.
            count_max = exc.count // 2
        else:
            spans.append(span)
            sent += span.last - span.first + 1
            count_max = len(records)
    return spans


class RecordWriter:
    """
    The producer of a worker: idempotent, and replaced when a refused batch has made it unusable.

    One for all topics. A call has its partition for itself until all of its records are acknowledged.
    aiokafka has one request a partition under way anyway, and a call that waited inside a producer that is
    being replaced would hang.
    """

    def __init__(self, connection: Connection, lease: Lease, *, compressed: bool = False) -> None:
        self._connection = connection
        self._lease = lease
        self._compressed = compressed
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._partitions: dict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect."""
        self._producer = await self._new_producer()

    async def stop(self) -> None:
        """
        Flush and disconnect, within 5 seconds: a broker that is away must not hold up the end of the
        process.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            self._retire(producer)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=_STOP_S)

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = make_producer(self._connection)
        internals.guard_writes(producer, self._check_lease)
        await producer.start()
        return producer

    def _check_lease(self) -> None:
        # Whoever sends has asked for the lease before; but a process can be frozen between that and the
        # socket, and would then write behind the next owner's records.
        if self._lease.is_lost:
            raise _LeaseLost
        if self._lease.left_s() <= 0.0:
            raise _LeaseInDoubt

    def _retire(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.ensure_future(producer.stop())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _replace(self, used: AIOKafkaProducer) -> None:
        async with self._replacing:
            if self._producer is used:
                self._producer = await self._new_producer()
                # It finishes what other partitions have given it.
                self._retire(used)

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[Span]:
        """
        Write *records* in order and wait for every acknowledgement; the offsets they got, one span a batch.

        Raises:
            RecordTooLarge: names the record; those before it are written.
            StreamLost: the lease is lost; what was not on its way to the broker by then is not written.
            BrokerError: the broker refuses for another reason. What was written is not known.
        """
        async with self._partitions[topic, partition]:
            return await send_in_order(topic, records, lambda some: self._send_some(topic, partition, some))

    async def _send_some(self, topic: str, partition: int, records: Sequence[OutRecord]) -> Span:
        while (producer := self._producer) is not None:
            try:
                return await send_batch(producer, pack(records, compressed=self._compressed), topic, partition)
            except ProducerClosed:
                # Replaced while it waited for metadata: nothing was written.
                continue
            except BatchRefused:
                # aiokafka has counted the refused batch, the broker has not: it would refuse all that
                # follows.
                await self._replace(producer)
                raise
            except _LeaseLost as exc:
                raise self._lease.over() from exc
            except KafkaError as exc:
                raise BrokerError(f"{topic}-{partition}: {exc!r}") from exc
        raise BrokerError("the producer is not connected")
