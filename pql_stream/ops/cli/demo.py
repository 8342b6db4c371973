"""`pql-stream demo`: the whole pipeline on real input, on embedded servers and to fakes of the destinations."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from pql_stream.ops.demo.invocation import own_command
from pql_stream.ops.demo.run import DemoResult, Kept, run_demo
from pql_stream.ops.demo.settings_file import OWN_LEAD
from pql_stream.ops.demo.shown import headline
from pql_stream.ops.demo.telling import best_leads, fields_of_result, print_result
from pql_stream.ops.settings import OTHERS_NAMES, Settings

EVENTS_FILE = Path("data") / "demo-events.jsonl"
_CHECK_EVERY_S = 0.2


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the input, in a few seconds.")
@click.option("--keep", is_flag=True, help="Keep all of it running at the end, to play with.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object on stdout.")
def command(*, quick: bool, keep: bool, as_json: bool) -> None:
    """
    Two years of a software company's product events, scored and delivered before your eyes.

    Starts a Kafka broker and fakes of HubSpot, Slack, a mail relay and a webhook inside this process, a Redis and a
    real worker beside it, plays the events (with some dirt in them), and shows who qualified and why, and what
    arrived where. Nothing leaves this machine. Needs no server, no key and no Docker.
    """
    # SIGTERM ends it like Ctrl-C: through the `finally` of everything that is open.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def show(result: DemoResult) -> None:
        if as_json:
            click.echo(orjson.dumps(fields_of_result(result, EVENTS_FILE)))
        else:
            print_result(result)
            _print_next(result)
            if not keep:
                _advise("emit events of your own", f"{own_command()} demo --keep")

    def keep_running(result: DemoResult, kept: Kept) -> None:
        show(result)
        _print_kept(kept.bootstrap)
        _until_interrupted(kept)

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


def _print_next(result: DemoResult) -> None:
    program = own_command()
    lead = shlex.quote(best_leads(result)[0]["lead_id"])
    click.secho(f"\nTry next (the events are in {EVENTS_FILE}):", bold=True)
    _advise("why a lead has its score; any lead of the demo", f"{program} explain {lead} {EVENTS_FILE}")
    _advise("what another model pack would change", f"{program} whatif {EVENTS_FILE} --against pql-100-linear")


def _advise(why: str, command_line: str) -> None:
    # Two lines: zsh takes a comment behind a command for arguments.
    click.echo(f"  {why}:\n      {command_line}")


def _print_kept(bootstrap: str) -> None:
    """How to play on; on stderr, for stdout has the result."""
    program = own_command()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"event_id": "my-1", "user_id": OWN_LEAD, "event": "tutorial_completed", "occurred_at": now}
    lines = [
        f"export KAFKA_BOOTSTRAP_SERVERS={bootstrap}",
        f"echo '{orjson.dumps(event).decode()}' | {program} emit -",
        f"{program} explain {OWN_LEAD}",
        f"{program} simulate --leads 100 --seed 8 | {program} emit -",
    ]
    if others := _settings_of_another_cluster():
        lines.insert(0, f"unset {' '.join(others)}")
    click.secho("\nEverything keeps running. In another terminal, in this directory:", bold=True, err=True)
    for line in lines:
        click.echo(f"      {line}", err=True)
    click.echo(
        f"The first event is your own: the webhook hears of each change of the score of {OWN_LEAD}. The last line has "
        "more trial users.\nWhat arrives is told here. Ctrl-C ends everything.",
        err=True,
    )


def _settings_of_another_cluster() -> list[str]:
    """Variables of this shell that the demo ignores, and that `emit` and `explain` would not."""
    ours = {name for name in os.environ if name.startswith("PQL_")} - OTHERS_NAMES
    return sorted((ours | Settings.names().keys() & os.environ.keys()) - {"KAFKA_BOOTSTRAP_SERVERS"})


def _until_interrupted(kept: Kept) -> None:
    """
    Tell of what arrives; return at Ctrl-C or SIGTERM.

    Raises:
        PqlError: the worker has ended by itself.
    """
    with suppress(KeyboardInterrupt):
        while True:
            kept.check_worker()
            for sink, effect in kept.arrived():
                click.echo(f"arrived at {sink}: {headline(effect)}", err=True)
            time.sleep(_CHECK_EVERY_S)
