"""`pql-stream routes`: what the routes of the settings file would make of records."""

from __future__ import annotations

import json

import click

from pql_stream.core.routes import Route
from pql_stream.ops.delivery.config import load_live_config
from pql_stream.ops.delivery.dry_run import DryRun, dry_run
from pql_stream.ops.delivery.shown import sentence
from pql_stream.ops.progress import records_with_progress
from pql_stream.ops.settings import load_settings
from pql_stream.replay.sources.files import Files


@click.group
def command() -> None:
    """The routes of the settings file (PQL_CONFIG, or ./pql.toml)."""


@command.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def test(files: tuple[str, ...], *, as_json: bool) -> None:
    """
    The deliveries that the records in FILES would make, counted by route and sink.

    FILES are score-changed.jsonl and pql-qualified.jsonl as `pql-stream replay` writes them. Calls no destination
    and no broker.
    """
    routes = load_live_config(load_settings()).routes
    run = dry_run((record.value for record in records_with_progress(Files(files))), routes)
    if as_json:
        click.echo(json.dumps(_as_json(run, routes), indent=2))
        return
    for route in routes:
        count = run.routes[route.name]
        click.echo(
            f"{route.name:<24} {count.deliveries:>9,} deliveries of {len(count.leads):>7,} leads  {sentence(route)}"
        )
    for sink in dict.fromkeys(route.sink for route in routes):
        total = sum(run.routes[route.name].deliveries for route in routes if route.sink == sink)
        click.echo(f"{'to ' + sink:<24} {total:>9,} deliveries")
    told = [f"{count:,} {kind}" for kind, count in run.records.items()]
    click.echo(
        f"{', '.join(told) or 'no records'}; {run.unrouted:,} go nowhere, {run.skipped:,} lines are no such record",
        err=True,
    )
    if run.failed:
        click.echo(f"{run.failed:,} records made our own code fail; please report it", err=True)


def _as_json(run: DryRun, routes: tuple[Route, ...]) -> dict[str, object]:
    return {
        "routes": [
            {
                "route": route.name,
                "sink": route.sink,
                "action": route.action,
                "deliveries": run.routes[route.name].deliveries,
                "leads": len(run.routes[route.name].leads),
            }
            for route in routes
        ],
        "records": dict(run.records),
        "unrouted": run.unrouted,
        "skipped": run.skipped,
        "failed": run.failed,
    }
