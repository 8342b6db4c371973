"""`pql-stream emit`: events from files to the cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable

import click
import orjson

from pql_stream.errors import BrokerError, InvalidEvent
from pql_stream.ops.cli.score import report_rejected
from pql_stream.ops.emitter import VALUE_BYTES_MAX, Emitter
from pql_stream.ops.progress import records_with_progress
from pql_stream.ops.settings import load_settings
from pql_stream.replay.replayer import Rejected
from pql_stream.replay.source import Recorded
from pql_stream.replay.sources.files import Files
from pql_stream.stream.names import PRODUCT_ACTIVITY, prefixed
from pql_stream.wire.events import RECORD_BYTES_MAX, decode_event


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--raw", is_flag=True, help="Send the lines as they are, without a key and unchecked.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object on stdout.")
def command(files: tuple[str, ...], *, raw: bool, as_json: bool) -> None:
    """
    Produce the events in FILES (JSON lines, plain, gzip or zstd; - is stdin) to product-activity.

    Each is keyed by its lead id, so that it lands on its lead's partition. A line that is no event is
    refused with its reason, and the rest goes on.
    """
    settings = load_settings()
    rejected: list[Rejected] = []
    topic = prefixed(PRODUCT_ACTIVITY, settings.topic_prefix)
    emit = _emit_raw if raw else _emit
    with Emitter(settings.kafka_client_config(), topic) as emitter:
        try:
            # A worker refuses what is over its own limit; --raw is there to send it what it refuses.
            line_bytes_max = VALUE_BYTES_MAX if raw else RECORD_BYTES_MAX
            emit(records_with_progress(Files(files, line_bytes_max)), emitter, rejected)
        finally:
            # Also when a later file cannot be read: so much is done.
            emitter.flush()
            _report(emitter, rejected, topic, as_json=as_json)
    if emitter.failed:
        raise BrokerError(
            f"{emitter.failed:,} events were not acknowledged",
            why=emitter.failure,
            what_to_do="see to the cluster, and emit again: an event that is repeated counts once",
        )


def _report(emitter: Emitter, rejected: list[Rejected], topic: str, *, as_json: bool) -> None:
    report_rejected(rejected)
    if as_json:
        counts = {"acknowledged": emitter.acknowledged, "refused": len(rejected), "failed": emitter.failed}
        click.echo(orjson.dumps(counts))
    else:
        noun = "event" if emitter.acknowledged == 1 else "events"
        click.echo(f"{emitter.acknowledged:,} {noun} acknowledged by {topic}", err=True)


def _emit_raw(records: Iterable[Recorded], emitter: Emitter, rejected: list[Rejected]) -> None:
    for record in records:
        if len(record.value) > VALUE_BYTES_MAX:
            # It may be cut (see `Files`), and half a line is not the line as it is.
            detail = f"over {VALUE_BYTES_MAX} bytes, the topic takes no more: not sent"
            rejected.append(Rejected.of(record, InvalidEvent("too_large", detail=detail)))
        else:
            emitter.send(None, record.value)


def _emit(records: Iterable[Recorded], emitter: Emitter, rejected: list[Rejected]) -> None:
    for record in records:
        try:
            # Kafka will stamp the record with the time of now, and an event is judged by that.
            now_ms = int(time.time() * 1000)
            event = decode_event(record.value, record.topic, record.partition, record.offset, timestamp_ms=now_ms)
        except InvalidEvent as exc:
            rejected.append(Rejected.of(record, exc))
        else:
            emitter.send(event.lead_id.encode(), record.value)
