"""
The account of deliveries: what the routes take of the published records, against what the destinations accepted.

An upsert of a contact may stand for those before it (they are superseded, and counted by the worker); everything
else arrives by itself, and everything once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pql_stream.core.routes import Action, RecordKind, Route
from pql_stream.testing.destinations.journal import Effect
from pql_stream.wire.deliveries import Delivery, fields_of, route_record

_KINDS: Mapping[Action, str] = {
    "upsert": "contact",
    "task": "task",
    "message": "message",
    "mail": "mail",
    "post": "post",
}
"""What a destination calls the effect of an action."""
_SHOWN = 3


@dataclass(slots=True)
class Wanted:
    """What *routes* make of the published records, by sink and then by delivery id, in order."""

    routes: Sequence[Route]
    by_sink: dict[str, dict[str, Delivery]] = field(default_factory=dict)

    def take(self, kind: RecordKind, record: Mapping[str, Any]) -> None:
        """Add the deliveries of a *record* of *kind*; a repeat of it adds nothing."""
        fields = fields_of(record)
        for route in self.routes:
            if route.takes(kind, fields):
                delivery = route_record(route, kind, record, decided_at_ms=0)
                self.by_sink.setdefault(route.sink, {})[delivery.delivery_id] = delivery


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery and what its destination has of it."""

    delivery: Delivery
    effect: Effect


@dataclass(frozen=True, slots=True)
class SinkAccount:
    """One sink: how many deliveries the routes *wanted*, what *arrived* by kind, how many a later one stood for."""

    sink: str
    wanted: int
    arrived: Mapping[str, int]
    superseded: int


@dataclass(frozen=True, slots=True)
class DeliveryAccount:
    """All sinks, the *arrivals* in order, and what is wrong, which should be nothing."""

    sinks: tuple[SinkAccount, ...]
    arrivals: tuple[Arrival, ...]
    problems: tuple[str, ...]

    @property
    def wanted(self) -> int:
        """Deliveries that the routes make."""
        return sum(one.wanted for one in self.sinks)


def account(wanted: Wanted, effects: Mapping[str, Sequence[Effect]], superseded: int) -> DeliveryAccount:
    """Hold *wanted* against the *effects* at each sink; *superseded* deliveries are the worker's count."""
    sinks: list[SinkAccount] = []
    arrivals: list[Arrival] = []
    problems: list[str] = []
    for sink, there in effects.items():
        deliveries = wanted.by_sink.get(sink, {})
        came = _arrivals(deliveries, there)
        stood_for = _superseded(deliveries, came)
        missing = [one for one in deliveries.values() if one.delivery_id not in came.keys() | stood_for]
        problems += [*_missing(sink, missing), *_surplus(sink, deliveries, there)]
        counts = Counter(one.effect.kind for one in came.values())
        kinds = {kind: counts[kind] for kind in _KINDS.values() if kind in counts}
        sinks.append(SinkAccount(sink, len(deliveries), kinds, len(stood_for)))
        arrivals += came.values()
    counted = sum(one.superseded for one in sinks)
    if counted != superseded:
        problems.append(f"{counted} deliveries have a later one in their place, and the worker says {superseded}")
    return DeliveryAccount(tuple(sinks), tuple(arrivals), tuple(problems))


def _arrivals(deliveries: Mapping[str, Delivery], effects: Sequence[Effect]) -> dict[str, Arrival]:
    """Delivery id -> its arrival. What else a delivery does, as a task writes its contact, is not one."""
    came: dict[str, Arrival] = {}
    for effect in effects:
        delivery = deliveries.get(effect.delivery_id)
        if delivery is not None and _KINDS[delivery.action] == effect.kind:
            came.setdefault(effect.delivery_id, Arrival(delivery, effect))
    return came


def _superseded(deliveries: Mapping[str, Delivery], came: Mapping[str, Arrival]) -> set[str]:
    """The upserts that did not come, and a later one of their lead and route did."""
    highest: dict[tuple[str, str], int] = {}
    for one in came.values():
        if one.delivery.action == "upsert":
            stream = one.delivery.route, one.delivery.lead_id
            highest[stream] = max(highest.get(stream, 0), one.delivery.record["sequence"])
    return {
        delivery_id
        for delivery_id, one in deliveries.items()
        if one.action == "upsert"
        and delivery_id not in came
        and one.record["sequence"] < highest.get((one.route, one.lead_id), 0)
    }


def _missing(sink: str, missing: Sequence[Delivery]) -> Iterator[str]:
    if missing:
        shown = ", ".join(f"{one.action} for {one.lead_id}" for one in missing[:_SHOWN])
        yield f"{sink}: {len(missing)} deliveries have not arrived ({shown}{', …' if len(missing) > _SHOWN else ''})"


def _surplus(sink: str, deliveries: Mapping[str, Delivery], effects: Sequence[Effect]) -> Iterator[str]:
    """What came twice, or was never wanted."""
    counts = Counter((effect.delivery_id, effect.kind) for effect in effects if not effect.was_there)
    if twice := sum(count > 1 for count in counts.values()):
        yield f"{sink}: {twice} deliveries arrived more than once"
    if strange := sum(effect.delivery_id not in deliveries for effect in effects):
        yield f"{sink}: {strange} deliveries arrived that no route makes"
