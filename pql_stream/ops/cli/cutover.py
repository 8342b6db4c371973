"""`pql-stream cutover`: another pack goes live, while events flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, cast

import click
import orjson

from pql_stream.core.packs import PackId
from pql_stream.errors import InvalidSettings, PqlError
from pql_stream.ops.cli.time_option import Patience
from pql_stream.ops.cutover import Control, Operator, open_control
from pql_stream.ops.rosters import load_roster
from pql_stream.ops.settings import Settings, load_settings
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.names import PRODUCT_ACTIVITY, prefixed
from pql_stream.wire.control import Announce, ReportAnswer
from pql_stream.wire.packs import load_pack

PATIENCE_S = 120.0


def waiting_options(patience_s: float = PATIENCE_S) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of every command that waits for workers."""

    def with_options(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")(function)
        return click.option(
            "--patience",
            "patience_s",
            type=Patience(),
            default=patience_s,
            show_default=True,
            help="Seconds in which no partition gets done, after which to give up; the workers go on.",
        )(function)

    return with_options


@click.command()
@click.argument("pack", metavar="PACK", required=False)
@click.option("--status", is_flag=True, help="Only show which pack is live on which partition.")
@click.option(
    "--announce",
    type=click.Choice(["none", "new"]),
    default="none",
    show_default=True,
    help="new: announce leads that PACK puts higher than was ever announced. none: count them as announced.",
)
@click.option("--force", is_flag=True, help="Also where PACK does not know all events of the leads.")
@waiting_options()
def command(pack: str | None, announce: str, patience_s: float, *, status: bool, force: bool, as_json: bool) -> None:
    """
    Make PACK the live pack on every partition, while events flow. PACK scores already, in PQL_SHADOW_PACKS.

    Every partition changes over between two batches. What was announced stays announced. Run again after anything,
    it finishes what is left.
    """
    if status == (pack is not None):
        raise click.UsageError("name a PACK, or --status")
    settings = load_settings()
    with open_control(settings.kafka_client_config(), settings.topic_prefix) as control:
        if pack is None:
            show(control.read(), partitions_of(settings), as_json=as_json)
        else:
            operator = operator_of(settings, control, patience_s)
            wanted = pack_id(settings, pack)
            if is_needed(operator, wanted):
                check_complete(operator, wanted, force=force)
                operator.switch(wanted, cast("Announce", announce))
            show(control.read(), operator.partitions, as_json=as_json)


def operator_of(settings: Settings, control: Control, patience_s: float) -> Operator:
    """Who asks the workers of the cluster."""
    return Operator(control, partitions_of(settings), patience_s, lambda text: click.echo(text, err=True))


def partitions_of(settings: Settings) -> int:
    """How many partitions the leads lie on."""
    topic = prefixed(PRODUCT_ACTIVITY, settings.topic_prefix)
    found = TopicCluster(settings.kafka_client_config()).partitions([topic])
    if topic not in found:
        raise PqlError(
            f"there is no topic {topic}", what_to_do="look at PQL_TOPIC_PREFIX, or `pql-stream topics apply`"
        )
    return found[topic]


def pack_id(settings: Settings, named: str) -> PackId:
    """
    The pack that is *named*: by its own name, as the settings have it, or as a shipped one or a file.

    Raises:
        InvalidPack: there is none.
        InvalidSettings: the settings have several versions of it.
    """
    versions = [at for at in load_roster(settings).ids if at.name == named]
    if len(versions) > 1:
        raise InvalidSettings(
            f"the settings have {len(versions)} versions of {named}",
            why=", ".join(map(str, versions)),
            what_to_do="name the file",
        )
    if versions:
        return versions[0]
    pack = load_pack(named)
    return PackId(pack.name, pack.version)


def is_needed(operator: Operator, pack: PackId) -> bool:
    """Is *pack* not live everywhere, or is another one asked for? Says so where there is nothing to do."""
    known = operator.control.read()
    asked = known.switch is None or known.switch.pack.id == pack
    if asked and all(known.live(partition) == pack for partition in range(operator.partitions)):
        click.echo(f"{pack} is live on all {operator.partitions} partitions already", err=True)
        return False
    return True


def check_complete(operator: Operator, pack: PackId, *, force: bool) -> None:
    """
    See that every worker has *pack*, and that it knows all events of the leads, unless that is to be *forced*.

    Raises:
        PqlError: it does not.
    """
    reports = operator.check(pack)
    fields = report_fields(reports)
    edited = sum(one.edited for one in reports)
    if edited and not force:
        raise PqlError(
            f"{pack} was edited under its version: {edited:,} of {fields['leads']:,} leads have points of what it was",
            why="points are kept until an event moves them, and of a version that is scored already all is kept",
            what_to_do="raise `version` in its file, start the workers again, and run this again; --force does without",
        )
    if fields["incomplete"] and not force:
        raise PqlError(
            f"{pack} does not know all events of {fields['incomplete']:,} of {fields['leads']:,} leads",
            why="it has a feature that was not kept from their first event on: only leads first seen after "
            f"{fields['complete_after']} are complete; {fields['losing']:,} would lose points",
            what_to_do=f"`pql-stream shadow fill {pack.name}` reads the input topics again; --force does without",
        )


def show(known: ControlLog, partitions: int, *, as_json: bool) -> None:
    """Who is live where, and what is asked for."""
    wanted = known.switch.pack.id if known.switch is not None else None
    rows = [_row(known, partition) for partition in range(partitions)]
    done = wanted is None or all(known.live(partition) == wanted for partition in range(partitions))
    if as_json:
        asked = None if wanted is None else {"pack": wanted.name, "pack_version": wanted.version}
        click.echo(orjson.dumps({"wanted": asked, "done": done, "partitions": rows}))
        return
    for row in rows:
        live = f"{row['pack']} version {row['pack_version']}" if row["pack"] else "no worker was there yet"
        since = f" since {row['cast_at']}" if row["cast_at"] else ""
        before = f", before it {row['pack_before']} version {row['pack_version_before']}" if row["pack_before"] else ""
        click.echo(f"partition {row['partition']}: {live}{since}{before}")
    if not done:
        click.echo(
            f"asked for is {wanted}: the workers are at it, or `cutover` again says what is in the way", err=True
        )


def _row(known: ControlLog, partition: int) -> dict[str, Any]:
    casts = known.casts.get(partition)
    last = casts[-1] if casts else None
    live, before = known.live(partition), known.before(partition)
    return {
        "partition": partition,
        "number": None if last is None else last.number,
        "pack": None if live is None else live.name,
        "pack_version": None if live is None else live.version,
        "pack_before": None if before is None else before.name,
        "pack_version_before": None if before is None else before.version,
        "cast_at": None if last is None else last.cast_at,
        "offsets": {} if last is None else last.offsets,
    }


class Known(TypedDict):
    """What a pack knows of the leads of all partitions; *complete_after* is as `ReportAnswer` has it."""

    leads: int
    incomplete: int
    losing: int
    complete_after: str | None


def report_fields(reports: Sequence[ReportAnswer]) -> Known:
    """*reports* as one."""
    # All times have one form, so the latest is the greatest.
    incomplete_until = [one.complete_after for one in reports if one.complete_after is not None]
    return {
        "leads": sum(one.leads for one in reports),
        "incomplete": sum(one.incomplete for one in reports),
        "losing": sum(one.losing for one in reports),
        "complete_after": max(incomplete_until, default=None),
    }
