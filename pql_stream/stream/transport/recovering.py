"""
The changelogs on their way to Faust's Recovery: which may go, and where one ends.

Recovery counts offsets, and takes one batch of a changelog after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.types import TP

from pql_stream.stream.transport import internals
from pql_stream.stream.transport.batch import RecordBatch, Track

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp


def is_recovering(app: BatchApp, tp: TP) -> bool:
    """The rows of the changelog *tp* are being recovered."""
    return app.in_recovery and tp in internals.recovery_of(app).active_tps


def taken_over(app: BatchApp, track: Track) -> bool:
    """Recovery has taken the batch of this changelog that went out before, if one did."""
    batch = track.batch
    if batch is not None and internals.recovered_offset(app, track.tp) >= batch.offset:
        track.release()
    return track.batch is None


def end_of(app: BatchApp, track: Track) -> RecordBatch | None:
    """
    A batch that tells Recovery where a changelog ends when its last offsets carry no record (compacted, or a
    transaction's marker); None when there is nothing to tell.

    It waits for a record at the last offset, and none would come.
    """
    if track.position is None or track.hold or not taken_over(app, track):
        return None
    end = track.position - 1
    if end <= internals.recovered_offset(app, track.tp):
        return None
    track.batch = RecordBatch(track.tp, [], end, app.consumer_generation_id, track)
    return track.batch
