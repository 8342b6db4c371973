"""
Published records + routes -> deliveries by sink.

Pure: the same records give the same deliveries, byte for byte, so that a repeat after a crash does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pql_stream.core.routes import RecordKind, Route
from pql_stream.delivery.bugs import traceback_without_text
from pql_stream.delivery.ports import DispatchOutcome
from pql_stream.errors import InvalidEvent
from pql_stream.wire.deliveries import decode_published, encode_delivery, fields_of, route_record
from pql_stream.wire.records import OutRecord, SourceRecord


@dataclass(slots=True)
class Dispatched:
    """
    What becomes of a batch of published records.

    *deliveries*: for each sink its records, in order. *skipped* counts records that are none of ours, *unrouted*
    those that go nowhere, *bugs* has the traceback of each that our own code failed on.
    """

    deliveries: dict[str, list[OutRecord]] = field(default_factory=dict)
    skipped: int = 0
    unrouted: int = 0
    bugs: list[str] = field(default_factory=list)

    def counts(self, records: int) -> dict[DispatchOutcome, int]:
        """What became of so many *records*, all that there were."""
        others = self.skipped + self.unrouted + len(self.bugs)
        return {
            "routed": records - others,
            "unrouted": self.unrouted,
            "skipped": self.skipped,
            "failed": len(self.bugs),
        }


def dispatch(kind: RecordKind, records: Sequence[SourceRecord], routes: Sequence[Route]) -> Dispatched:
    """The deliveries that *routes* make of *records* of topic *kind*."""
    dispatched = Dispatched()
    for record in records:
        try:
            deliveries = _deliveries(kind, record, routes)
        except InvalidEvent:
            dispatched.skipped += 1
        except Exception:  # noqa: BLE001 - a bug of ours must cost one record, not the stream (STYLE.md 4)
            dispatched.bugs.append(traceback_without_text())
        else:
            dispatched.unrouted += not deliveries
            for sink, out in deliveries:
                dispatched.deliveries.setdefault(sink, []).append(out)
    return dispatched


def _deliveries(kind: RecordKind, record: SourceRecord, routes: Sequence[Route]) -> list[tuple[str, OutRecord]]:
    """
    The deliveries of one record, with their sinks.

    Raises:
        InvalidEvent: it is no such record.
    """
    published = decode_published(kind, record.value or b"")
    lead_id = published["lead_id"]
    fields = fields_of(published)
    made = [
        route_record(route, kind, published, decided_at_ms=record.timestamp)
        for route in routes
        if route.takes(kind, fields)
    ]
    return [(delivery.sink, OutRecord(lead_id.encode(), encode_delivery(delivery))) for delivery in made]
