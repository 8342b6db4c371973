"""Runs a worker: settings in, the app and its pages up, until a signal or a fault ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson
import structlog

import pql_stream
from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.errors import BrokerAway
from pql_stream.ops.http import Health, HttpServer
from pql_stream.ops.interruptible import unless_stopped
from pql_stream.ops.log import configure_logging
from pql_stream.ops.metrics import PrometheusMeter
from pql_stream.ops.preflight import (
    ClusterShape,
    PackIdentity,
    StateIdentity,
    check_changelog,
    claim_state,
    read_shape,
)
from pql_stream.ops.settings import Settings
from pql_stream.stream.connection import Connection
from pql_stream.stream.names import APP_ID, prefixed
from pql_stream.wire.packs import dump_pack, load_pack

if TYPE_CHECKING:
    from pql_stream.stream.app import ScoreApp

BROKER_RETRY_S = 2.0

GC_THRESHOLD = 50_000, 20, 50
"""
Containers that may be made, less those that went, before the collector looks for cycles; then its older generations.

A batch makes tens of thousands of containers and frees them at its end, none of them in a cycle. With Python's 700
the collector ran hundreds of times a batch and took a third of the worker's time. The price: cycles, which
exceptions and tasks leave, lie about for longer.
"""

log = structlog.stdlib.get_logger(__name__)


def run_worker(settings: Settings) -> None:
    """
    Score until SIGTERM or SIGINT; a batch in work is finished, committed, and the group left.

    Raises:
        PqlError: somebody has to act before it can run, or go on.
    """
    configure_logging(settings.log_level, settings.log_format)
    pack = compile_pack(load_pack(settings.pack))
    settings.require_bootstrap_servers()
    asyncio.run(_run(settings, pack))


def connection_of(settings: Settings) -> Connection:
    """How the clients of a worker reach the cluster."""
    return Connection(
        bootstrap=settings.require_bootstrap_servers(),
        security_protocol=settings.security_protocol,
        sasl_mechanism=settings.sasl_mechanism,
        sasl_plain_username=settings.sasl_username,
        sasl_plain_password=settings.sasl_password_text,
        ssl_context=settings.ssl_context(),
    )


async def _run(settings: Settings, pack: CompiledPack) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    shape = await _shape_when_there(settings, pack, stop)
    if shape is None:
        return
    # After the look at the cluster: a directory that is claimed for a pack that the cluster refuses would
    # refuse the right pack later.
    if settings.store == "rocksdb":
        app_id = prefixed(APP_ID, settings.topic_prefix)
        claim_state(settings.data_dir, StateIdentity(app_id, pack.name, pack.version, shape.partitions))
    meter = PrometheusMeter(words.replace(" ", "_") for words in pack.event_words)
    meter.pack_loaded(pack.name, pack.version, _pack_sha256(pack), [tier.name for tier in pack.tiers])
    app = _make_app(settings, pack, shape, meter)
    server = HttpServer(
        host=settings.http_host,
        port=settings.http_port,
        render=meter.render,
        live=_live(app),
        ready=_ready(app),
    )
    port = await server.start()
    _rest_collector()
    log.info("worker_starting", version=pql_stream.__version__, http=f"http://{settings.http_host}:{port}")
    try:
        await _score(app, stop)
    finally:
        await server.stop()
    log.info("worker_stopped")


def _rest_collector() -> None:
    """Let the garbage collector run when it may pay, and never again over what the start has made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def _pack_sha256(pack: CompiledPack) -> str:
    """Of what the pack says, not of how its file is laid out."""
    return sha256(orjson.dumps(dump_pack(pack.pack), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _checked_shape(settings: Settings, pack: CompiledPack) -> ClusterShape:
    """The cluster's partition counts, if its topics fit together and its state is of *pack*."""
    client_config, prefix = settings.kafka_client_config(), settings.topic_prefix
    shape = read_shape(client_config, prefix)
    check_changelog(client_config, prefix, shape.partitions, PackIdentity(pack.name, pack.version))
    return shape


async def _shape_when_there(settings: Settings, pack: CompiledPack, stop: asyncio.Event) -> ClusterShape | None:
    """The cluster's partition counts as soon as it answers; None when *stop* comes first."""
    while not stop.is_set():
        try:
            return await unless_stopped(lambda: _checked_shape(settings, pack), stop)
        except BrokerAway as exc:
            log.warning("broker_away", what=exc.what, why=exc.why, again_in_s=BROKER_RETRY_S)
        try:
            await asyncio.wait_for(stop.wait(), BROKER_RETRY_S)
        except TimeoutError:
            continue
    return None


def _make_app(settings: Settings, pack: CompiledPack, shape: ClusterShape, meter: PrometheusMeter) -> ScoreApp:
    # Faust reads the command line when it is imported.
    sys.argv = sys.argv[:1]
    from pql_stream.stream.app import ScoreApp, ScoreSettings  # noqa: PLC0415 - the line above must come first

    return ScoreApp(
        ScoreSettings(
            connection=connection_of(settings),
            prefix=settings.topic_prefix,
            pack=pack,
            partitions=shape.partitions,
            dead_letter_partitions=shape.dead_letter_partitions,
            leads_kept=settings.leads_kept,
            store=settings.store,
            data_dir=settings.data_dir,
            guarantee=settings.processing_guarantee,
            session_timeout_s=settings.session_timeout_s,
            instance_id=settings.instance_id,
            log_bug=lambda trace: log.error("internal_error", traceback=trace),
        ),
        meter,
    )


async def _score(app: ScoreApp, stop: asyncio.Event) -> None:
    from pql_stream.stream.running import run_app  # noqa: PLC0415 - as above

    await run_app(app, stop)


def _live(app: ScoreApp) -> Callable[[], Health]:
    """The event loop turned, or this would not be asked; a crash is on its way out."""

    def live() -> Health:
        if app.crashed:
            return Health(ok=False, sentence="the worker crashed and is ending")
        return Health(ok=True, sentence="the worker is alive")

    return live


def _ready(app: ScoreApp) -> Callable[[], Health]:
    def ready() -> Health:
        if app.is_ready:
            return Health(ok=True, sentence="partitions are assigned, their rows recovered")
        return Health(ok=False, sentence="joining the group, or recovering rows from the changelog")

    return ready
