"""Runs a worker: settings in, the app and its pages up, until a signal or a fault ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog

import pql_stream
from pql_stream.core.packs import CompiledPack, ModelPack, compile_pack
from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.app import delivering
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.delivery.reloading import Loaded, Reloader
from pql_stream.ops.http import Health, HttpServer
from pql_stream.ops.log import configure_logging
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.metrics.reloading import ReloadMeter
from pql_stream.ops.scoring import scoring_app
from pql_stream.ops.settings import Settings, load_settings
from pql_stream.wire.packs import load_pack

if TYPE_CHECKING:
    from pql_stream.stream.transport import BatchApp

GC_THRESHOLD = 50_000, 20, 50
"""
Containers that may be made, less those that went, before the collector looks for cycles; then its older generations.

A batch makes tens of thousands of containers and frees them at its end, none of them in a cycle. With Python's 700
the collector ran hundreds of times a batch and took a third of the worker's time. The price: cycles, which
exceptions and tasks leave, lie about for longer.
"""

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
    pack = compile_pack(load_pack(settings.pack))
    settings.require_bootstrap_servers()
    config = load_config(settings, pack.pack)
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
    asyncio.run(_run(settings, pack, config, apps))


async def _run(settings: Settings, pack: CompiledPack, config: DeliveryConfig, names: Collection[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hung_up = asyncio.Event()
    # At once: until somebody handles it, it ends the process.
    loop.add_signal_handler(signal.SIGHUP, hung_up.set if "deliver" in names else _nothing_to_reload)
    page = MetricsPage()
    async with AsyncExitStack() as stack:
        apps: list[BatchApp] = []
        if "score" in names and (scoring := await scoring_app(settings, pack, page, stop)) is not None:
            apps.append(scoring)
        if "deliver" in names and (sending := await delivering(settings, config, page, stop)) is not None:
            stack.push_async_callback(sending.close)
            apps.append(sending.app)
            read, meter = partial(_load, pack.pack), ReloadMeter(page.registry)
            reloader = Reloader(Loaded(settings, config), read, sending.app, meter)
            stack.callback(asyncio.create_task(reloader.run(hung_up)).cancel)
        if len(apps) == len(names):
            await _serve(settings, apps, page, stop)


def _load(pack: ModelPack) -> Loaded:
    """What environment and file say now; the pack is the one that the worker was started with."""
    settings = load_settings()
    return Loaded(settings, load_config(settings, pack))


def _nothing_to_reload() -> None:
    log.info("config_reload_ignored", reason="this worker does not deliver, so it has no routes and no templates")


async def _serve(settings: Settings, apps: Sequence[BatchApp], page: MetricsPage, stop: asyncio.Event) -> None:
    server = HttpServer(
        host=settings.http_host,
        port=settings.http_port,
        render=page.render,
        live=_live(apps),
        ready=_ready(apps),
    )
    port = await server.start()
    _rest_collector()
    log.info("worker_starting", version=pql_stream.__version__, http=f"http://{settings.http_host}:{port}")
    try:
        await _run_apps(apps, stop)
    finally:
        await server.stop()
    log.info("worker_stopped")


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


def _live(apps: Sequence[BatchApp]) -> Callable[[], Health]:
    """The event loop turned, or this would not be asked; a crash is on its way out."""

    def live() -> Health:
        if any(app.crashed for app in apps):
            return Health(ok=False, sentence="the worker crashed and is ending")
        return Health(ok=True, sentence="the worker is alive")

    return live


def _ready(apps: Sequence[BatchApp]) -> Callable[[], Health]:
    def ready() -> Health:
        if all(app.is_ready for app in apps):
            return Health(ok=True, sentence="partitions are assigned, their rows recovered")
        return Health(ok=False, sentence="joining the group, or recovering rows from the changelog")

    return ready
