"""`pql-stream emit`: events from files to the cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import click
import orjson

from pql_stream.errors import InvalidEvent
from pql_stream.ops.cli import EXIT_FAILED
from pql_stream.ops.cli.score import report_rejected
from pql_stream.ops.emitter import Emitter
from pql_stream.ops.progress import lines_with_progress
from pql_stream.ops.settings import load_settings
from pql_stream.replay.files import EventFile, Line
from pql_stream.replay.replayer import FILE_PARTITION, Rejected
from pql_stream.stream.names import PRODUCT_ACTIVITY, prefixed
from pql_stream.wire.events import decode_event


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--raw", is_flag=True, help="Send the lines as they are, without a key and unchecked.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object on stdout.")
def command(files: tuple[str, ...], *, raw: bool, as_json: bool) -> None:
    """
    Produce the events in FILES (JSON lines, plain or gzip; - is stdin) to product-activity.

    Each is keyed by its lead id, so that it lands on its lead's partition. A line that is no event is
    refused with its reason, and the rest goes on.
    """
    settings = load_settings()
    rejected: list[Rejected] = []
    topic = prefixed(PRODUCT_ACTIVITY, settings.topic_prefix)
    with Emitter(settings.kafka_client_config(), topic) as emitter:
        _emit(lines_with_progress([EventFile(path) for path in files]), emitter, rejected, raw=raw)
    report_rejected(rejected)
    if as_json:
        counts = {"acknowledged": emitter.acknowledged, "refused": len(rejected), "failed": emitter.failed}
        click.echo(orjson.dumps(counts))
    else:
        click.echo(f"{emitter.acknowledged:,} events acknowledged by {topic}", err=True)
    if emitter.failed:
        click.echo(f"Error: {emitter.failed:,} events were not acknowledged: {emitter.failure}", err=True)
        sys.exit(EXIT_FAILED)


def _emit(lines: Iterable[Line], emitter: Emitter, rejected: list[Rejected], *, raw: bool) -> None:
    for line in lines:
        if raw:
            emitter.send(None, line.content)
            continue
        try:
            # Kafka will stamp the record with the time of now, and an event is judged by that.
            now_ms = int(time.time() * 1000)
            event = decode_event(
                line.content,
                topic=line.file,
                partition=FILE_PARTITION,
                offset=line.number,
                timestamp_ms=now_ms,
            )
        except InvalidEvent as exc:
            rejected.append(Rejected.of(line, exc))
        else:
            emitter.send(event.lead_id.encode(), line.content)
