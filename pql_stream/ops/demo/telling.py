"""What the demo says at its end: as text for people, and as fields for machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pql_stream.ops.demo.deliveries import SinkAccount
from pql_stream.ops.demo.run import DemoResult
from pql_stream.ops.demo.settings_file import CHAT, CRM, HOOK, MAIL
from pql_stream.ops.demo.shown import examples, lines_of

_QUALIFIED_SHOWN = 6
_LINES_SHOWN = 9
_TIERS = ("platinum", "gold", "silver", "bronze", "unqualified")
_DESTINATIONS = {CRM: "HubSpot", CHAT: "Slack", MAIL: "E-mail", HOOK: "Webhook"}
_TITLES = {
    "contact": "A contact in HubSpot",
    "task": "A task in HubSpot",
    "message": "A message in Slack",
    "mail": "A mail to sales",
    "post": "A post to the webhook",
}


def fields_of_result(result: DemoResult, events_file: Path) -> dict[str, Any]:
    """All of it, as JSON can have it."""
    return {
        "events_file": str(events_file),
        "sent": result.sent,
        "scored": result.scored,
        "refused": result.refused,
        "skipped": result.skipped,
        "rekeyed": result.rekeyed,
        "seconds": round(result.seconds, 3),
        "records_per_s": round(result.sent / result.seconds),
        "changes": result.changes,
        "tiers": {chapter: dict(result.tiers(chapter)) for chapter in ("companies", "trial users")},
        "qualifications": [
            {"chapter": result.chapters[record["lead_id"]], **record} for record in result.qualifications
        ],
        "deliveries": {
            one.sink: {"wanted": one.wanted, "arrived": dict(one.arrived), "superseded": one.superseded}
            for one in result.deliveries.sinks
        },
        "examples": dict(_examples(result)),
    }


def print_result(result: DemoResult) -> None:
    """The account, who qualified, and what arrived where."""
    rate = result.sent / result.seconds
    refused = sum(result.refused.values())
    click.secho(f"{result.sent:,} records in {result.seconds:.1f} s ({rate:,.0f} a second)", bold=True)
    click.echo(
        f"{result.scored:,} scored + {refused:,} refused + {result.skipped:,} skipped = {result.sent:,} sent; "
        f"{result.rekeyed:,} came on a wrong partition and were re-keyed"
    )
    by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(result.refused.items()))
    click.echo(f"refused, untouched on product-activity-dlq: {by_reason}")
    click.echo(f"{result.changes:,} score changes; every score equals a replay of the same events\n")
    click.secho(f"{'leads by tier':<24}" + "".join(f"{tier:>13}" for tier in _TIERS), bold=True)
    for chapter, label in (("companies", "RavenStack companies"), ("trial users", "simulated trial users")):
        tiers = result.tiers(chapter)  # type: ignore[arg-type]  # a Literal, lost in the tuple
        click.echo(f"{label:<24}" + "".join(f"{tiers[tier]:>13,}" for tier in _TIERS))
    _print_qualified(result)
    _print_deliveries(result)


def best_leads(result: DemoResult) -> list[dict[str, Any]]:
    """The last qualification of each lead, which is of its highest tier; the best leads first."""
    last = {record["lead_id"]: record for record in result.qualifications}
    return sorted(last.values(), key=lambda record: (-record["score"], record["lead_id"]))


def _print_qualified(result: DemoResult) -> None:
    best = best_leads(result)
    ready = [record for record in best if record["sales_ready"]]
    click.secho(f"\n{len(best):,} leads qualified, {len(ready):,} of them ready for sales; the best:", bold=True)
    for record in ready[:_QUALIFIED_SHOWN]:
        chapter = result.chapters[record["lead_id"]]
        head = f"{record['lead_id']} ({chapter}): {record['tier']} at {record['score']:g} points"
        score = result.scores[record["lead_id"]]["score"]
        click.echo(f"  {head}, hand-off {record['handoff']}; {score:g} points in the end")
        click.echo(f"      {'; '.join(record['reasons'][:3])}")


def _print_deliveries(result: DemoResult) -> None:
    count = result.deliveries.wanted
    click.secho(f"\n{count:,} deliveries by the routes, each there once (at fakes on this machine):", bold=True)
    for one in result.deliveries.sinks:
        click.echo(f"  {_DESTINATIONS[one.sink]:<9}{_arrived(one)}")
    for kind, lines in _examples(result):
        click.secho(f"\n{_TITLES[kind]}", bold=True)
        filled = [line for line in lines if line.strip()]
        for line in filled[:_LINES_SHOWN]:
            click.echo(f"  {line}")
        if len(filled) > _LINES_SHOWN:
            click.echo("  …")


def _arrived(one: SinkAccount) -> str:
    kinds = ", ".join(f"{count:,} {kind}s" if count != 1 else f"1 {kind}" for kind, count in one.arrived.items())
    replaced = f"; {one.superseded:,} earlier contact updates are in a later one"
    return kinds + (replaced if one.superseded else "")


def _examples(result: DemoResult) -> Iterator[tuple[str, list[str]]]:
    """One delivery of each kind, of the best lead where it has one."""
    for kind, effect in examples(result.deliveries.arrivals, best_leads(result)[0]["lead_id"]).items():
        yield kind, lines_of(effect)
