"""Copies of deliveries that wait alone, on `delivery-<sink>-parked`."""

from __future__ import annotations

import msgspec

from pql_stream.delivery.lanes import Work
from pql_stream.wire.deliveries import Delivery, encode_delivery
from pql_stream.wire.records import OutRecord


def parked(work: Work, *, now_ms: int, park_for_s: float, not_before_ms: int | None) -> Delivery:
    """
    A copy of *work* that is due *park_for_s* after *now_ms*, or is parked again then if it is *not_before_ms*.

    The time until it is due is the same for all, so the due times of a partition grow, and whoever waits for the
    first keeps no other waiting.
    """
    delivery = work.delivery
    return msgspec.structs.replace(
        delivery,
        place=work.place,
        parks=delivery.parks + 1,
        parked_at_ms=now_ms,
        due_at_ms=now_ms + round(park_for_s * 1000),
        not_before_ms=not_before_ms,
    )


def parked_record(copy: Delivery, work: Work) -> OutRecord:
    """The record of *copy*, with the headers of what it is a copy of."""
    return OutRecord(copy.lead_id.encode(), encode_delivery(copy), work.record.headers)


def due_in_s(delivery: Delivery, *, now_ms: int, park_for_s: float) -> float:
    """
    Seconds until a parked *delivery* is due; 0 when it is.

    At most *park_for_s*, whatever the record says: it may have been written by a clock that is far ahead.
    """
    left_s = ((delivery.due_at_ms or 0) - now_ms) / 1000
    return min(max(left_s, 0.0), park_for_s)
