"""An output topic that has the partitions of the sources, and so one writer a partition: the owner of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from aiokafka import ConsumerRecord
from faust.types import TP

from pql_stream.stream.transport.reading import first_offset, read_range

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp


class OutputWatch(Protocol):
    """Watches over an output topic; told by the transport which partitions are ours."""

    def own(self, partition: int, notes: Collection[str]) -> None:
        """*partition* is ours; *notes* were last committed with its sources."""

    def note(self, partition: int) -> str:
        """
        What to commit with a source of *partition*, for its next owner; "" for nothing.

        Called in the consumer's thread: it must do no more than read.
        """

    async def check(self) -> None:
        """Look after our partitions: once in a while, and before they are handed over."""

    async def release(self) -> None:
        """Own nothing."""


class OutputTopic:
    """What a watch needs of Kafka."""

    def __init__(self, app: BatchApp, topic: str) -> None:
        self._app = app
        self.topic = topic

    async def end_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        """The offset that the next record of each of *partitions* will get."""
        ends = await self._app.consumer.highwaters(*(TP(self.topic, partition) for partition in partitions))
        return {tp.partition: end for tp, end in ends.items()}

    async def first_offset(self, partition: int) -> int:
        """Where *partition* begins."""
        return await first_offset(self._app.connection, self.topic, partition)

    def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """The records from *first* up to, not including, *end*, some at a time."""
        return read_range(self._app.connection, self.topic, partition, first, end)

    async def source_ends(self, partition: int) -> dict[str, int]:
        """The end of *partition* of each source topic."""
        tps = [tp for tp in self._app.batch_consumer.tracks() if tp.partition == partition]
        return {tp.topic: end for tp, end in (await self._app.consumer.highwaters(*tps)).items()}

    def sources_done(self, partition: int) -> Mapping[str, int]:
        """The offset of each source topic before which everything of *partition* is done."""
        tracks = self._app.batch_consumer.tracks()
        return {tp.topic: track.done_up_to for tp, track in tracks.items() if tp.partition == partition}
