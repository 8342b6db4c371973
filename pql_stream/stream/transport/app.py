"""A Faust app on the batch transport: its settings, its lease, its producer, its tables."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP
from mode import Service

from pql_stream.errors import PqlError
from pql_stream.stream.connection import Connection
from pql_stream.stream.membership import Membership, RecoveryProgress
from pql_stream.stream.metrics import PartitionId
from pql_stream.stream.transport import internals
from pql_stream.stream.transport.background import Background
from pql_stream.stream.transport.ending import end_process
from pql_stream.stream.transport.lease import Lease
from pql_stream.stream.transport.outputs import OutputWatch
from pql_stream.stream.transport.producing import RecordWriter
from pql_stream.stream.transport.settings import TransportSettings
from pql_stream.stream.transport.table import BatchTable
from pql_stream.stream.transport.topics import BatchTopic
from pql_stream.stream.transport.transactional import TransactionalProducer
from pql_stream.stream.transport.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from faust.types.auth import CredentialsT
    from mode import ServiceT

    from pql_stream.stream.transport.driver import Consumer

SCHEME = "pqlkafka"
"""Faust finds the transport by the entry point of this name (pyproject.toml)."""


def credentials_of(connection: Connection) -> CredentialsT | None:
    """Faust's form of the credentials of *connection*."""
    if connection.sasl_mechanism is not None:
        return SASLCredentials(
            username=connection.sasl_plain_username,
            password=connection.sasl_plain_password,
            ssl_context=connection.ssl_context,
            mechanism=connection.sasl_mechanism,
        )
    return SSLCredentials(connection.ssl_context) if connection.ssl_context is not None else None


class Connected(Protocol):
    """What is connected while an app runs."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class WriterService(Service):
    """Starts and stops the writer with the app: before the agents, and after the last commit."""

    def __init__(self, writer: Connected, **kwargs: Any) -> None:  # noqa: ANN401  # Service's own, handed on
        super().__init__(**kwargs)
        self._writer = writer

    async def on_start(self) -> None:
        await self._writer.start()

    async def on_stop(self) -> None:
        await self._writer.stop()


class _GroupOffsets:
    """The offsets of a running app's sources, for its transactions."""

    def __init__(self, app: BatchApp) -> None:
        self._app = app

    async def of(self, partition: int) -> tuple[Mapping[TP, int | None], Mapping[TP, int | None]]:
        await self._app.lease.confirm()
        tracks = self._app.batch_consumer.tracks()
        ours = {tp: track.committed for tp, track in tracks.items() if tp.partition == partition}
        return ours, await self._app.batch_consumer.committed(ours)

    def note(self, tp: TP, offset: int) -> None:
        track = self._app.batch_consumer.tracks().get(tp)
        # A partition may be gone by the time its last transaction is committed, or be ours anew, and further.
        if track is not None and (track.committed is None or track.committed < offset):
            track.committed = offset


class TransactionsService(Service):
    """Lets go of the partitions when the app has stopped."""

    def __init__(self, transactions: Transactions, **kwargs: Any) -> None:  # noqa: ANN401  # as above
        super().__init__(**kwargs)
        self._transactions = transactions

    async def on_stop(self) -> None:
        await self._transactions.close()


