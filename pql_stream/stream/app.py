"""The Faust app `score`: its topics, its two tables, its one agent. Importing this module imports Faust."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from faust.types.streams import StreamT
from mode import ServiceT

from pql_stream.core.lineups import Roster
from pql_stream.errors import BrokerAway
from pql_stream.stream.at_least_once import AtLeastOnce
from pql_stream.stream.casting import Casting, Stage
from pql_stream.stream.changes_log import ChangesLog
from pql_stream.stream.connection import Connection
from pql_stream.stream.exactly_once import ExactlyOnce
from pql_stream.stream.filling import Filling
from pql_stream.stream.garbage import Garbage
from pql_stream.stream.leads import Leads
from pql_stream.stream.metrics import Meter
from pql_stream.stream.names import APP_ID, LEADS_TABLE, PROFILES_TABLE, Topics, prefixed
from pql_stream.stream.outbox import Outbox
from pql_stream.stream.pipeline import Pipeline
from pql_stream.stream.profiles import CONTACTS_STORE, Profiles
from pql_stream.stream.progress import ProgressReporter
from pql_stream.stream.roles import Roles
from pql_stream.stream.running import report_progress
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.slices import Ports
from pql_stream.stream.stage import ControlTopic, InputHistory, OwnPartitions
from pql_stream.stream.transport import (
    STORE_URLS,
    BatchApp,
    BatchTable,
    OutputTopic,
    RecordBatch,
    RecordWriter,
    Transaction,
    TransportSettings,
    WriterService,
    end_process,
    work,
)
from pql_stream.wire.records import SourceRecord

log = logging.getLogger(__name__)

CONTROL_EVERY_S = 1.0
"""How often a worker looks for what is asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """
    What the app needs to know, from settings and from the cluster.

    Of *roster* the first pack is live at the very first start. *partitions* is the count of every topic keyed by lead.
    *leads_kept* is as `Leads` has it. What happened over *backfill_older_than_s* before it was written counts as filled
    in; None: it does not. *log_bug* takes the traceback of a record that our own code failed on.
    """

    connection: Connection
    prefix: str
    roster: Roster
    partitions: int
    dead_letter_partitions: int
    leads_kept: int
    backfill_older_than_s: int | None
    store: Literal["memory", "rocksdb"]
    data_dir: Path
    guarantee: Literal["at_least_once", "exactly_once"]
    session_timeout_s: float
    instance_id: str | None
    log_bug: Callable[[str], None]


class _Tables(NamedTuple):
    """The two tables as rows, and as what they mean."""

    lead_rows: BatchTable
    leads: Leads
    profile_rows: BatchTable
    profiles: Profiles


def _scorer(settings: ScoreSettings, topics: Topics, roles: Roles) -> Scorer:
    older_than_s = settings.backfill_older_than_s
    older_than_ms = None if older_than_s is None else older_than_s * 1000
    return Scorer(roles, topics, settings.partitions, backfill_older_than_ms=older_than_ms)


