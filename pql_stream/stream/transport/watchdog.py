"""A worker in which nothing moves, although there is something to do, is ended: a stall becomes a restart."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pql_stream.errors import StreamLost
from pql_stream.stream.transport import internals
from pql_stream.stream.transport.ending import end_process

if TYPE_CHECKING:
    from pql_stream.stream.transport.driver import Consumer


async def watch_progress(consumer: Consumer) -> None:
    """
    End the process when nothing has moved for `stall_timeout_s`; return when the consumer stops.

    It sees what a metric of the lag does not: a group that never joins, a recovery that waits for a record that
    does not come, a batch that is never done.
    """
    stall_s = consumer.app.settings.stall_timeout_s
    seen: object = None
    since_s = monotonic()
    while not consumer.should_stop:
        await consumer.sleep(stall_s / 20)
        now = _progress(consumer)
        if now != seen or await _is_idle(consumer):
            seen, since_s = now, monotonic()
        elif monotonic() - since_s > stall_s:
            consumer.log.error("nothing moved for %.0f s: %r", stall_s, now)
            why = f"nothing moved for {stall_s:.0f} s although there was something to do"
            await end_process(consumer.app, StreamLost("the stream stands still", why=why))
            return


def _progress(consumer: Consumer) -> object:
    """A value that changes when something moves."""
    recovery = internals.recovery_of(consumer.app)
    tracks = {
        tp: (track.committed, track.finished, len(track.hold), consumer.app.activity(tp))
        for tp, track in consumer.tracks().items()
    }
    offsets = dict(recovery.active_offsets)
    return consumer.is_ready, consumer.app.consumer_generation_id, offsets, tracks


async def _is_idle(consumer: Consumer) -> bool:
    """Everything that is there was read and is done, or waits for somebody else on purpose."""
    if not consumer.is_ready:
        return not consumer.app.rebalancing and not consumer.assignment()
    tracks = {tp: track for tp, track in consumer.tracks().items() if not consumer.app.is_waiting(tp)}
    if any(track.hold or track.taken for track in tracks.values()):
        return False
    try:
        positions = await consumer.positions(tracks)
    except TimeoutError:
        return False
    return all(position >= (consumer.highwater(tp) or 0) for tp, position in positions.items())
