"""What casting and filling work on in a running app: the control topic, the worker's partitions, their history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, nullcontext

from aiokafka.errors import KafkaError

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.stream.changes_log import ChangesLog
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.filling import Stretch
from pql_stream.stream.names import Topics
from pql_stream.stream.published import Ahead
from pql_stream.stream.transport import BatchApp, BatchTable, OutputTopic, RecordWriter, Tail
from pql_stream.stream.transport.reading import read_range
from pql_stream.wire.control import Answer, encode_control
from pql_stream.wire.records import OutRecord, SourceRecord

_PARTITION = 0
_READ_S_MAX = 30.0
_TRY_S = 0.2


class ControlTopic:
    """`pql-control`, read from its beginning; *topic* is its full name."""

    def __init__(self, app: BatchApp, topic: str) -> None:
        self.topic = topic
        self._lease = app.lease
        self._tail = Tail(app.connection, topic)
        self._writer = RecordWriter(app.connection, app.lease)
        self._log = ControlLog()
        self._next = 0
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Connect."""
        await self._tail.start()
        await self._writer.start()
        self._tail.follow({_PARTITION: self._next})

    async def stop(self) -> None:
        """Disconnect."""
        await self._writer.stop()
        await self._tail.stop()

    async def read(self) -> ControlLog:
        """
        All of it, up to the end that it has now.

        Raises:
            BrokerError: it cannot be read, for half a minute.
        """
        return await self._read_behind(-1)

    async def write(self, answer: Answer) -> None:
        """
        Write what the owner of a partition has to say; returns when it is durable, and read.

        Raises:
            PqlError: as `read`; or the partition may belong to somebody else.
        """
        await self._lease.confirm()
        # In no transaction, also exactly once: a cast counts by its place in the topic and not by who has written it,
        # and an open transaction of one partition would hide what is behind it from all others.
        record = OutRecord(answer.key.encode(), encode_control(answer))
        spans = await self._writer.send(self.topic, _PARTITION, [record])
        # What was written to the topic before it counts more, and has to be known.
        await self._read_behind(spans[-1].last)

    async def _read_behind(self, offset: int) -> ControlLog:
        async with self._reading:
            until_s = time.monotonic() + _READ_S_MAX
            while time.monotonic() < until_s:
                try:
                    end = (await self._tail.ends([_PARTITION]))[_PARTITION]
                    while self._next < end and time.monotonic() < until_s:
                        await self._read_some()
                except BrokerError:
                    self._tail.follow({_PARTITION: self._next})
                else:
                    if self._next >= end and self._next > offset:
                        return self._log
                await asyncio.sleep(_TRY_S)
        raise BrokerAway(f"{self.topic} could not be read for {_READ_S_MAX:.0f} s")

    async def _read_some(self) -> None:
        """Take in what comes in a moment."""
        for stretch in await self._tail.read():
            for record in stretch.records:
                self._log.add(record.offset, record.value)
            self._next = stretch.next


@contextmanager
def _asked(topic: str) -> Iterator[None]:
    """
    A question to the broker about *topic*: it may be asked again later, so nothing has to end.

    Raises:
        BrokerAway: there is no answer.
    """
    try:
        yield
    except (KafkaError, TimeoutError) as exc:
        raise BrokerAway(f"{topic} cannot be read", why=repr(exc)) from exc


class OwnPartitions:
    """The partitions of *app*; *contacts* has their turns, *changes* watches over what is published of them, if any."""

    def __init__(self, app: BatchApp, contacts: BatchTable, changes: ChangesLog | None, outputs: OutputTopic) -> None:
        self._app = app
        self._contacts = contacts
        self._changes = changes
        self._outputs = outputs

    def owned(self) -> Collection[int]:
        """The partitions that are ours and recovered; none while they are handed over."""
        if self.gives_way() or not self._app.is_ready:
            return ()
        return {tp.partition for tp in self._app.batch_consumer.tracks()}

    def turn(self, partition: int) -> AbstractAsyncContextManager[None]:
        """The time between two batches of *partition*."""
        return self._contacts.turn(partition)

    def settled(self, partition: int) -> AbstractAsyncContextManager[Mapping[str, Ahead]]:
        """As `casting.Partitions` says. Exactly once nothing is ever published ahead of its row."""
        return nullcontext({}) if self._changes is None else self._changes.batch(partition, dict)

    async def offsets(self, partition: int) -> Mapping[str, int]:
        """Of what is published, and of the sources."""
        with _asked(self._outputs.topic):
            ends = await self._outputs.end_offsets([partition])
        return {self._outputs.topic: ends[partition], **self._outputs.sources_done(partition)}

    def gives_way(self) -> bool:
        """Partitions are to be handed over."""
        return self._app.giving_way.is_set()


class InputHistory:
    """All that is left of the input topics, read by consumers of no group."""

    def __init__(self, app: BatchApp, topics: Topics) -> None:
        self._app = app
        self._topics = [OutputTopic(app, topic) for topic in topics.sources]

    async def stretches(self, partition: int) -> list[Stretch]:
        """What there is of *partition*."""
        found = []
        for topic in self._topics:
            with _asked(topic.topic):
                first = await topic.first_offset(partition)
                end = (await topic.end_offsets([partition]))[partition]
                found.append(Stretch(topic.topic, first, end, await self._first_at_ms(topic, partition, first, end)))
        return found

    async def read(self, partition: int, stretch: Stretch) -> AsyncIterator[Sequence[SourceRecord]]:
        """Its records, some at a time."""
        if stretch.first == stretch.end:
            return
        reading = read_range(self._app.connection, stretch.topic, partition, stretch.first, stretch.end)
        async with aclosing(reading):
            while True:
                with _asked(stretch.topic):
                    records = await anext(reading, None)
                if records is None:
                    return
                yield records

    async def _first_at_ms(self, topic: OutputTopic, partition: int, first: int, end: int) -> int | None:
        if first == end:
            return None
        async with aclosing(read_range(self._app.connection, topic.topic, partition, first, end)) as reading:
            async for records in reading:
                if records:
                    return int(records[0].timestamp)
        return None
