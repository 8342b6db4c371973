"""
Which events are history that is filled in, and whether anybody is told of what they change.

It depends on the record alone, so a repeat after a crash tells the same.
"""

from __future__ import annotations

from pql_stream.core.changes import ANNOUNCED_BACKFILL, BACKFILL, LIVE, Mode, ModeName
from pql_stream.core.events import ProductEvent
from pql_stream.stream.names import Topics
from pql_stream.wire.headers import ANNOUNCE, Headers


class Modes:
    """
    Tells what is backfill: what lies on its topic; and what happened over *older_than_ms* before it was written,
    on whatever topic. None: time does not matter.
    """

    def __init__(self, topics: Topics, older_than_ms: int | None = None) -> None:
        self._backfill_topic = topics.activity_backfill
        self._rekeyed_topic = topics.activity_rekeyed
        self._older_than_ms = older_than_ms

    def of_batch(self, topic: str) -> ModeName | None:
        """The mode of every event of a batch of *topic*; None where each has its own."""
        if topic == self._backfill_topic:
            return "backfill"
        return None if topic == self._rekeyed_topic or self._older_than_ms is not None else "live"

    def of_topic(self, topic: str) -> ModeName:
        """The mode of a record that is no event; *topic* is where the producer's record lies."""
        return "backfill" if topic == self._backfill_topic else "live"

    def of_event(self, event: ProductEvent, timestamp_ms: int) -> ModeName:
        """The mode of *event*, whose record was written at *timestamp_ms* (negative: not known)."""
        if event.topic == self._backfill_topic:
            return "backfill"
        older_than_ms = self._older_than_ms
        if older_than_ms is not None and timestamp_ms >= 0 and timestamp_ms - event.occurred_at_ms > older_than_ms:
            return "backfill"
        return "live"

    def telling(self, of_batch: ModeName | None, event: ProductEvent, timestamp_ms: int, headers: Headers) -> Mode:
        """How to tell of what *event* changes; *headers* are its record's, *of_batch* the mode of its batch."""
        if (of_batch or self.of_event(event, timestamp_ms)) == "live":
            return LIVE
        return ANNOUNCED_BACKFILL if ANNOUNCE in headers else BACKFILL
