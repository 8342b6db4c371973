"""`pql-stream simulate`: seeded trial users as events on stdout."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import click

from pql_stream.testing.simulation import DAYS_MAX, DEFAULT_START_MS, FORMS, Form, simulate

_EARLIEST_YEAR, _LATEST_YEAR = 2000, 9990
"""Events before 2000 are refused as `bad_time`; RFC 3339 ends with the year 9999."""


def _start_ms(_ctx: click.Context, _param: click.Parameter, start: datetime) -> int:
    if not _EARLIEST_YEAR <= start.year <= _LATEST_YEAR:
        raise click.BadParameter(f"the year must lie within {_EARLIEST_YEAR} and {_LATEST_YEAR}")
    return int(start.replace(tzinfo=UTC).timestamp()) * 1000


@click.command("simulate")
@click.option("--leads", type=click.IntRange(min=1), default=100, show_default=True, help="Trial users.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MAX),
    default=14,
    show_default=True,
    help="Length of the simulated time.",
)
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="native",
    show_default=True,
    help="The input form; `mixed` is all of them.",
)
@click.option(
    "--start",
    "start_ms",
    type=click.DateTime(["%Y-%m-%d"]),
    default=f"{datetime.fromtimestamp(DEFAULT_START_MS // 1000, UTC):%Y-%m-%d}",
    show_default=True,
    callback=_start_ms,
    help="First day, UTC.",
)
def command(leads: int, seed: int, days: int, form: Form, start_ms: int) -> None:
    """
    Write the events of simulated trial users as JSON lines, in the order of time.

    The users range from tourists who look around once to champions of an enterprise, so 40 of them
    reach every tier of the default pack. No clock is read: the same options give the same bytes.
    """
    stdout = click.get_binary_stream("stdout")
    try:
        for event in simulate(leads=leads, seed=seed, days=days, start_ms=start_ms, form=form):
            stdout.write(event.value + b"\n")
        stdout.flush()
    except BrokenPipeError:
        # The reader (`head`) has had enough, which is no failure. What is still buffered must go
        # somewhere, or the interpreter complains about the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
