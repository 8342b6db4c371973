"""`pql-stream demo`: the whole pipeline on real input, on an embedded broker."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from pql_stream.ops.demo.invocation import own_command
from pql_stream.ops.demo.run import DemoResult, run_demo
from pql_stream.ops.settings import OTHERS_NAMES, Settings

EVENTS_FILE = Path("data") / "demo-events.jsonl"
_QUALIFIED_SHOWN = 6
_CHECK_EVERY_S = 0.2
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
    # SIGTERM ends it like Ctrl-C: through the `finally` of everything that is open.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def show(result: DemoResult) -> None:
        if as_json:
            click.echo(orjson.dumps(_fields(result)))
        else:
            _print(result)
            _print_next(result)
            if not keep:
                _advise("emit events of your own", f"{own_command()} demo --keep")

    def keep_running(result: DemoResult, bootstrap: str, check_worker: Callable[[], None]) -> None:
        show(result)
        _print_kept(bootstrap)
        _until_interrupted(check_worker)

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
        "events_file": str(EVENTS_FILE),
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


def _best(result: DemoResult) -> list[dict[str, Any]]:
    """The last qualification of each lead, which is of its highest tier; the best leads first."""
    last = {record["lead_id"]: record for record in result.qualifications}
    return sorted(last.values(), key=lambda record: (-record["score"], record["lead_id"]))


def _print_qualified(result: DemoResult) -> None:
    best = _best(result)
    ready = [record for record in best if record["sales_ready"]]
    click.secho(f"\n{len(best):,} leads qualified, {len(ready):,} of them ready for sales; the best:", bold=True)
    for record in ready[:_QUALIFIED_SHOWN]:
        chapter = result.chapters[record["lead_id"]]
        head = f"{record['lead_id']} ({chapter}): {record['tier']} at {record['score']:g} points"
        score = result.scores[record["lead_id"]]["score"]
        click.echo(f"  {head}, hand-off {record['handoff']}; {score:g} points in the end")
        click.echo(f"      {'; '.join(record['reasons'][:3])}")


def _print_next(result: DemoResult) -> None:
    program = own_command()
    lead = shlex.quote(_best(result)[0]["lead_id"])
    click.secho(f"\nTry next (the events are in {EVENTS_FILE}):", bold=True)
    _advise("why a lead has its score; any lead of the demo", f"{program} explain {lead} {EVENTS_FILE}")
    _advise("the same events under another model pack", f"{program} score {EVENTS_FILE} --pack pql-100-linear")


def _advise(why: str, command_line: str) -> None:
    # Two lines: zsh takes a comment behind a command for arguments.
    click.echo(f"  {why}:\n      {command_line}")


def _print_kept(bootstrap: str) -> None:
    """How to play on; on stderr, for stdout has the result."""
    program = own_command()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"event_id": "my-1", "user_id": "me", "event": "tutorial_completed", "occurred_at": now}
    lines = [
        f"export KAFKA_BOOTSTRAP_SERVERS={bootstrap}",
        f"echo '{orjson.dumps(event).decode()}' | {program} emit -",
        f"{program} explain me",
    ]
    if others := _settings_of_another_cluster():
        lines.insert(0, f"unset {' '.join(others)}")
    click.secho("\nBroker and worker keep running. In another terminal, in this directory:", bold=True, err=True)
    for line in lines:
        click.echo(f"      {line}", err=True)
    click.echo("Ctrl-C ends both.", err=True)


def _settings_of_another_cluster() -> list[str]:
    """Variables of this shell that the demo ignores, and that `emit` and `explain` would not."""
    ours = {name for name in os.environ if name.startswith("PQL_")} - OTHERS_NAMES
    return sorted((ours | Settings.names().keys() & os.environ.keys()) - {"KAFKA_BOOTSTRAP_SERVERS"})


def _until_interrupted(check_worker: Callable[[], None]) -> None:
    """
    Return at Ctrl-C or SIGTERM.

    Raises:
        PqlError: the worker has ended by itself.
    """
    with suppress(KeyboardInterrupt):
        while True:
            check_worker()
            time.sleep(_CHECK_EVERY_S)
