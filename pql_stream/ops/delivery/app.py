"""Makes the app that delivers: settings file, cluster and ledger are looked at first, then Faust is let in."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from pql_stream.delivery.breaker import Breaker
from pql_stream.delivery.outcomes import LaterReason
from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.delivery.redis_limits import RedisLimiter
from pql_stream.ops.cluster_wait import when_there
from pql_stream.ops.connecting import connection_of
from pql_stream.ops.delivery.checks import how_to_enable
from pql_stream.ops.delivery.config import DeliveryConfig
from pql_stream.ops.delivery.sinks import OpenSink, open_sinks
from pql_stream.ops.metrics.delivering import PrometheusDeliveryMeter, show_calls_left
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.preflight import read_shape
from pql_stream.ops.settings import Settings
from pql_stream.ops.watching import WatchedApp, watched_delivery
from pql_stream.sinks.salesforce import SalesforceSink
from pql_stream.stream.names import PQL_QUALIFIED, SCORE_CHANGED, prefixed

if TYPE_CHECKING:
    from pql_stream.stream.deliver_app import DeliverApp, SinkPlan

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivering:
    """The app with what watches it, and what it works with, which `close` lets go of."""

    watched: WatchedApp[DeliverApp]
    _sinks: tuple[OpenSink, ...]
    _redis: RedisConnection

    async def close(self) -> None:
        """Close the connections to the sinks and to Redis."""
        for opened in self._sinks:
            await opened.sink.close()
        await self._redis.close()


async def delivering(
    settings: Settings, config: DeliveryConfig, page: MetricsPage, stop: asyncio.Event
) -> Delivering | None:
    """
    The app for the sinks of *config*, as soon as the cluster answers; None when *stop* comes first.

    Raises:
        PqlError: somebody has to act before it can run.
    """
    redis = RedisConnection(settings.require_redis_url())
    sinks = open_sinks(config, settings.topic_prefix)
    client_config, names = settings.kafka_client_config(), tuple(config.sinks)
    shape = await when_there(lambda: read_shape(client_config, settings.topic_prefix, names), stop)
    if shape is None:
        return None
    for warning in config.warnings:
        log.warning("settings_file", warning=warning)
    show_calls_left(
        page, {one.name: partial(_calls_left, one.sink) for one in sinks if isinstance(one.sink, SalesforceSink)}
    )
    app = _make_app(settings, config, sinks, redis, page=page, partitions=shape.partitions)
    return Delivering(watched_delivery(settings, app, names, page, stop), sinks, redis)


def _make_app(
    settings: Settings,
    config: DeliveryConfig,
    sinks: tuple[OpenSink, ...],
    redis: RedisConnection,
    *,
    page: MetricsPage,
    partitions: int,
) -> DeliverApp:
    # Faust reads the command line when it is imported.
    sys.argv = sys.argv[:1]
    from pql_stream.stream.deliver_app import DeliverApp, DeliverSettings  # noqa: PLC0415 - the line above comes first

    prefix = settings.topic_prefix
    return DeliverApp(
        DeliverSettings(
            connection=connection_of(settings),
            prefix=prefix,
            routes=config.routes,
            sinks=[_plan(opened, redis, prefix) for opened in sinks],
            partitions=partitions,
            store=settings.store,
            data_dir=settings.data_dir,
            owner=f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:12]}",
            session_timeout_s=settings.session_timeout_s,
            instance_id=settings.instance_id,
            log_bug=lambda trace: log.error("internal_error", traceback=trace),
        ),
        PrometheusDeliveryMeter(
            page,
            {name: form.type for name, form in config.sinks.items()},
            [prefixed(kind, prefix) for kind in (SCORE_CHANGED, PQL_QUALIFIED)],
        ),
        page.partitions(),
    )


def _calls_left(sink: SalesforceSink) -> float | None:
    return sink.calls_left


def _plan(opened: OpenSink, redis: RedisConnection, prefix: str) -> SinkPlan:
    from pql_stream.stream.deliver_app import SinkPlan  # noqa: PLC0415 - as above

    alert = _LogAlert()
    return SinkPlan(
        name=opened.name,
        sink=opened.sink,
        topics=opened.topics,
        settings=opened.settings,
        breaker=Breaker(opened.name, opened.breaker, alert, time.monotonic, random.random),
        alert=alert,
        ledger=RedisLedger(redis, prefix=prefix, sink=opened.name),
        limiter=RedisLimiter(redis, opened.rate, prefix=prefix, sink=opened.name),
    )


class _LogAlert:
    """An `Alert`, and a `SwitchAlert`, in the log; the sink's state is a metric beside it."""

    def paused(self, sink: str, reason: LaterReason, for_s: float, detail: str) -> None:
        log.error("sink_paused", sink=sink, reason=reason, for_s=round(for_s), detail=detail)

    def resumed(self, sink: str) -> None:
        log.info("sink_resumed", sink=sink)

    def disabled(self, sink: str) -> None:
        log.error("sink_disabled", sink=sink, why="it answered 410: gone", what_to_do=how_to_enable(sink))

    def enabled(self, sink: str) -> None:
        log.info("sink_enabled", sink=sink)
