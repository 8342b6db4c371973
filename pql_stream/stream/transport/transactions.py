"""
Exactly once: what a batch writes and the offset it was read up to are one Kafka transaction.

A partition of the tables has a producer of its own, and its transactional id is its right to write:

1. When a partition is assigned, its producer is opened before anything of the partition is read. That ends what
   an owner before us had under way, and from there on the broker refuses whatever such an owner still writes.
   Offsets go without the group's generation, so nothing but the id keeps a zombie out.
2. Rows and offsets count as written when the transaction is committed, and not before. Whatever fails on the way
   there ends the process: the next one reads what is committed.
3. A request that got no answer may arrive late, and must not fall into a later transaction: the producer is
   replaced first. Between two producers another worker may have had the partition. The group's offsets tell,
   because every transaction of a batch moves one; and a heartbeat that is answered tells of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from faust.types import TP

from pql_stream.errors import BrokerError, StreamLost
from pql_stream.stream.transport.producing import Span
from pql_stream.stream.transport.transactional import TransactionalProducer
from pql_stream.wire.records import OutRecord

_STOP_S = 5.0
OPEN_S_MAX = 60.0
"""
How long a broker may take to end what the owner before had under way: some milliseconds, unless a broker is away.

Faust's recovery waits 90 s (broker_request_timeout) to begin, and would then go on without any row.
"""


class GroupOffsets(Protocol):
    """What the group has committed."""

    async def of(self, partition: int) -> tuple[Mapping[TP, int | None], Mapping[TP, int | None]]:
        """
        The offsets of the sources with this number: as we know them, and as the broker does.

        Raises:
            StreamLost: the group no longer counts on us.
        """

    def note(self, tp: TP, offset: int) -> None:
        """*offset* is committed."""


@dataclass(frozen=True, slots=True)
class ProducerWriter:
    """Writes by *producer*, *compressed* or not."""

    producer: TransactionalProducer
    compressed: bool

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[Span]:
        """`TransactionalProducer.send`."""
        return await self.producer.send(topic, partition, records, compressed=self.compressed)


@dataclass(slots=True)
class Transaction:
    """What one batch writes: `writer` and, for what came in compressed, `compressing` are its way out."""

    writer: ProducerWriter
    compressing: ProducerWriter
    _then: list[Callable[[], None]] = field(default_factory=list)

    def when_committed(self, then: Callable[[], None]) -> None:
        """Call *then* as soon as the transaction is committed, and never if it is not."""
        self._then.append(then)

    def committed(self) -> None:
        """It is."""
        for then in self._then:
            then()


class Transactions:
    """The transactional producers of the partitions that are assigned to this worker."""

    def __init__(
        self,
        make_producer: Callable[[int], TransactionalProducer],
        offsets: GroupOffsets,
        *,
        open_s_max: float = OPEN_S_MAX,
    ) -> None:
        self._make_producer = make_producer
        self._offsets = offsets
        self._open_s_max = open_s_max
        self._producers: dict[int, TransactionalProducer] = {}
        self._opening: dict[int, TransactionalProducer] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def open(self, partitions: Collection[int]) -> None:
        """
        Take *partitions*, and no other ones. Read nothing of theirs before this returns.

        Raises:
            PqlError: the broker does not let us, or not in time.
        """
        await self.close()
        self._opening = {partition: self._make_producer(partition) for partition in partitions}
        await self._start(self._opening.values())
        self._producers, self._opening = self._opening, {}

    async def _start(self, producers: Collection[TransactionalProducer]) -> None:
        starting = [asyncio.ensure_future(producer.start()) for producer in producers]
        try:
            async with asyncio.timeout(self._open_s_max):
                await asyncio.gather(*starting)
        except TimeoutError as exc:
            raise BrokerError(
                f"no transaction could be opened in {self._open_s_max:.0f} s",
                why="the broker does not answer, or cannot end a transaction of the owner before",
                what_to_do="see that all brokers are up",
            ) from exc
        finally:
            for task in starting:
                task.cancel()

    async def close(self) -> None:
        """
        Let go of every partition, within 5 seconds: a broker that is away must not hold up a hand-over, or the
        end of the process.
        """
        producers = [*self._producers.values(), *self._opening.values()]
        self._producers, self._opening = {}, {}
        await self._retire(producers)

    async def _retire(self, producers: Collection[TransactionalProducer]) -> None:
        for producer in producers:
            task = asyncio.ensure_future(producer.stop())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=_STOP_S)

    async def run(
        self, topic: str, partition: int, end: int, write: Callable[[Transaction], Awaitable[object]]
    ) -> None:
        """
        Commit all that *write* writes, and that *topic* was read up to, not including, *end*, in one transaction.

        One at a time for each partition number. After an error nothing may go on from what was written: end the
        process.

        Raises:
            StreamLost: the partition is not ours any more.
            PqlError: it is not committed, or that is not known.
        """
        await self._run(partition, write, (TP(topic, partition), end))
        self._offsets.note(TP(topic, partition), end)

    async def run_alone(self, partition: int, write: Callable[[Transaction], Awaitable[object]]) -> None:
        """
        Commit all that *write* writes in one transaction, which moves no offset.

        Raises:
            PqlError: as `run`.
        """
        await self._run(partition, write, None)

    async def _run(
        self,
        partition: int,
        write: Callable[[Transaction], Awaitable[object]],
        read_up_to: tuple[TP, int] | None,
    ) -> None:
        producer = await self._producer(partition)
        transaction = Transaction(ProducerWriter(producer, compressed=False), ProducerWriter(producer, compressed=True))
        await producer.begin()
        await write(transaction)
        if read_up_to is not None:
            # Not beside the writes: while its coordinator takes in something new of a transaction, a broker can verify
            # no write of it, and aiokafka would wait 100 ms before it tries again.
            await producer.add_offset(*read_up_to)
        await producer.commit()
        # No await between this and whoever called: who looks sees the state before the transaction, or the one after.
        transaction.committed()

    async def _producer(self, partition: int) -> TransactionalProducer:
        producer = self._producers.get(partition)
        if producer is None:
            raise StreamLost(f"partition {partition} is not owned by this worker")
        if producer.is_in_doubt:
            producer = await self._replaced(partition, producer)
        return producer

    async def _replaced(self, partition: int, doubtful: TransactionalProducer) -> TransactionalProducer:
        await self._retire([doubtful])
        producer = self._producers[partition] = self._make_producer(partition)
        await self._start([producer])
        ours, theirs = await self._offsets.of(partition)
        if ours != theirs:
            raise StreamLost(
                f"partition {partition} had another owner meanwhile",
                why=f"its offsets were {dict(ours)} and are {dict(theirs)}",
            )
        return producer
