"""`pql-stream demo`: the whole pipeline on real input, on an embedded broker."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from pql_stream.ops.demo.run import DemoResult, run_demo

EVENTS_FILE = Path("data") / "demo-events.jsonl"
_QUALIFIED_SHOWN = 6
_OWN_EVENT = (
    '{"event_id": "my-1", "user_id": "me", "event": "tutorial_completed", "occurred_at": "2026-01-05T10:00:00Z"}'
)
_TIERS = ("platinum", "gold", "silver", "bronze", "unqualified")


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the input, in a few seconds.")
@click.option("--keep", is_flag=True, help="Keep broker and worker running at the end, to play with.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object on stdout.")
def command(*, quick: bool, keep: bool, as_json: bool) -> None:
    """
    Two years of a software company's product events, scored before your eyes.

    Starts a Kafka broker inside this process and a real worker beside it, plays the events (with some
    dirt in them), and shows who qualified and why. Needs no server, no key and no Docker.
    """

    def show(result: DemoResult) -> None:
        if as_json:
            click.echo(orjson.dumps(_fields(result)))
        else:
            _print(result)

    def keep_running(result: DemoResult, bootstrap: str) -> None:
        show(result)
        _print_kept(bootstrap)
        _until_interrupted()

    with _progress() as progress:
        result = run_demo(quick=quick, progress=progress, events_file=EVENTS_FILE, keep=keep_running if keep else None)
    if not keep:
        show(result)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting the worker", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, description="events scored", completed=done, total=total)
            if done == total:
                bar.stop()

        yield progress


def _fields(result: DemoResult) -> dict[str, Any]:
    return {
        "sent": result.sent,
        "scored": result.scored,
        "refused": result.refused,
        "skipped": result.skipped,
        "rekeyed": result.rekeyed,
        "seconds": round(result.seconds, 3),
        "changes": result.changes,
        "tiers": {chapter: dict(result.tiers(chapter)) for chapter in ("companies", "trial users")},
        "qualifications": result.qualifications,
    }


def _print(result: DemoResult) -> None:
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
    lead = result.qualifications[-1]["lead_id"] if result.qualifications else "LEAD"
    click.echo("\nTry next:")
    click.echo(f"  pql-stream explain {lead} {EVENTS_FILE}")
    click.echo(f"  pql-stream score {EVENTS_FILE} --pack pql-100-linear")
    click.echo("  pql-stream demo --keep        # and emit events of your own")


def _print_qualified(result: DemoResult) -> None:
    best: dict[str, dict[str, Any]] = {}
    for record in result.qualifications:
        best[record["lead_id"]] = record  # a later one is of a higher tier
    ready = sorted((r for r in best.values() if r["sales_ready"]), key=lambda r: (-r["score"], r["lead_id"]))
    click.secho(f"\n{len(best):,} leads qualified, {len(ready):,} of them ready for sales; the best:", bold=True)
    for record in ready[:_QUALIFIED_SHOWN]:
        source = result.chapters[record["lead_id"]]
        click.echo(
            f"  {record['lead_id']} ({source}): {record['tier']}, {record['score']:g} points, hand-off {record['handoff']}"
        )
        click.echo(f"      {'; '.join(record['reasons'][:3])}")


def _print_kept(bootstrap: str) -> None:
    click.secho("\nThe broker and the worker keep running. In another terminal:", bold=True)
    click.echo(f"  export KAFKA_BOOTSTRAP_SERVERS={bootstrap}")
    click.echo(f"  echo '{_OWN_EVENT}' | pql-stream emit -")
    click.echo("  pql-stream explain me")
    click.echo("Ctrl-C ends both.")


def _until_interrupted() -> None:
    """Return at Ctrl-C or SIGTERM."""
    ended: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))
    try:
        while not ended:
            time.sleep(0.2)
    except KeyboardInterrupt:
        click.echo("", err=True)
    finally:
        signal.signal(signal.SIGTERM, before)
