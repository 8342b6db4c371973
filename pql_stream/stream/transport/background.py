"""
Topics that are read in the background: when the others leave room. Pure bookkeeping: nothing here waits.

What makes a live record wait is whatever is at work when it comes: on its partition, or on the worker's one core. So
batches of the background are small, one is out at a time, and none goes while anything live is held or at work. But
where live records come all the time that moment would never come: so after a rest the next one goes all the same,
unless live records pile up, and costs those behind it a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from faust.types import TP

from pql_stream.stream.transport.batch import Track

RECORDS_MAX = 50
"""Of a batch. Its events are scored in a millisecond or two, and nothing else happens meanwhile."""
BYTES_MAX = 256 * 1024
"""Of a batch, and of a poll: live records that arrive meanwhile come with the next one."""
RESTS = 3
"""
How many times as long as a batch took a worker that never falls idle is left to the others before the next: they have
three quarters of its time, however fast or slow it is.
"""


class Background:
    """*topics* are read in the background; *clock* is seconds that never go back."""

    def __init__(self, topics: Collection[str], clock: Callable[[], float]) -> None:
        self.topics = frozenset(topics)
        self._clock = clock
        self._waiting_since_s: dict[TP, float] = {}
        self._out_since_s: float | None = None
        self._rests_until_s = 0.0

    def may_fetch(self, tracks: Mapping[TP, Track]) -> bool:
        """The others are not behind: they have less than a batch of the background waiting."""
        return not any(len(track.hold) >= RECORDS_MAX for tp, track in tracks.items() if tp.topic not in self.topics)

    def to_fetch(self, wanted: list[TP], bytes_max: int, tracks: Mapping[TP, Track]) -> tuple[list[TP], int]:
        """Which partitions of *wanted* may be fetched from now, and how many bytes, *bytes_max* or less."""
        live = [tp for tp in wanted if tp.topic not in self.topics]
        if len(live) == len(wanted) or not self.may_fetch(tracks):
            return live, bytes_max
        return wanted, BYTES_MAX

    def ready(self, tracks: Mapping[TP, Track]) -> TP | None:
        """The partition that may hand out a batch now: which has waited longest; *tracks* has all sources."""
        ours = {tp: track for tp, track in tracks.items() if tp.topic in self.topics}
        now_s = self._clock()
        waiting = [tp for tp, track in ours.items() if track.hold and track.batch is None]
        since_s = self._waiting_since_s = {tp: self._waiting_since_s.get(tp, now_s) for tp in waiting}
        # With two, one could be scored while the other is acknowledged; but then one is always being scored, and each
        # step of a live batch stands in line behind it.
        if any(track.batch is not None for track in ours.values()):
            return None
        if self._out_since_s is not None:
            self._rests_until_s = now_s + RESTS * (now_s - self._out_since_s)
            self._out_since_s = None
        if not waiting or not self.may_fetch(tracks):
            return None
        busy = any(track.hold or track.batch is not None for tp, track in tracks.items() if tp.topic not in self.topics)
        if busy and now_s < self._rests_until_s:
            return None
        self._out_since_s = now_s
        return min(waiting, key=lambda tp: since_s[tp])