class BatchApp(faust.App):
    """
    One consumer group. *options* are Faust's settings; those that the transport depends on are set here.

    `writer` writes records, `lease` says whether we still may; both belong to a running app. Exactly once there are
    `transactions` in the writer's place. `giving_way` is set while partitions are to be handed over, or the app ends:
    work that can take long then ends early, by `GaveWay`. `membership` says where the app is in its group. `ends_heard`
    are ends of sources that somebody beside our consumer has asked the broker for. *background_topics* are as
    `Background` has them.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  # Faust's name
        *,
        connection: Connection,
        settings: TransportSettings,
        background_topics: Collection[str] = (),
        **options: Any,  # noqa: ANN401  # Faust's settings
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.background = Background(background_topics, time.monotonic)
        self.lease = Lease(settings.lease_s)
        self.writer = RecordWriter(connection, self.lease)
        self.transactions: Transactions | None = None
        self._taking: asyncio.Task[None] | None = None
        if settings.guarantee == "exactly_once":
            self.transactions = Transactions(
                lambda partition: TransactionalProducer(connection, f"{id}-{partition}", id),
                _GroupOffsets(self),
            )
        self.output_watch: OutputWatch | None = None
        self.giving_way = asyncio.Event()
        self.membership = Membership()
        self.ends_heard: Mapping[tuple[str, int], int] = {}
        fixed: dict[str, Any] = {
            "broker": ";".join(f"{SCHEME}://{server}" for server in connection.servers),
            "broker_credentials": credentials_of(connection),
            "broker_commit_interval": settings.commit_interval_s,
            "broker_session_timeout": settings.session_timeout_s,
            "broker_heartbeat_interval": settings.heartbeat_interval_s,
            "broker_rebalance_timeout": settings.rebalance_timeout_s,
            "consumer_max_fetch_size": settings.fetch_bytes_max,
            "consumer_auto_offset_reset": "earliest",
            "stream_wait_empty": True,
            "topic_allow_declare": False,
            "topic_disable_leader": True,
        }
        defaults: dict[str, Any] = {
            "web_enabled": False,
            "table_standby_replicas": 0,
            "store": "pqlmemory://",
        }
        super().__init__(id, **{**defaults, **options, **fixed})

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """What writes first: it is started before, and stopped after, everything that uses it."""
        out: Service
        if self.transactions is None:
            out = WriterService(self.writer, loop=self.loop, beacon=self.beacon)
        else:
            out = TransactionsService(self.transactions, loop=self.loop, beacon=self.beacon)
        return [out, *super().on_init_dependencies()]

    def _crash(self, reason: BaseException) -> None:
        """Keep the first reason: what else falls over on the way out is not why."""
        if self.crash_reason is None:
            super()._crash(reason)

    def is_waiting(self, tp: TP) -> bool:  # noqa: ARG002  # for who overrides it
        """Does the batch in work of *tp* wait for somebody else, on purpose? Then the partition is no stall."""
        return False

    def activity(self, tp: TP) -> int:  # noqa: ARG002  # as above
        """Grows while the batch in work of *tp*, which may take long, goes on."""
        return 0

    @property
    def sources(self) -> Collection[TP]:
        """The partitions that are ours and whose records are handed out; not those of changelogs."""
        return self.batch_consumer.tracks().keys()

    def recovery(self) -> RecoveryProgress:
        """How far the rows of the partitions that are ours are."""
        return self.membership.recovery(
            {
                PartitionId(table.topic, partition): (
                    internals.recovered_offset(self, TP(table.topic, partition)),
                    last,
                )
                for table in self.batch_tables()
                for partition, last in internals.active_highwaters(self, table.topic).items()
            }
        )

    @property
    def is_ready(self) -> bool:
        """Partitions are assigned, their rows recovered, and records handed out."""
        return self.batch_consumer.is_ready

    @property
    def batch_consumer(self) -> Consumer:
        """The consumer of this app."""
        return cast("Consumer", self.consumer)

    def batch_topic(self, *names: str) -> BatchTopic:
        """Topics to be read by one agent in batches."""
        return BatchTopic(self, topics=list(names))

    def batch_table(
        self,
        name: str,
        *,
        partitions: int,
        changelog: str | None = None,
        erasable: bool = False,
        **options: Any,  # noqa: ANN401  # Table's
    ) -> BatchTable:
        """
        A table; its changelog is *changelog*, else `<app id>-<name>-changelog`, and must be there.

        *erasable* is as `BatchTable` has it.
        """
        table = BatchTable(
            self,
            name=name,
            partitions=partitions,
            changelog=changelog,
            erasable=erasable,
            beacon=self.tables.beacon,
            **options,
        )
        self.tables.add(table)
        return table

    def batch_tables(self) -> list[BatchTable]:
        """The tables of this app."""
        return [table for table in self.tables.values() if isinstance(table, BatchTable)]

    async def check_changelogs(self) -> None:
        """
        Repair what somebody else wrote into the changelogs, and the watched output, of our partitions.

        Raises:
            StreamLost: a partition is not ours any more.
        """
        for table in self.batch_tables():
            await table.check_changelog()
        if self.output_watch is not None:
            await self.output_watch.check()

    def take_partitions(self, partitions: Collection[int]) -> None:
        """*partitions* are ours now: begin to shut out who had them before, where that is possible."""
        if self.transactions is not None:
            # Beside the assignment and not in it: meanwhile there are no heartbeats.
            self._taking = asyncio.ensure_future(self._open(self.transactions, partitions))

    async def _open(self, transactions: Transactions, partitions: Collection[int]) -> None:
        try:
            await transactions.open(partitions)
        except PqlError as exc:
            await end_process(self, exc)

    async def partitions_taken(self) -> None:
        """Wait for what `take_partitions` began."""
        if self._taking is not None:
            await asyncio.wait({self._taking})

    def own_changelogs(self, notes: Mapping[TP, str]) -> None:
        """Own what goes with the sources that were just sought; *notes* has what was committed with each."""
        for table in self.batch_tables():
            # Exactly once nobody else can write to the others: there is nothing to watch.
            if self.transactions is None or table.erasures is not None:
                table.own_partitions()
        if self.output_watch is not None:
            for partition in {tp.partition for tp in notes}:
                self.output_watch.own(partition, [note for tp, note in notes.items() if tp.partition == partition])

    async def release_partitions(self) -> None:
        """Own no partition, until the next assignment and its recovery."""
        for table in self.batch_tables():
            await table.release()
        if self.output_watch is not None:
            await self.output_watch.release()
        if self.transactions is not None:
            if self._taking is not None:
                self._taking.cancel()
            await self.transactions.close()

    def commit_note(self, tp: TP) -> str:
        """What to commit with an offset of *tp*."""
        return "" if self.output_watch is None else self.output_watch.note(tp.partition)
