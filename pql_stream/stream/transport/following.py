"""
Follows a topic that another app's table writes: read-only, in no group, into the stores of our own tables.

Not by Faust: it reads the changelog of a table of its own until the recovery is over and no further, a standby goes
to the workers that do *not* have the partition, and a global table reads all partitions on every worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from pql_stream.errors import BrokerError
from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.changelog import Row, Rows
from pql_stream.stream.transport.ending import end_process
from pql_stream.stream.transport.reading import make_consumer
from pql_stream.stream.transport.table import BatchTable

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp

_STEP_MS = 200
_RECORDS_MAX = 2_000
"""At a time: applying them takes the loop some milliseconds."""


class Stretch(NamedTuple):
    """Records of a partition in order, and the offset behind them, up to which there are no others."""

    partition: int
    records: Sequence[ConsumerRecord]
    next: int


class Tail:
    """The committed records of partitions of one topic, from given offsets on."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._asking: AIOKafkaConsumer | None = None
        """Asks for ends: on one connection the answer would come behind a fetch, which waits for records."""
        self._positions: dict[int, int] = {}

    async def start(self) -> None:
        """Connect."""
        self._consumer, self._asking = make_consumer(self._connection), make_consumer(self._connection)
        await self._consumer.start()
        await self._asking.start()

    async def stop(self) -> None:
        """Disconnect."""
        consumers = self._consumer, self._asking
        self._consumer = self._asking = None
        for consumer in consumers:
            if consumer is not None:
                await consumer.stop()

    def follow(self, positions: Mapping[int, int]) -> None:
        """Go on with these partitions, and no others, each at its offset."""
        consumer = self._connected(self._consumer)
        consumer.assign([TopicPartition(self._topic, partition) for partition in positions])
        for partition, offset in positions.items():
            consumer.seek(TopicPartition(self._topic, partition), offset)
        self._positions = dict(positions)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """
        The offset behind the last committed record of each of *partitions*.

        Raises:
            BrokerError: there is no answer, or none that we may have.
        """
        try:
            ends = await self._connected(self._asking).end_offsets(
                [TopicPartition(self._topic, at) for at in partitions]
            )
        except KafkaError as exc:
            raise BrokerError(f"the ends of {self._topic} are not known", why=repr(exc)) from exc
        return {tp.partition: end for tp, end in ends.items()}

    async def read(self) -> list[Stretch]:
        """
        What has come, some of it at a time; waits a moment for something to come.

        Raises:
            BrokerError: something could not be read, and may be passed over now: `follow` again.
        """
        if not self._positions:
            await asyncio.sleep(_STEP_MS / 1000)
            return []
        consumer, found = self._connected(self._consumer), []
        try:
            polled = await consumer.getmany(timeout_ms=_STEP_MS, max_records=_RECORDS_MAX)
            for partition, before in self._positions.items():
                tp = TopicPartition(self._topic, partition)
                records = polled.get(tp, [])
                # Behind the last record of what was fetched, where some are left; else behind markers of transactions.
                after = await consumer.position(tp)
                if after != before:
                    found.append(Stretch(partition, records, after))
        except KafkaError as exc:
            raise BrokerError(f"{self._topic} cannot be read", why=repr(exc)) from exc
        self._positions |= {stretch.partition: stretch.next for stretch in found}
        return found

    def _connected(self, consumer: AIOKafkaConsumer | None) -> AIOKafkaConsumer:
        if consumer is None:
            raise BrokerError(f"the reader of {self._topic} is not connected")
        return consumer


class FollowedTable:
    """Rows by key and partition, in the same stores as a `BatchTable`'s; those of the partitions that are open."""

    def __init__(
        self,
        app: BatchApp,
        *,
        name: str,
        topic: str,
        partitions: int,
        **options: Any,  # noqa: ANN401  # Table's
    ) -> None:
        # Never added to the app: Faust would read the topic as a changelog of its own.
        self._table = BatchTable(app, name=name, partitions=partitions, changelog=topic, **options)
        self._topic = topic
        self._open: frozenset[TP] = frozenset()

    async def open(self, partitions: Collection[int]) -> None:
        """
        Open the stores of *partitions*, and close all others.

        Raises:
            StoreError: one cannot be opened.
        """
        tps = frozenset(TP(self._topic, partition) for partition in partitions)
        before, self._open = self._open, tps
        await self._table.data.on_rebalance(set(tps), set(before - tps), set(tps - before))

    async def close(self) -> None:
        """Close all."""
        await self.open(())
        await self._table.data.stop()

    def offset(self, partition: int) -> int:
        """The last offset that is applied, -1 for none."""
        return cast("int", self._table.data.persisted_offset(TP(self._topic, partition)))

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows that are there; none of a partition that is not open."""
        # RocksDB would open it, under whoever has it now.
        return self._rows.get_many(partition, keys) if TP(self._topic, partition) in self._open else {}

    def put_many(self, partition: int, rows: Sequence[Row], offset: int) -> None:
        """Store *rows* (None deletes), and that the topic is applied up to *offset*, in one step."""
        self._rows.put_many(partition, rows, offset)

    @property
    def _rows(self) -> Rows:
        return cast("Rows", self._table.data)


class FollowerService(Service):
    """Takes one *step* after the other while its app runs; what one raises ends the process."""

    def __init__(
        self,
        app: BatchApp,
        tail: Tail,
        table: FollowedTable,
        step: Callable[[], Awaitable[None]],
        **kwargs: Any,  # noqa: ANN401  # Service's own, handed on
    ) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._tail = tail
        self._table = table
        self._step = step

    async def on_start(self) -> None:
        await self._tail.start()

    @Service.task
    async def _follow(self) -> None:
        try:
            while not self.should_stop:
                await self._step()
        except Exception as exc:  # noqa: BLE001  # whatever it is, nothing is followed any more
            if not self.should_stop:
                await end_process(self._app, exc)

    async def on_stop(self) -> None:
        await self._tail.stop()
        await self._table.close()
