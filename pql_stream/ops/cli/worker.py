"""`pql-stream worker`: score a cluster's product events."""

from __future__ import annotations

from typing import cast, get_args

import click

from pql_stream.ops.settings import load_settings
from pql_stream.ops.worker import AppName, run_worker


@click.command()
@click.option("--only", metavar="score,deliver", help="Run these apps; without, all that the settings ask for.")
def command(only: str | None) -> None:
    """
    Score the product events of the cluster that KAFKA_BOOTSTRAP_SERVERS names, until SIGTERM, and deliver what
    comes of it to the sinks of pql.toml.

    `pql-stream config show` lists the settings; /metrics, /healthz and /readyz are on PQL_HTTP_PORT.
    """
    run_worker(load_settings(), _apps(only))


def _apps(only: str | None) -> tuple[AppName, ...]:
    names = tuple(name.strip() for name in (only or "").split(",") if name.strip())
    for name in names:
        if name not in get_args(AppName):
            raise click.BadParameter(f"{name} is no app; there are {', '.join(get_args(AppName))}", param_hint="--only")
    return cast("tuple[AppName, ...]", names)
