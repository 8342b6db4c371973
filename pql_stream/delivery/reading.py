"""Records of a sink's topics -> what there is to deliver, and what never will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pql_stream.delivery.lanes import Work
from pql_stream.errors import InvalidEvent
from pql_stream.wire.deliveries import decode_delivery
from pql_stream.wire.records import SourceRecord


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no delivery to this sink, and why."""

    record: SourceRecord
    detail: str


def read_deliveries(records: Sequence[SourceRecord], sink: str) -> tuple[list[Work], list[Unreadable]]:
    """
    The deliveries to *sink* in *records*, in order, and the records that are none. Tombstones are nothing.

    Of several copies of one delivery the newest is left, where the first of them stood.
    """
    works: dict[str, Work] = {}
    unreadable: list[Unreadable] = []
    for record in records:
        if not record.value:
            continue
        try:
            delivery = decode_delivery(record.value)
        except InvalidEvent as exc:
            unreadable.append(Unreadable(record, exc.detail))
            continue
        if delivery.sink != sink:
            unreadable.append(Unreadable(record, "another sink's"))
            continue
        place = record.offset if delivery.place is None else delivery.place
        before = works.get(delivery.delivery_id)
        if before is None or before.delivery.copy < delivery.copy:
            works[delivery.delivery_id] = Work(delivery, record, place)
    return list(works.values()), unreadable
