"""`pql-stream shadow`: how much a shadow pack knows, and how it comes to know the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
import orjson

from pql_stream.core.packs import PackId
from pql_stream.ops.cli.cutover import Known, operator_of, pack_id, report_fields, waiting_options
from pql_stream.ops.cutover import Operator, open_control
from pql_stream.ops.settings import load_settings
from pql_stream.wire.control import ReportAnswer

FILL_PATIENCE_S = 3600.0
"""A partition may have millions of events."""


@click.group()
def command() -> None:
    """Packs that score beside the live one (PQL_SHADOW_PACKS)."""


@command.command()
@click.argument("pack", metavar="PACK")
@waiting_options()
def check(pack: str, patience_s: float, *, as_json: bool) -> None:
    """Of how many leads PACK knows only a part of the events."""
    _ask(pack, patience_s, Operator.check, as_json=as_json)


@command.command()
@click.argument("pack", metavar="PACK")
@waiting_options(FILL_PATIENCE_S)
def fill(pack: str, patience_s: float, *, as_json: bool) -> None:
    """
    Let the workers read the input topics again, from the beginning, for the features that PACK has and the rows lack.

    Live events go on being scored. Nothing is written to score-changed or pql-qualified. Run again after anything.
    """
    _ask(pack, patience_s, Operator.fill, as_json=as_json)


def _ask(
    named: str, patience_s: float, what: Callable[[Operator, PackId], Sequence[ReportAnswer]], *, as_json: bool
) -> None:
    settings = load_settings()
    with open_control(settings.kafka_client_config(), settings.topic_prefix) as control:
        pack = pack_id(settings, named)
        fields = report_fields(what(operator_of(settings, control, patience_s), pack))
    if as_json:
        shown: dict[str, Any] = {"pack": pack.name, "pack_version": pack.version, **fields}
        click.echo(orjson.dumps(shown))
    else:
        click.echo(f"{pack}: {fields['leads']:,} leads, {_known(fields)}")


def _known(fields: Known) -> str:
    if not fields["incomplete"]:
        return "and it knows all of their events"
    return (
        f"and of {fields['incomplete']:,} it knows only a part of the events: those first seen up to "
        f"{fields['complete_after']}; {fields['losing']:,} would lose points if it went live"
    )
