"""A Faust app on the batch transport: its settings, its lease, its producer, its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials
from mode import Service

from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.lease import Lease
from pql_stream.stream.transport.outputs import OutputWatch
from pql_stream.stream.transport.producing import RecordWriter
from pql_stream.stream.transport.settings import TransportSettings
from pql_stream.stream.transport.table import BatchTable
from pql_stream.stream.transport.topics import BatchTopic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faust.types import TP
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


class WriterService(Service):
    """Starts and stops the writer with the app: before the agents, and after the last commit."""

    def __init__(self, writer: RecordWriter, **kwargs: Any) -> None:  # noqa: ANN401  # Service's own, handed on
        super().__init__(**kwargs)
        self._writer = writer

    async def on_start(self) -> None:
        await self._writer.start()

    async def on_stop(self) -> None:
        await self._writer.stop()


class BatchApp(faust.App):
    """
    One consumer group. *options* are Faust's settings; those that the transport depends on are set here.

    `writer` writes records, `lease` says whether we still may; both belong to a running app.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  # Faust's name
        *,
        connection: Connection,
        settings: TransportSettings,
        **options: Any,  # noqa: ANN401  # Faust's settings
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.lease = Lease(settings.lease_s)
        self.writer = RecordWriter(connection, self.lease)
        self.output_watch: OutputWatch | None = None
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
        """The writer first: it is started before, and stopped after, everything that writes."""
        return [
            WriterService(self.writer, loop=self.loop, beacon=self.beacon),
            *super().on_init_dependencies(),
        ]

    def _crash(self, reason: BaseException) -> None:
        """Keep the first reason: what else falls over on the way out is not why."""
        if self.crash_reason is None:
            super()._crash(reason)

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
        **options: Any,  # noqa: ANN401  # Table's
    ) -> BatchTable:
        """A table; its changelog is *changelog*, else `<app id>-<name>-changelog`, and must be there."""
        table = BatchTable(
            self, name=name, partitions=partitions, changelog=changelog, beacon=self.tables.beacon, **options
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

    def own_changelogs(self, notes: Mapping[TP, str]) -> None:
        """Own what goes with the sources that were just sought; *notes* has what was committed with each."""
        for table in self.batch_tables():
            table.own_partitions()
        if self.output_watch is not None:
            for partition in {tp.partition for tp in notes}:
                self.output_watch.own(partition, [note for tp, note in notes.items() if tp.partition == partition])

    async def release_changelogs(self) -> None:
        """Own nothing, until the next recovery."""
        for table in self.batch_tables():
            await table.writer.release()
        if self.output_watch is not None:
            await self.output_watch.release()

    def commit_note(self, tp: TP) -> str:
        """What to commit with an offset of *tp*."""
        return "" if self.output_watch is None else self.output_watch.note(tp.partition)
