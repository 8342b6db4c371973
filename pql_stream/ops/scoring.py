"""Makes the app that scores: the cluster and the state are looked at first, then Faust is let in."""

from __future__ import annotations

import asyncio
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson
import structlog

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import CompiledPack
from pql_stream.ops.cluster_wait import when_there
from pql_stream.ops.connecting import connection_of
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.metrics.scoring import PrometheusMeter
from pql_stream.ops.preflight import (
    ClusterShape,
    StateIdentity,
    check_state,
    claim_state,
    read_shape,
)
from pql_stream.ops.settings import Settings
from pql_stream.ops.watching import WatchedApp, watched_scoring
from pql_stream.stream.names import APP_ID, prefixed
from pql_stream.wire.packs import dump_pack

if TYPE_CHECKING:
    from pql_stream.stream.app import ScoreApp
    from pql_stream.stream.transport import BatchApp

log = structlog.stdlib.get_logger(__name__)


async def scoring(
    settings: Settings, roster: Roster, page: MetricsPage, stop: asyncio.Event
) -> WatchedApp[BatchApp] | None:
    """
    The app with what watches it, as soon as the cluster answers; None when *stop* comes first.

    Raises:
        PqlError: somebody has to act before it can run.
    """
    shape = await when_there(lambda: _checked_shape(settings, roster), stop)
    if shape is None:
        return None
    # After the look at the cluster: a directory that is claimed for partitions that the cluster refuses would refuse
    # the right ones later.
    if settings.store == "rocksdb":
        app_id = prefixed(APP_ID, settings.topic_prefix)
        claim_state(settings.data_dir, StateIdentity(app_id, shape.partitions))
    packs = roster.first.packs
    meter = PrometheusMeter(page, {words.replace(" ", "_") for pack in packs for words in pack.event_words})
    for pack in packs:
        meter.pack_loaded(pack.name, pack.version, _pack_sha256(pack), [tier.name for tier in pack.tiers])
    return watched_scoring(settings, _make_app(settings, roster, shape, meter), shape.partitions, page, stop)


def _pack_sha256(pack: CompiledPack) -> str:
    """Of what the pack says, not of how its file is laid out."""
    return sha256(orjson.dumps(dump_pack(pack.pack), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _checked_shape(settings: Settings, roster: Roster) -> ClusterShape:
    """The cluster's partition counts, if its topics fit together and the packs of *roster* can go on with its state."""
    client_config, prefix = settings.kafka_client_config(), settings.topic_prefix
    shape = read_shape(client_config, prefix)
    check_state(client_config, prefix, shape.partitions, roster)
    return shape


def _make_app(settings: Settings, roster: Roster, shape: ClusterShape, meter: PrometheusMeter) -> ScoreApp:
    # Faust reads the command line when it is imported.
    sys.argv = sys.argv[:1]
    from pql_stream.stream.app import ScoreApp, ScoreSettings  # noqa: PLC0415 - the line above must come first

    return ScoreApp(
        ScoreSettings(
            connection=connection_of(settings),
            prefix=settings.topic_prefix,
            roster=roster,
            partitions=shape.partitions,
            dead_letter_partitions=shape.dead_letter_partitions,
            leads_kept=settings.leads_kept,
            backfill_older_than_s=settings.backfill_older_than_s,
            store=settings.store,
            data_dir=settings.data_dir,
            guarantee=settings.processing_guarantee,
            session_timeout_s=settings.session_timeout_s,
            instance_id=settings.instance_id,
            log_bug=lambda trace: log.error("internal_error", traceback=trace),
        ),
        meter,
    )
