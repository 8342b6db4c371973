"""Reads a stretch of a partition, or follows partitions, with a consumer of its own, beside the group's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from pql_stream.stream.connection import Connection

_STEP_MS = 200
_STUCK_S = 30.0


Isolation = Literal["read_committed", "read_uncommitted"]


def make_consumer(connection: Connection, isolation: Isolation = "read_committed") -> AIOKafkaConsumer:
    """A consumer of no group, not started yet, that commits nothing."""
    return AIOKafkaConsumer(
        **connection.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation,
    )


@asynccontextmanager
async def _consumer(connection: Connection, isolation: Isolation = "read_committed") -> AsyncIterator[AIOKafkaConsumer]:
    consumer = make_consumer(connection, isolation)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_range(
    connection: Connection,
    topic: str,
    partition: int,
    first: int,
    end: int,
    *,
    isolation: Isolation = "read_committed",
) -> AsyncGenerator[list[ConsumerRecord], None]:
    """
    The records from *first* up to, not including, *end*, some at a time. Offsets without a record are passed over.

    Raises:
        TimeoutError: nothing came for 30 s.
    """
    tp = TopicPartition(topic, partition)
    async with _consumer(connection, isolation) as consumer:
        consumer.assign([tp])
        consumer.seek(tp, first)
        position = first
        while position < end:
            records, position = await _read_some(consumer, tp, position)
            yield [record for record in records if record.offset < end]


async def _read_some(consumer: AIOKafkaConsumer, tp: TopicPartition, position: int) -> tuple[list[ConsumerRecord], int]:
    async with asyncio.timeout(_STUCK_S):
        while True:
            records = (await consumer.getmany(tp, timeout_ms=_STEP_MS)).get(tp, [])
            after = await consumer.position(tp)
            if after != position:
                return records, after


async def first_offset(connection: Connection, topic: str, partition: int) -> int:
    """The offset at which a partition begins."""
    tp = TopicPartition(topic, partition)
    async with _consumer(connection) as consumer:
        offsets = await consumer.beginning_offsets([tp])
    return int(offsets[tp])
