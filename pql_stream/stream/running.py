"""What every app of ours does while it runs, whatever it reads."""

from __future__ import annotations

import asyncio

from faust.types import TP

from pql_stream.stream.metrics import PartitionId
from pql_stream.stream.progress import REPORT_EVERY_S, Position, ProgressReporter
from pql_stream.stream.transport import BatchApp


async def run_app(app: BatchApp, stop: asyncio.Event) -> None:
    """
    Run *app* until *stop* is set: then finish the batches in work, commit, leave the group.

    Raises:
        BaseException: what the app crashed of.
    """
    await app.start()
    try:
        await app.wait_for_stopped(stop.wait())
    finally:
        await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


async def report_progress(app: BatchApp, reporter: ProgressReporter) -> None:
    """Tell *reporter* once in a while where the partitions of *app* are, until it stops."""
    while not app.should_stop:
        await app.sleep(REPORT_EVERY_S)
        consumer = app.batch_consumer
        reporter.report(
            {
                PartitionId(tp.topic, tp.partition): Position(track.reached, _end(app, tp), app.is_waiting(tp))
                for tp, track in consumer.tracks().items()
            }
        )
        if app.membership.phase == "recovering":
            app.recovery()


def _end(app: BatchApp, tp: TP) -> int:
    """The end of *tp*: as the last fetch told, or, should there be no fetch any more, as somebody else has heard."""
    return max(app.batch_consumer.highwater(tp) or 0, app.ends_heard.get(tp, 0))
