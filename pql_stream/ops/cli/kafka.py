"""`pql-stream kafka`: a real Apache Kafka on this machine, in the foreground."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from pql_stream.ops.brokers.jars import KAFKA_VERSION, jars_dir
from pql_stream.ops.brokers.local import LocalKafka
from pql_stream.ops.cli.path_option import NewPath


@click.command
@click.option(
    "--data",
    "data_dir",
    type=NewPath(directory=True),
    help="Keep the records here, for the next start too; without it they go at the end.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port on 127.0.0.1; by default the last one, or any free one.",
)
def command(data_dir: Path | None, port: int | None) -> None:
    """
    Run a real Apache Kafka (one node, for trying things out) until Ctrl-C.

    Needs Java 17 or newer and, the first time, Maven. Prints KAFKA_BOOTSTRAP_SERVERS=... when it answers.
    """
    # SIGTERM ends it like Ctrl-C: through the `finally` of everything that is open.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), _directory(data_dir) as directory:
        if not jars_dir().is_dir():
            click.echo(f"fetching Apache Kafka {KAFKA_VERSION} into {jars_dir()} (44 MB, once)", err=True)
        with LocalKafka(directory, port=port) as kafka:
            click.echo(f"KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}")
            click.echo(
                f"Apache Kafka {KAFKA_VERSION} is running, its log is {kafka.log_path}; Ctrl-C ends it.\n"
                f"In another terminal: export KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}\n"
                "then: pql-stream topics apply && pql-stream worker",
                err=True,
            )
            kafka.wait()


@contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="pql-kafka-") as temporary:
        yield Path(temporary)
