"""What routes would make of records in files, counted: no sink, no broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import msgspec

from pql_stream.core.routes import RecordKind, Route
from pql_stream.delivery.dispatching import dispatch
from pql_stream.wire.deliveries import decode_delivery
from pql_stream.wire.headers import Headers
from pql_stream.wire.record_fields import RECORDS

_CHUNK = 1_000


class _Line(NamedTuple):
    """A line of a file as a record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class _Schema(msgspec.Struct):
    schema: str


@dataclass(slots=True)
class RouteCount:
    """The deliveries of one route, and of how many leads."""

    deliveries: int = 0
    leads: set[str] = field(default_factory=set)


@dataclass(slots=True)
class DryRun:
    """
    What became of the lines. *records* are those that are published records, by kind; *skipped* are none, *unrouted*
    go nowhere, *failed* made our own code fail.
    """

    routes: dict[str, RouteCount]
    records: Counter[RecordKind] = field(default_factory=Counter)
    skipped: int = 0
    unrouted: int = 0
    failed: int = 0

    def take(self, kind: RecordKind, values: Sequence[bytes], routes: Sequence[Route]) -> None:
        """Count what *routes* make of records of one kind."""
        records = [_Line(place, 0, None, value) for place, value in enumerate(values)]
        dispatched = dispatch(kind, records, routes)
        self.records[kind] += len(values) - dispatched.skipped
        self.skipped += dispatched.skipped
        self.unrouted += dispatched.unrouted
        self.failed += len(dispatched.bugs)
        for out in (out for of_sink in dispatched.deliveries.values() for out in of_sink):
            delivery = decode_delivery(out.value or b"")
            count = self.routes[delivery.route]
            count.deliveries += 1
            count.leads.add(delivery.lead_id)


def dry_run(lines: Iterable[bytes], routes: Sequence[Route]) -> DryRun:
    """What *routes* would make of *lines*, which are published records of any kind."""
    run = DryRun({route.name: RouteCount() for route in routes})
    for chunk in _chunks(lines):
        by_kind: dict[RecordKind, list[bytes]] = {}
        for line in chunk:
            kind = _kind_of(line)
            if kind is None:
                run.skipped += 1
            else:
                by_kind.setdefault(kind, []).append(line)
        for kind, values in by_kind.items():
            run.take(kind, values, routes)
    return run


_KINDS: dict[str, RecordKind] = {f"{kind}/1": kind for kind in RECORDS}
_decode = msgspec.json.Decoder(_Schema).decode


def _kind_of(line: bytes) -> RecordKind | None:
    try:
        return _KINDS.get(_decode(line).schema)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(lines)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
