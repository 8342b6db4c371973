"""A Faust table that is read and written in bulk, and whose changelog travels in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from aiokafka import ConsumerRecord
from faust.tables.table import Table
from faust.types import TP, EventT, StoreT
from mode import Service
from yarl import URL

from pql_stream.errors import PqlError
from pql_stream.stream.transport import internals
from pql_stream.stream.transport.batch import RecordBatch
from pql_stream.stream.transport.changelog import ChangelogWriter, Foreign, Row
from pql_stream.stream.transport.ending import end_process
from pql_stream.stream.transport.erasures import Erasures
from pql_stream.stream.transport.producing import Span
from pql_stream.stream.transport.reading import Isolation, read_range
from pql_stream.stream.transport.stores import STORES, MemoryStore, RocksStore, rows_of
from pql_stream.stream.transport.topics import BatchTopic
from pql_stream.stream.transport.transactions import Transaction
from pql_stream.stream.transport.turns import Turns
from pql_stream.wire.headers import REPAIR
from pql_stream.wire.records import OutRecord

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp


class BatchTable(Table[bytes, bytes]):
    """
    Rows of bytes by key, in the partitions of the topic the keys come from.

    Made by `BatchApp.batch_table`. Use `get_many` and `write_many`; the mapping that a Faust table also is
    writes nothing.

    *erasable*: a tombstone that somebody else writes to the changelog takes the row away. Then a batch of a
    partition is handled within its `turn`.
    """

    app: BatchApp

    def __init__(
        self,
        app: BatchApp,
        *,
        name: str,
        partitions: int,
        changelog: str | None,
        erasable: bool = False,
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
        self.erasures = Erasures(self, lambda: self._local) if erasable else None
        self._turns = Turns()
        self.writer = ChangelogWriter(
            self,
            lambda: self._local,
            app.lease.confirm,
        )

    def _new_store_by_url(self, url: str | URL) -> StoreT[Any, Any]:
        return STORES[URL(url).scheme](url, self.app, self, table_name=self.name, options=self.options, loop=self.loop)

    # --- rows

    @property
    def _local(self) -> MemoryStore | RocksStore:
        return cast("MemoryStore | RocksStore", self.data)

    @property
    def term(self) -> int:
        """Grows whenever partitions were dealt anew: what was read in an earlier term may not be true any more."""
        return self.writer.term

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The rows of *keys* that are there."""
        return self._local.get_many(partition, keys)

    def keys_of(self, partition: int) -> Iterator[bytes]:
        """The keys of all rows of *partition* that are there now."""
        return self._local.keys_of(partition)

    def turn(self, partition: int) -> AbstractAsyncContextManager[None]:
        """
        The time in which nothing is erased but by `write_many` and `write_in`.

        A batch reads rows at its beginning and writes at its end what it made of them: what is erased in between
        would be written again.
        """
        return self._turns.take(partition) if self.erasures is not None else nullcontext()

    def is_turn_wanted(self, partition: int) -> bool:
        """Somebody waits for the `turn` of *partition*."""
        return self._turns.is_wanted(partition)

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
        spans = await transaction.writer.send(self.topic, partition, self._records(items))
        written, last = dict(items), spans[-1].last
        if self.erasures is not None:
            gone: list[Row] = [(key, None) for key in await self.erasures.within(partition, spans)]
            behind = [row for row in gone if row[0] in written]
            if behind:
                last = (await transaction.writer.send(self.topic, partition, self._records(behind)))[-1].last
            written |= dict(gone)
        transaction.when_committed(lambda: self._committed(partition, list(written.items()), last))

    def _committed(self, partition: int, rows: Sequence[Row], last: int) -> None:
        self._local.put_many(partition, rows, last)
        if self.erasures is not None:
            self.erasures.committed(partition, last)

    def _records(self, rows: Sequence[Row]) -> list[OutRecord]:
        repair = (REPAIR,) if self.erasures is not None else ()
        return [OutRecord(key, value, repair if value is None else ()) for key, value in rows]

    # --- what the changelog writer, and the watch over erasures, need of Kafka

    async def send(self, partition: int, rows: Sequence[Row]) -> list[Span]:
        """Write *rows* to the changelog."""
        return await self.app.writer.send(self.topic, partition, self._records(rows))

    async def end_offset(self, partition: int) -> int:
        """The end of the changelog's *partition*."""
        tp = TP(self.topic, partition)
        return (await self.app.consumer.highwaters(tp))[tp]

    async def foreign_between(self, partition: int, first: int, end: int) -> list[Foreign]:
        """What the changelog's records from *first* up to, not including, *end* are about."""
        erased: dict[bytes, bool] = {}
        async for record in self._read(partition, first, end):
            erased[record.key] = erased.get(record.key, False) or self._erases(record)
        return [Foreign(key, erases) for key, erases in erased.items()]

    async def erased_between(self, partition: int, first: int, end: int, *, ours: bool) -> list[bytes]:
        """The keys that are erased from *first* up to, not including, *end*; *ours*: see `ErasurePort`."""
        # What is committed ends where our own transaction begins. To look further is to believe a tombstone that its
        # writer may still take back.
        isolation: Isolation = "read_uncommitted" if ours else "read_committed"
        records = [record async for record in self._read(partition, first, end, isolation)]
        return list(dict.fromkeys(record.key for record in records if self._erases(record)))

    def _erases(self, record: ConsumerRecord) -> bool:
        return self.erasures is not None and not record.value and REPAIR not in record.headers

    async def _read(
        self, partition: int, first: int, end: int, isolation: Isolation = "read_committed"
    ) -> AsyncIterator[ConsumerRecord]:
        """The records from *first* up to, not including, *end* that have a key: a compacted topic takes no other."""
        reading = read_range(self.app.connection, self.topic, partition, first, end, isolation=isolation)
        async for records in reading:
            for record in records:
                if record.key is not None:
                    yield record

    # --- life cycle

    async def check_changelog(self) -> None:
        """
        Repair every owned partition that has a record behind our last one, or take note of what it erases.

        Raises:
            StreamLost: a partition is not ours any more.
        """
        watch = self._watch
        next_offsets = watch.next_offsets()
        tps = {TP(self.topic, partition): partition for partition in next_offsets}
        if not tps:
            return
        for tp, end in (await self.app.consumer.highwaters(*tps)).items():
            if end > next_offsets[tp.partition]:
                async with self.turn(tp.partition):
                    await watch.check(tp.partition)

    @property
    def _watch(self) -> ChangelogWriter | Erasures:
        """Exactly once nobody else can write rows, and all there is to look for is what was erased."""
        return self.writer if self.app.transactions is None or self.erasures is None else self.erasures

    @Service.task
    async def _watch_changelog(self) -> None:
        if self is not self.app.batch_tables()[0]:
            return  # one watch looks after all of them
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
        if batch.tp in internals.recovery_of(self.app).active_tps:
            self._local.load_many(batch.partition, records, offset)
        else:
            # Behind an owner there is no end to settle at.
            self._local.put_many(batch.partition, rows_of(records), offset)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """What was read is in the stores: make it last before anything is written behind it."""
        try:
            for tp in list(active_tps):
                self._local.settle(tp.partition)
                await asyncio.sleep(0)
        except PqlError as exc:
            # Recovery does not look at what its callbacks raise.
            await end_process(self.app, exc)
            raise
        await super().on_recovery_completed(active_tps, standby_tps)

    async def on_changelog_event(self, event: EventT[Any]) -> None:  # noqa: ARG002  # Faust's signature
        """Recovery took a batch over: the next one may come."""
        self.app.batch_consumer.wake()

    def own_partitions(self) -> None:
        """The recovered partitions are ours from here, and every record behind their recovery is foreign."""
        for partition, highwater in internals.active_highwaters(self.app, self.topic).items():
            self._watch.own(partition, highwater + 1)

    async def release(self) -> None:
        """Own nothing; waits for the writes under way."""
        await self.writer.release()
        if self.erasures is not None:
            self.erasures.release()
