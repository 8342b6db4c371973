"""`pql-stream worker`: score a cluster's product events."""

from __future__ import annotations

import click

from pql_stream.ops.settings import load_settings
from pql_stream.ops.worker import run_worker


@click.command()
@click.option("--only", type=click.Choice(["score"]), help="Run this app only; scoring is the one there is so far.")
def command(only: str | None) -> None:  # noqa: ARG001 - there is nothing to leave out yet
    """
    Score the product events of the cluster that KAFKA_BOOTSTRAP_SERVERS names, until SIGTERM.

    `pql-stream config show` lists the settings; /metrics, /healthz and /readyz are on PQL_HTTP_PORT.
    """
    run_worker(load_settings())
