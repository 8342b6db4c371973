"""`pql-stream backfill`: history to the cluster, scored without telling anybody."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import click
import msgspec
import orjson

from pql_stream.errors import BrokerError
from pql_stream.ops.backfilling import (
    CommittedOffsets,
    Reached,
    fill_in,
    qualified_ends,
    untold_since,
    wait_until_scored,
)
from pql_stream.ops.cli.plain import plain
from pql_stream.ops.cli.score import report_rejected
from pql_stream.ops.cli.time_option import Patience
from pql_stream.ops.emitter import Emitter
from pql_stream.ops.progress import progress_towards, records_with_progress
from pql_stream.ops.replaying.options import AskedSource, source_options
from pql_stream.ops.settings import load_settings
from pql_stream.replay.replayer import Rejected
from pql_stream.stream.names import APP_ID, PQL_QUALIFIED, PRODUCT_ACTIVITY_BACKFILL, prefixed


@click.command()
@source_options()
@click.option("--announce", is_flag=True, help="Tell of what they change as if it happened now: deliveries too.")
@click.option("--no-wait", is_flag=True, help="End when the events lie on their topic, scored or not.")
@click.option(
    "--stalled-after",
    "stalled_s",
    type=Patience(),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up when no worker has moved for so long.",
)
@click.option("--json", "as_json", is_flag=True, help="Counts and leads as one JSON object on stdout.")
def command(*, asked: AskedSource, announce: bool, no_wait: bool, stalled_s: float, as_json: bool) -> None:
    """
    Fill in history: recorded events (FILEs as replay has them, or a topic).

    They go through product-activity-backfill, which workers read when live events leave them time. They change
    scores, and their changes carry "mode": "backfill". Nothing is delivered of them without --announce. Waits until
    they are scored, and lists the leads that reached a tier of which nobody is told. To repeat it changes nothing.
    """
    if PRODUCT_ACTIVITY_BACKFILL in asked.topics:
        raise click.UsageError(f"{PRODUCT_ACTIVITY_BACKFILL} is where a backfill goes to, and is scored already.")
    settings = load_settings()
    client_config, prefix = settings.kafka_client_config(), settings.topic_prefix
    topic, qualified = prefixed(PRODUCT_ACTIVITY_BACKFILL, prefix), prefixed(PQL_QUALIFIED, prefix)
    source = asked.source()
    since = qualified_ends(client_config, qualified)
    with _Report(as_json=as_json) as report, Emitter(client_config, topic) as emitter:
        try:
            fill_in(records_with_progress(source), emitter, report.rejected, announce=announce, time_s=time.time)
        finally:
            # Also when a later file cannot be read: so much is done.
            emitter.flush()
            report.sent(emitter, topic)
        if no_wait:
            return
        try:
            _wait(client_config, prefixed(APP_ID, prefix), topic, emitter.ends, stalled_s)
            report.scored = True
        finally:
            # Also when it was given up, or interrupted: to run it again would find none of these.
            report.untold = untold_since(client_config, qualified, since)


def _wait(client_config: Mapping[str, Any], group: str, topic: str, ends: Mapping[int, int], stalled_s: float) -> None:
    with progress_towards("scoring") as progress:
        offsets = CommittedOffsets(client_config, group, topic, list(ends))
        wait_until_scored(offsets, ends, progress, stalled_s=stalled_s)


class _Report:
    """What was done, told as it becomes known; on stdout at the end, whatever the end is."""

    def __init__(self, *, as_json: bool) -> None:
        self.rejected: list[Rejected] = []
        self.scored = False
        self.untold: list[Reached] | None = None
        self._as_json = as_json
        self._counts: dict[str, int] = {}

    def sent(self, emitter: Emitter, topic: str) -> None:
        """
        All events were handed over, and answered.

        Raises:
            BrokerError: some were not acknowledged.
        """
        report_rejected(self.rejected)
        self._counts = {
            "acknowledged": emitter.acknowledged,
            "refused": len(self.rejected),
            "failed": emitter.failed,
        }
        noun = "event" if emitter.acknowledged == 1 else "events"
        click.echo(f"{emitter.acknowledged:,} {noun} acknowledged by {topic}", err=True)
        if emitter.failed:
            raise BrokerError(
                f"{emitter.failed:,} events were not acknowledged",
                why=emitter.failure,
                what_to_do="see to the cluster, and run it again: an event that is repeated counts once",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._counts:
            return  # nothing was done: what is wrong is told by whoever catches it
        if self._as_json:
            leads = None if self.untold is None else list(map(msgspec.structs.asdict, self.untold))
            click.echo(orjson.dumps({**self._counts, "scored": self.scored, "untold": leads}))
        elif self.untold is not None:
            self._print_leads(self.untold)

    def _print_leads(self, leads: list[Reached]) -> None:
        if self.scored:
            click.echo("all of them are scored", err=True)
        noun = "lead" if len(leads) == 1 else "leads"
        click.echo(f"{len(leads):,} {noun} reached a tier, and nobody was told", err=True)
        for lead in leads:
            account = plain(lead.account_id or "-")
            tiers = f"{plain(lead.tier_before)} -> {plain(lead.tier)}"
            click.echo(f"{plain(lead.lead_id)}  {account}  {tiers}  {lead.score:g}  {lead.handoff or '-'}")
