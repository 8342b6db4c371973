"""Runs a worker: settings in, the app and its pages up, until a signal or a fault ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal

import structlog

import pql_stream
from pql_stream.core.collector import GC_THRESHOLD
from pql_stream.core.lineups import Roster
from pql_stream.errors import InvalidSettings
from pql_stream.ops.canary import check_pack
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.health import WorkerHealth
from pql_stream.ops.http import HttpServer
from pql_stream.ops.log import configure_logging
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.metrics.reloading import ReloadMeter
from pql_stream.ops.rosters import load_roster
from pql_stream.ops.scoring import scoring
from pql_stream.ops.settings import Settings
from pql_stream.ops.watching import WatchedApp, unwatch, watch

if TYPE_CHECKING:
    from pql_stream.stream.transport import BatchApp

log = structlog.stdlib.get_logger(__name__)


AppName = Literal["score", "deliver"]


def run_worker(settings: Settings, only: Collection[AppName] = ()) -> None:
    """
    Score and deliver until SIGTERM or SIGINT; a batch in work is finished, committed, and the group left.

    SIGHUP: routes and templates are read anew.

    *only* names the apps to run; without, it scores, and delivers where the settings file names sinks.

    Raises:
        PqlError: somebody has to act before it can run, or go on.
    """
    configure_logging(settings.log_level, settings.log_format)
    roster = load_roster(settings)
    settings.require_bootstrap_servers()
    config = load_config(settings, roster.first.live.pack)
    if "deliver" in only and not config.sinks:
        raise InvalidSettings(
            "there is nothing to deliver to",
            why=f"{config.path or 'no settings file'} names no sink",
            what_to_do="write [sinks.…] and [[routes]] into pql.toml, or set PQL_CONFIG",
        )
    apps: set[AppName] = set(only) or {"score"}
    if not only and config.sinks:
        apps.add("deliver")
    if "deliver" in apps:
        settings.require_redis_url()
    if "score" in apps and settings.canary_every_s:
        for pack in roster.first.packs:
            check_pack(pack)
    asyncio.run(_run(settings, roster, config, apps))


async def _run(settings: Settings, roster: Roster, config: DeliveryConfig, names: Collection[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hung_up = asyncio.Event()
    # At once: until somebody handles it, it ends the process.
    loop.add_signal_handler(signal.SIGHUP, hung_up.set if "deliver" in names else _nothing_to_reload)
    page, health = MetricsPage(), WorkerHealth(stop.is_set)
    async with AsyncExitStack() as stack:
        # Before the cluster is looked for: whoever waits for it is alive, and can say so.
        server = HttpServer(
            host=settings.http_host,
            port=settings.http_port,
            render=page.render,
            live=health.live,
            ready=health.ready,
            started=health.started,
        )
        port = await server.start()
        stack.push_async_callback(server.stop)
        address = f"http://{settings.http_host}:{port}"
        log.info("pages_served", http=address)
        apps: list[WatchedApp[BatchApp]] = []
        if "score" in names and (scores := await scoring(settings, roster, page, stop)) is not None:
            apps.append(scores)
        if "deliver" in names:
            # Bring Redis and the client of every destination: who only scores starts in less time without them.
            from pql_stream.ops.delivery.app import delivering  # noqa: PLC0415
            from pql_stream.ops.delivery.reloading import Reloader, loading  # noqa: PLC0415

            if (sending := await delivering(settings, config, page, stop)) is not None:
                stack.push_async_callback(sending.close)
                apps.append(sending.watched)
                reloader = Reloader(
                    *loading(settings, config, roster.first.live.pack), sending.watched.app, ReloadMeter(page.registry)
                )
                stack.callback(asyncio.create_task(reloader.run(hung_up)).cancel)
        if len(apps) == len(names):
            health.watch(
                {watched.name: watched.app for watched in apps},
                lambda: [sentence for watched in apps for sentence in watched.stalls.stalled()],
            )
            page.stalls(lambda: sum(len(watched.stalls.stalled()) for watched in apps))
            _rest_collector()
            log.info("worker_starting", version=pql_stream.__version__, http=address)
            await _run_watched(apps, stop)
    log.info("worker_stopped")


def _nothing_to_reload() -> None:
    log.info("config_reload_ignored", reason="this worker does not deliver, so it has no routes and no templates")


async def _run_watched(apps: Sequence[WatchedApp[BatchApp]], stop: asyncio.Event) -> None:
    watching = asyncio.create_task(watch(apps))
    try:
        await _run_apps([watched.app for watched in apps], stop)
    finally:
        await unwatch(watching)


async def _run_apps(apps: Sequence[BatchApp], stop: asyncio.Event) -> None:
    """
    Run *apps* until *stop* is set, or one of them ends: then the others end in good order.

    Raises:
        BaseException: what the first one crashed of.
    """
    from pql_stream.stream.running import run_app  # noqa: PLC0415 - Faust reads the command line when it is imported

    running = [asyncio.ensure_future(run_app(app, stop)) for app in apps]
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait(running)
    for task in (*done, *running):
        task.result()


def _rest_collector() -> None:
    """Let the garbage collector run when it may pay, and never again over what the start has made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
