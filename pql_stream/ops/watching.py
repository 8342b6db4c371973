"""What runs beside an app and watches it: its stalls, its dead letters, its canary. None of it can end a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog

from pql_stream.ops.canary import Canary, CanaryTrip, canary_partition
from pql_stream.ops.dead_letter_watch import DeadLetterWatch, DepthReader
from pql_stream.ops.group_offsets import GroupReader
from pql_stream.ops.health import AppUnderWatch
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.metrics.watching import PrometheusCanaryMeter
from pql_stream.ops.settings import Settings
from pql_stream.ops.stalls import StallWatch
from pql_stream.stream.names import (
    APP_ID,
    DELIVER_APP_ID,
    PRODUCT_ACTIVITY,
    PRODUCT_ACTIVITY_DLQ,
    SCORE_CHANGED,
    prefixed,
    sink_topics,
)

if TYPE_CHECKING:
    from pql_stream.stream.deliver_app import DeliverApp
    from pql_stream.stream.transport import BatchApp

App = TypeVar("App", bound="BatchApp", covariant=True)  # noqa: PLC0105 - who takes one need not see how

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedApp(Generic[App]):
    """An app with what watches it."""

    name: str
    app: App
    stalls: StallWatch
    others: Sequence[DeadLetterWatch | Canary]

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """What is to run while the app does."""
        return [watch.run() for watch in (self.stalls, *self.others)]


def watched_scoring(
    settings: Settings, app: BatchApp, partitions: int, page: MetricsPage, stop: asyncio.Event
) -> WatchedApp[BatchApp]:
    """The app that scores; *partitions* is the count of every topic keyed by lead."""
    prefix = settings.topic_prefix
    activity = prefixed(PRODUCT_ACTIVITY, prefix)
    others: list[DeadLetterWatch | Canary] = [
        _dead_letters(
            settings, app, [prefixed(PRODUCT_ACTIVITY_DLQ, prefix)], activity, stop, page=page, are_marked=False
        )
    ]
    if settings.canary_every_s:
        partition = canary_partition(partitions)
        others.append(
            Canary(
                CanaryTrip(settings.kafka_client_config(), prefix, partition).go,
                PrometheusCanaryMeter(page.registry, settings.canary_every_s),
                every_s=settings.canary_every_s,
                is_ours=lambda: _owns(app, activity, partition),
                stop=stop,
            )
        )
    stalls = _stalls(settings, app, prefixed(APP_ID, prefix), stop)
    return WatchedApp(name=APP_ID, app=app, stalls=stalls, others=others)


def watched_delivery(
    settings: Settings, app: DeliverApp, sinks: Collection[str], page: MetricsPage, stop: asyncio.Event
) -> WatchedApp[DeliverApp]:
    """The app that delivers to *sinks*."""
    prefix = settings.topic_prefix
    topics = [sink_topics(sink, prefix).dead_letters for sink in sinks]
    others = [_dead_letters(settings, app, topics, prefixed(SCORE_CHANGED, prefix), stop, page=page, are_marked=True)]
    stalls = _stalls(settings, app, prefixed(DELIVER_APP_ID, prefix), stop)
    return WatchedApp(name=DELIVER_APP_ID, app=app, stalls=stalls, others=others)


async def watch(apps: Sequence[WatchedApp[BatchApp]]) -> None:
    """Watch *apps* until cancelled."""
    tasks = [asyncio.create_task(task) for watched in apps for task in watched.tasks()]
    for task in tasks:
        task.add_done_callback(_tell_failure)
    try:
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()


async def unwatch(watching: asyncio.Task[None]) -> None:
    """End what `watch` does."""
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def _tell_failure(task: asyncio.Task[None]) -> None:
    """A bug in what watches is told, and costs no worker."""
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.error("watch_failed", exc_info=failure)


def _stalls(settings: Settings, app: BatchApp, group: str, stop: asyncio.Event) -> StallWatch:
    cluster = GroupReader(settings.kafka_client_config(), group, stop)
    return StallWatch(AppUnderWatch(app), cluster, after_s=settings.stall_after_s, clock=time.monotonic)


def _dead_letters(
    settings: Settings,
    app: BatchApp,
    topics: Sequence[str],
    first_source: str,
    stop: asyncio.Event,
    *,
    page: MetricsPage,
    are_marked: bool,
) -> DeadLetterWatch:
    """Looked after by the worker that owns the first partition of *first_source*: one of the group does."""
    reader = DepthReader(settings.kafka_client_config(), topics, are_marked=are_marked)
    return DeadLetterWatch(reader, page.depths(), is_ours=lambda: _owns(app, first_source, 0), stop=stop)


def _owns(app: BatchApp, topic: str, partition: int) -> bool:
    return (topic, partition) in app.sources
