"""
Recorded events under two packs: each event is decoded once, and advances a lead under both.

A lead costs its two states and four small numbers. What an event changed is counted and let go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from pql_stream.core.packs import CompiledPack
from pql_stream.core.routes import CANARY_LEAD_ID, Route
from pql_stream.core.states import LeadState, PackState, Step
from pql_stream.core.transition import advance, nothing_scored
from pql_stream.errors import InvalidEvent, RejectReason
from pql_stream.replay.replayer import Rejected
from pql_stream.replay.source import Recorded
from pql_stream.replay.whatif.routing import RouteMatcher
from pql_stream.wire.events import decode_event

REJECTED_KEPT_MAX = 20
"""So many refused records are kept to be shown; all are counted."""


class Pair(msgspec.Struct, gc=False):
    """
    One lead under both packs.

    *announced_...* has a bit for each tier that was announced, by its place in the pack; *routed_...* a bit for each
    route that something of this lead went, by the route's place.
    """

    today: LeadState
    then: LeadState
    announced_today: int = 0
    announced_then: int = 0
    routed_today: int = 0
    routed_then: int = 0


@dataclass(slots=True)
class Tally:
    """What became of the records: *skipped* have no value, *first_rejected* are the first of those refused."""

    accepted: int = 0
    skipped: int = 0
    rejected: Counter[RejectReason] = field(default_factory=Counter)
    first_rejected: list[Rejected] = field(default_factory=list)

    def reject(self, rejected: Rejected) -> None:
        """Count a refused record."""
        self.rejected[rejected.reason] += 1
        if len(self.first_rejected) < REJECTED_KEPT_MAX:
            self.first_rejected.append(rejected)


class Side:
    """One of the two packs and what it has published so far, counted: by tier's place, and by route's place."""

    def __init__(self, pack: CompiledPack, routes: Sequence[Route]) -> None:
        self.pack = pack
        self.changes = 0
        self.qualifications = [0] * len(pack.tiers)
        self.deliveries = [0] * len(routes)
        self._by_nothing = nothing_scored(pack).moved_by

    def count(self, step: Step, taken: tuple[int, ...]) -> LeadState:
        """Count what *step* published, and the routes that took it; the state to keep of the lead."""
        state = step.state
        if step.change is None:
            return state
        self.changes += 1
        if step.qualification is not None:
            self.qualifications[state.pack.announced] += 1
        for place in taken:
            self.deliveries[place] += 1
        # Which event moved a rule is not asked here, and the references would double what a lead costs.
        scored = state.pack
        return replace(state, pack=PackState(scored.points, self._by_nothing, scored.sequence, scored.announced))


class Comparison:
    """
    *today* is the pack that is live, *then* the candidate. Give it every record, in order.

    `leads` has every lead that an accepted event named; a canary is none.
    """

    def __init__(self, today: CompiledPack, then: CompiledPack, routes: Sequence[Route] = ()) -> None:
        self.today = Side(today, routes)
        self.then = Side(then, routes)
        self.routes = tuple(routes)
        self.leads: dict[str, Pair] = {}
        self.tally = Tally()
        self._matcher = RouteMatcher(routes)

    def take_all(self, records: Iterable[Recorded]) -> None:
        """Take in *records*."""
        for record in records:
            self.take(record)

    def take(self, record: Recorded) -> None:
        """Take in one record, under both packs or, where it is refused, under none."""
        if not record.value:
            self.tally.skipped += 1
            return
        try:
            self._advance(record)
        except InvalidEvent as exc:
            self.tally.reject(Rejected.of(record, exc))
        except Exception as exc:  # noqa: BLE001 - a bug of ours costs one record, here as in the stream (DESIGN.md 4)
            self.tally.reject(Rejected.for_bug(record, exc))
        else:
            self.tally.accepted += 1

    def _advance(self, record: Recorded) -> None:
        event = decode_event(
            record.value,
            record.topic,
            record.partition,
            record.offset,
            timestamp_ms=record.timestamp_ms,
            headers=tuple(record.headers),
        )
        if event.lead_id == CANARY_LEAD_ID:
            return
        pair = self.leads.get(event.lead_id)
        today = advance(None if pair is None else pair.today, event, self.today.pack)
        then = advance(None if pair is None else pair.then, event, self.then.pack)
        by_today, by_then = self._matcher.taken(today), self._matcher.taken(then)
        # Nothing above has changed anything, nothing below can fail: a record counts on both sides or on none.
        if pair is None:
            pair = self.leads[event.lead_id] = Pair(today.state, then.state)
        pair.today = self.today.count(today, by_today)
        pair.then = self.then.count(then, by_then)
        pair.announced_today |= _bit_announced(today)
        pair.announced_then |= _bit_announced(then)
        pair.routed_today |= _bits(by_today)
        pair.routed_then |= _bits(by_then)


def _bit_announced(step: Step) -> int:
    return 0 if step.qualification is None else 1 << step.state.pack.announced


def _bits(places: tuple[int, ...]) -> int:
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits
