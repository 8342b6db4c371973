"""
The Faust app `deliver`: routes what scoring published to the topics of the sinks, and delivers from those.

One agent dispatches; each sink has one for its deliveries and one for those that wait alone, so that no sink waits
for another, nor for what is parked. Importing this module imports Faust.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from faust.types import TP
from faust.types.streams import StreamT
from mode import ServiceT

from pql_stream.core.routes import RecordKind, Route
from pql_stream.delivery.breaker import Breaker
from pql_stream.delivery.deliverer import Deliverer
from pql_stream.delivery.dispatching import dispatch
from pql_stream.delivery.ledger import Ledger
from pql_stream.delivery.limits import Limiter
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.ports import DeliveryMeter, Ports, SinkTopics
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.delivery.sink import Sink
from pql_stream.delivery.switch import Switch, SwitchAlert
from pql_stream.errors import LedgerAway
from pql_stream.stream.connection import Connection
from pql_stream.stream.metrics import PartitionMeter
from pql_stream.stream.names import DELIVER_APP_ID, LEAD_PROFILES, PQL_QUALIFIED, SCORE_CHANGED, prefixed
from pql_stream.stream.profile_follower import follow_profiles
from pql_stream.stream.progress import ProgressReporter
from pql_stream.stream.running import report_progress
from pql_stream.stream.transport import (
    STORE_URLS,
    BatchApp,
    GaveWay,
    Lease,
    RecordBatch,
    RecordWriter,
    TransportSettings,
    work,
)
from pql_stream.wire.records import OutRecord

BATCH_RECORDS_MAX = 500
"""
Of one batch. What is in work when a worker dies is looked at again, and a batch is done when its slowest lead is:
smaller than for scoring, which works on a thousand times as many records.
"""

FINISH_SHARE = 0.7
"""
Of the time in which partitions are to be handed over: so long may calls under way take. The rest is for the ledger.
"""

LOOK_EVERY_S = 30.0
"""How often a sink that may have been disabled, or enabled again, is looked at, also while nothing goes to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPlan:
    """One sink as this worker delivers to it."""

    name: str
    sink: Sink
    topics: SinkTopics
    settings: DeliverySettings
    breaker: Breaker
    alert: SwitchAlert
    ledger: Ledger
    limiter: Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverSettings:
    """
    What the app needs to know, from settings and from the cluster.

    *partitions* is the count of every topic keyed by lead. *owner* names this process in the ledgers: no other, before
    or after it, has the same name. *log_bug* takes the traceback of what our own code failed on.
    """

    connection: Connection
    prefix: str
    routes: Sequence[Route]
    sinks: Sequence[SinkPlan]
    partitions: int
    store: Literal["memory", "rocksdb"]
    data_dir: Path
    owner: str
    session_timeout_s: float
    instance_id: str | None
    log_bug: Callable[[str], None]


class _Outputs:
    """The way out of the app: in order, acknowledged, and only while the partitions are surely ours."""

    def __init__(self, writer: RecordWriter, lease: Lease) -> None:
        self._writer = writer
        self._lease = lease

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """
        Send *records*; returns when all are acknowledged.

        Raises:
            StreamLost: the partitions may have another owner by now.
        """
        await self._lease.confirm()
        await self._writer.send(topic, partition, records)


