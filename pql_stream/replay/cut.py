"""
Which events count for a score as of a past time. Two questions, two answers.

What *was* the score at T: everything that had arrived by T (`as_of_ms`). What is *now known* of T: everything
that happened by T, whenever it arrived (`at_ms`). Together: what had happened and was known.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import is_absent
from pql_stream.errors import InvalidEvent, InvalidInput
from pql_stream.replay.replayer import Rejected
from pql_stream.replay.source import Recorded
from pql_stream.wire.times import parse_time_ms

ARRIVAL_FIELDS = ("receivedAt", "received_at")
"""Where a record from a file says when it arrived: Segment's name for it, and everybody else's."""


class Cut(NamedTuple):
    """The bounds, both inclusive, in milliseconds; None does not cut."""

    as_of_ms: int | None = None
    at_ms: int | None = None

    def leaves_out(self, record: Recorded, decoded: ProductEvent | Rejected) -> bool:
        """
        Whether *record*, which was read as *decoded*, does not count.

        What is no event is listed as refused, unless it says that it arrived too late for that.

        Raises:
            InvalidInput: *record* is an event, and does not say when it arrived.
        """
        if isinstance(decoded, Rejected):
            return self.as_of_ms is not None and _arrived_after(record, self.as_of_ms)
        if self.at_ms is not None and decoded.occurred_at_ms > self.at_ms:
            return True
        return self.as_of_ms is not None and arrived_at_ms(record) > self.as_of_ms


ALL = Cut()
"""Everything counts."""


def arrived_at_ms(record: Recorded) -> int:
    """
    When *record* arrived: its Kafka timestamp, or of a file what the record says itself.

    Raises:
        InvalidInput: it does not say.
    """
    if record.timestamp_ms is not None:
        if record.timestamp_ms < 0:
            raise _unknown(record, "it has no Kafka timestamp")
        return record.timestamp_ms
    try:
        fields = orjson.loads(record.value)
    except orjson.JSONDecodeError as exc:
        raise _unknown(record, "it is not JSON") from exc
    for name in ARRIVAL_FIELDS:
        value = fields.get(name) if isinstance(fields, dict) else None
        if not is_absent(value):
            try:
                return parse_time_ms(value, name)
            except InvalidEvent as exc:
                raise _unknown(record, f"{name}: {exc.detail}") from exc
    raise _unknown(record, f"it has neither {ARRIVAL_FIELDS[0]} nor {ARRIVAL_FIELDS[1]}")


def _arrived_after(record: Recorded, as_of_ms: int) -> bool:
    try:
        return arrived_at_ms(record) > as_of_ms
    except InvalidInput:
        return False


def _unknown(record: Recorded, why: str) -> InvalidInput:
    return InvalidInput(
        f"when {record.topic}:{record.offset} arrived is not known",
        why=f"--as-of counts what had arrived by then, and this record does not say: {why}",
        what_to_do="use --at, which counts what had happened by then, or replay the topic, where records have a time",
    )