class ScoreApp(BatchApp):
    """Scores one cluster's product events."""

    def __init__(self, settings: ScoreSettings, meter: Meter) -> None:
        topics = Topics.under(settings.prefix)
        super().__init__(
            prefixed(APP_ID, settings.prefix),
            connection=settings.connection,
            settings=TransportSettings.of_session(settings.session_timeout_s, guarantee=settings.guarantee),
            store=STORE_URLS[settings.store],
            datadir=str(settings.data_dir),
            background_topics=[topics.activity_backfill],
            consumer_group_instance_id=settings.instance_id,
        )
        table = self.batch_table(LEADS_TABLE, partitions=settings.partitions, changelog=topics.leads_changelog)
        contacts = self.batch_table(
            PROFILES_TABLE,
            partitions=settings.partitions,
            changelog=topics.lead_profiles,
            erasable=True,
            options=dict(CONTACTS_STORE),
        )
        roles = Roles(settings.roster)
        leads, profiles = Leads(table, roles, settings.leads_kept), Profiles(contacts)
        self._control = ControlTopic(self, topics.control)
        self._writers: list[RecordWriter | ControlTopic] = [self._control]
        self._changes: ChangesLog | None = None
        guarantee = self._guarantee(settings, topics, _Tables(table, leads, contacts, profiles), roles)
        ports = Ports(leads, profiles, meter, time.time, settings.log_bug)
        scorer = _scorer(settings, topics, roles)
        pipeline = Pipeline(scorer, ports, guarantee)
        own = OwnPartitions(self, contacts, self._changes, OutputTopic(self, topics.score_changed))
        stage = Stage(self._control, table, leads, guarantee, own, meter, time.time)
        self._casting = casting = Casting(roles, stage)
        self._filling = Filling(roles, stage, InputHistory(self, topics), scorer)
        self._progress = ProgressReporter(meter, time.time)
        self.membership.watched_by(meter)
        garbage = Garbage()

        async def handle(batch: RecordBatch) -> None:
            async with contacts.turn(batch.partition):
                await casting.ready(batch.partition)
                if self._changes is None:
                    await pipeline.handle(batch)
                else:

                    def more() -> Sequence[SourceRecord]:
                        return () if contacts.is_turn_wanted(batch.partition) else batch.more()

                    def done() -> Mapping[str, int]:
                        return {batch.topic: batch.offset + 1}

                    async with self._changes.batch(batch.partition, done) as ahead:
                        await pipeline.handle(batch, ahead, more)
            self._progress.batch_done(batch.tp, batch.records[-1].timestamp)
            garbage.handled(batch.let_go())

        # All inputs in one agent: batches of the same partition number share their rows, and are
        # handled one at a time.
        async def score(stream: StreamT[RecordBatch]) -> None:
            await work(self, stream, handle)

        self.agent(self.batch_topic(*topics.sources), name="score")(score)
        for task in (self._report_progress, self._keep_roles, self._keep_filled):
            self.task(task)

    def _guarantee(
        self, settings: ScoreSettings, topics: Topics, tables: _Tables, roles: Roles
    ) -> AtLeastOnce | ExactlyOnce[Transaction]:
        if self.transactions is not None:
            return ExactlyOnce(
                topics,
                self.transactions,
                tables.lead_rows,
                tables.leads,
                tables.profile_rows,
                dead_letter_partitions=settings.dead_letter_partitions,
                confirm_lease=self.lease.confirm,
                clock=time.time,
            )
        compressing = RecordWriter(settings.connection, self.lease, compressed=True)
        self._writers.append(compressing)
        self._changes = self.output_watch = ChangesLog(
            OutputTopic(self, topics.score_changed),
            self.writer,
            tables.leads,
            roles,
            self.lease.confirm,
            forwarded_to=topics.activity_rekeyed,
        )
        outbox = Outbox(
            topics,
            writer=self._changes,
            compressing=compressing,
            dead_letter_partitions=settings.dead_letter_partitions,
        )
        return AtLeastOnce(
            topics, outbox, tables.leads, tables.profiles, confirm_lease=self.lease.confirm, clock=time.time
        )

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Our own writers live as long as the app's."""
        own = [WriterService(writer, loop=self.loop, beacon=self.beacon) for writer in self._writers]
        return [*own, *super().on_init_dependencies()]

    async def release_partitions(self) -> None:
        """As the base class, which waits for batches only; then nothing is known of their roles either."""
        await self._casting.rest()
        await self._filling.rest()
        await super().release_partitions()
        await self._casting.release()

    async def _keep_roles(self) -> None:
        await self._keep(self._casting.step)

    async def _keep_filled(self) -> None:
        await self._keep(self._filling.step)

    async def _keep(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take one *step* after the other; what one raises ends the process: nobody would be listened to any more."""
        try:
            while not self.should_stop:
                await self.sleep(CONTROL_EVERY_S)
                try:
                    await step()
                except BrokerAway as exc:
                    log.warning("nobody can be asked what is wanted: %s", exc)
        except Exception as exc:  # noqa: BLE001  # whatever it is
            if not self.should_stop:
                await end_process(self, exc)

    async def _report_progress(self) -> None:
        await report_progress(self, self._progress)