class DeliverApp(BatchApp):
    """Delivers what one cluster's scoring published."""

    def __init__(self, settings: DeliverSettings, meter: DeliveryMeter, partitions: PartitionMeter) -> None:
        super().__init__(
            prefixed(DELIVER_APP_ID, settings.prefix),
            connection=settings.connection,
            settings=TransportSettings.of_session(settings.session_timeout_s, batch_records_max=BATCH_RECORDS_MAX),
            store=STORE_URLS[settings.store],
            datadir=str(settings.data_dir),
            consumer_group_instance_id=settings.instance_id,
        )
        self._settings = settings
        self._routes = tuple(settings.routes)
        self._following = follow_profiles(self, prefixed(LEAD_PROFILES, settings.prefix), settings.partitions)
        self._outputs = _Outputs(self.writer, self.lease)
        self._progress = ProgressReporter(partitions, time.time)
        self.membership.watched_by(partitions)
        self._meter = meter
        self._deliverers: dict[str, Deliverer] = {}
        self._kinds: dict[str, RecordKind] = {
            prefixed(kind, settings.prefix): cast("RecordKind", kind) for kind in (SCORE_CHANGED, PQL_QUALIFIED)
        }
        self._topics = {plan.name: plan.topics for plan in settings.sinks}

        async def dispatching(stream: StreamT[RecordBatch]) -> None:
            await work(self, stream, self._dispatch)

        self.agent(self.batch_topic(*self._kinds), name="dispatch")(dispatching)
        for plan in settings.sinks:
            self._add_sink(plan, self._outlet(plan, meter))
        self.task(self._report_progress)
        self.task(self._look_at_sinks)

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Contact data is followed as long as anything is delivered."""
        return [self._following.service, *super().on_init_dependencies()]

    def take_partitions(self, partitions: Collection[int]) -> None:
        """Follow the contact data of the leads that are ours now."""
        super().take_partitions(partitions)
        self._following.follower.own(partitions)

    async def release_partitions(self) -> None:
        """Follow nobody's, until the next assignment."""
        self._following.follower.own(())
        await super().release_partitions()

    @property
    def is_ready(self) -> bool:
        """Records are handed out, and the contact data of their leads was read."""
        return super().is_ready and self._following.follower.caught_up

    def is_waiting(self, tp: TP) -> bool:
        """A destination that is away, or a delivery that is not due, holds up a partition on purpose."""
        deliverer = self._deliverers.get(tp.topic)
        return deliverer is not None and deliverer.waits(tp.topic, tp.partition)

    def activity(self, tp: TP) -> int:
        """A batch ends when its slowest delivery does, and that may take a while."""
        deliverer = self._deliverers.get(tp.topic)
        return 0 if deliverer is None else deliverer.steps(tp.topic, tp.partition)

    def take_routes(self, routes: tuple[Route, ...]) -> None:
        """Use *routes*, which lead to the same sinks, from the next batch on: each batch has one set of them."""
        self._routes = routes

    def _outlet(self, plan: SinkPlan, meter: DeliveryMeter) -> Outlet:
        settings = self._settings
        ports = Ports(
            ledger=plan.ledger,
            entitlement=self.lease,
            limiter=plan.limiter,
            outputs=self._outputs,
            profiles=self._following.follower,
            meter=meter,
            log_bug=settings.log_bug,
            monotonic_s=time.monotonic,
            time_ms=lambda: int(time.time() * 1000),
            sleep=asyncio.sleep,
            chance=random.random,
        )
        return Outlet(
            name=plan.name,
            sink=plan.sink,
            topics=plan.topics,
            owner=settings.owner,
            finish_s=self.settings.revoke_timeout_s * FINISH_SHARE,
            settings=plan.settings,
            breaker=plan.breaker,
            switch=Switch(plan.name, plan.sink.traits.endpoint, plan.ledger, plan.alert, ports.time_ms),
            ports=ports,
        )

    def _add_sink(self, plan: SinkPlan, outlet: Outlet) -> None:
        deliverer = Deliverer(outlet)

        async def handle(batch: RecordBatch) -> None:
            await self._profiles_read(batch.partition)
            if await deliverer.handle(batch, self.giving_way) == "gave_way":
                raise GaveWay
            self._progress.batch_done(batch.tp, batch.records[-1].timestamp)

        # Two agents: what waits alone may wait for an hour, and must not hold up what can go out now.
        for topic in (plan.topics.deliveries, plan.topics.parked):

            async def delivering(stream: StreamT[RecordBatch]) -> None:
                await work(self, stream, handle)

            self._deliverers[topic] = deliverer
            self.agent(self.batch_topic(topic), name=topic)(delivering)

    async def _profiles_read(self, partition: int) -> None:
        """
        Wait until the contact data of *partition* is read as it is now.

        The scorer writes it before the changes. So what is not known then may come, and is waited for by itself.

        Raises:
            GaveWay: the batch must.
        """
        reading = asyncio.ensure_future(self._following.follower.read_to_end(partition))
        gives_way = asyncio.ensure_future(self.giving_way.wait())
        await asyncio.wait({reading, gives_way}, return_when=asyncio.FIRST_COMPLETED)
        gives_way.cancel()
        if not reading.done():
            reading.cancel()
            raise GaveWay
        reading.result()

    async def _dispatch(self, batch: RecordBatch) -> None:
        """Write the deliveries of *batch*; a repeat of it writes the same, and the ledger knows them."""
        dispatched = dispatch(self._kinds[batch.topic], batch.records, self._routes)
        for bug in dispatched.bugs:
            self._settings.log_bug(bug)
        outcomes = dispatched.counts(len(batch.records))
        sends = [
            self._outputs.send(self._topics[sink].deliveries, batch.partition, records)
            for sink, records in dispatched.deliveries.items()
        ]
        await asyncio.gather(*sends)
        self._meter.dispatched(batch.topic, outcomes)
        self._progress.batch_done(batch.tp, batch.records[-1].timestamp)

    async def _report_progress(self) -> None:
        await report_progress(self, self._progress)

    async def _look_at_sinks(self) -> None:
        """A sink that is disabled shows in the metrics also when nothing is for it: after a restart, at night."""
        while not self.should_stop:
            for deliverer in set(self._deliverers.values()):
                with suppress(LedgerAway):
                    await deliverer.look()
            await self.sleep(LOOK_EVERY_S)
