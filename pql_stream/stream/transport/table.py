"""A Faust table that is read and written in bulk, and whose changelog travels in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from faust.tables.table import Table
from faust.types import TP, EventT, StoreT
from mode import Service
from yarl import URL

from pql_stream.stream.transport import internals
from pql_stream.stream.transport.batch import RecordBatch
from pql_stream.stream.transport.changelog import ChangelogWriter, Row, Rows
from pql_stream.stream.transport.ending import end_process
from pql_stream.stream.transport.producing import Span
from pql_stream.stream.transport.reading import read_range
from pql_stream.stream.transport.stores import STORES
from pql_stream.stream.transport.topics import BatchTopic
from pql_stream.stream.transport.transactions import Transaction
from pql_stream.wire.records import OutRecord

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp


class BatchTable(Table[bytes, bytes]):
    """
    Rows of bytes by key, in the partitions of the topic the keys come from.

    Made by `BatchApp.batch_table`. Use `get_many` and `write_many`; the mapping that a Faust table also is
    writes nothing.
    """

    app: BatchApp

    def __init__(
        self,
        app: BatchApp,
        *,
        name: str,
        partitions: int,
        changelog: str | None,
        **options: Any,  # noqa: ANN401  # Table's own options, handed on
    ) -> None:
        topic = changelog or f"{app.conf.id}-{name}-changelog"
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            changelog_topic=BatchTopic(app, topics=[topic], partitions=partitions, internal=True, allow_empty=True),
            # Counted in batches here. 1 would mean "keep reading the changelog for ever".
            recovery_buffer_size=2,
            **options,
        )
        self.topic = topic
        self.writer = ChangelogWriter(
            self,
            lambda: cast("Rows", self.data),
            app.lease.confirm,
        )

    def _new_store_by_url(self, url: str | URL) -> StoreT[Any, Any]:
        return STORES[URL(url).scheme](url, self.app, self, table_name=self.name, options=self.options, loop=self.loop)

    # --- rows

    @property
    def term(self) -> int:
        """Grows whenever partitions were dealt anew: what was read in an earlier term may not be true any more."""
        return self.writer.term

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows of *keys* that are there."""
        return cast("Rows", self.data).get_many(partition, keys)

    async def write_many(self, partition: int, items: Sequence[Row]) -> None:
        """
        Make *items* durable in the changelog, then store them with its offset. A value of None deletes.

        Raises:
            StreamLost: the partition is not ours any more.
            RecordTooLarge: a row does not fit into the changelog.
        """
        await self.writer.write(partition, items)

    async def write_in(self, transaction: Transaction, partition: int, items: Sequence[Row]) -> None:
        """
        Write *items* to the changelog as part of *transaction*; they are stored when it is committed.

        Raises:
            RecordTooLarge: a row does not fit into the changelog.
        """
        records = [OutRecord(key, value) for key, value in items]
        spans = await transaction.writer.send(self.topic, partition, records)
        rows, last = cast("Rows", self.data), spans[-1].last
        transaction.when_committed(lambda: rows.put_many(partition, items, last))

    # --- what the changelog writer needs of Kafka

    async def send(self, partition: int, rows: Sequence[Row]) -> list[Span]:
        """Write *rows* to the changelog."""
        return await self.app.writer.send(self.topic, partition, [OutRecord(key, value) for key, value in rows])

    async def end_offset(self, partition: int) -> int:
        """The end of the changelog's *partition*."""
        tp = TP(self.topic, partition)
        return (await self.app.consumer.highwaters(tp))[tp]

    async def keys_between(self, partition: int, first: int, end: int) -> list[bytes]:
        """The keys of the changelog's records from *first* up to, not including, *end*."""
        keys: dict[bytes, None] = {}
        async for records in read_range(self.app.connection, self.topic, partition, first, end):
            keys |= dict.fromkeys(record.key for record in records if record.key is not None)
        return list(keys)

    # --- life cycle

    async def check_changelog(self) -> None:
        """
        Repair every owned partition that has a record behind our last one.

        Raises:
            StreamLost: a partition is not ours any more.
        """
        next_offsets = self.writer.next_offsets()
        tps = {TP(self.topic, partition): partition for partition in next_offsets}
        if not tps:
            return
        for tp, end in (await self.app.consumer.highwaters(*tps)).items():
            if end > next_offsets[tp.partition]:
                await self.writer.check(tp.partition)

    @Service.task
    async def _watch_changelog(self) -> None:
        try:
            while not self.should_stop:
                await self.sleep(self.app.settings.changelog_check_s)
                await self.app.check_changelogs()
        except Exception as exc:  # noqa: BLE001  # whatever it is, the table is not watched any more
            # A crash closes the consumer's thread under a check.
            if not self.should_stop:
                await end_process(self.app, exc)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Store what Recovery read; it would swallow an exception, and the rows would be lost."""
        try:
            for event in batch:
                self._apply(cast("RecordBatch", event.message))
        except Exception as exc:
            self._ending = asyncio.ensure_future(end_process(self.app, exc))
            raise

    def _apply(self, batch: RecordBatch) -> None:
        offset, records = batch.offset, batch.records
        highwater = internals.active_highwater(self.app, batch.tp)
        if highwater is not None and offset > highwater:
            # What came after our recovery began is a zombie's: not state, but the first thing to repair.
            offset = highwater
            records = [record for record in records if record.offset <= highwater]
        # A compacted topic takes no record without a key.
        rows = [(record.key, record.value) for record in records if record.key is not None]
        cast("Rows", self.data).put_many(batch.partition, rows, offset)

    async def on_changelog_event(self, event: EventT[Any]) -> None:  # noqa: ARG002  # Faust's signature
        """Recovery took a batch over: the next one may come."""
        self.app.batch_consumer.wake()

    def own_partitions(self) -> None:
        """The recovered partitions are ours from here, and every record behind their recovery is foreign."""
        for partition, highwater in internals.active_highwaters(self.app, self.topic).items():
            self.writer.own(partition, highwater + 1)
