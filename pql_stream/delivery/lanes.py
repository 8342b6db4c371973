"""
The deliveries of one batch, a lane for each lead: only the first of a lane is tried, the others wait behind it.

Pure bookkeeping: nothing here waits, or knows what a delivery is sent to.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import msgspec

from pql_stream.delivery.ledger import Ref
from pql_stream.wire.deliveries import Delivery
from pql_stream.wire.records import SourceRecord


@dataclass(slots=True, eq=False)
class Work:
    """
    One delivery of the batch, and the *record* it was read from.

    *place* as in `Ref`. *carries*: deliveries whose values this one has as well. *failures* are those that it is to
    blame for itself; *tries* those that the sink may be to blame for. *passes_seen*: the breaker's count of passes
    when it was last tried. *is_over*: nothing is left to do for it here.
    """

    delivery: Delivery
    record: SourceRecord
    place: int
    carries: tuple[Work, ...] = ()
    failures: int = 0
    tries: int = 0
    passes_seen: int = 0
    is_over: bool = False

    @property
    def ref(self) -> Ref:
        """How the ledger knows it."""
        return Ref(self.delivery.delivery_id, self.delivery.lead_id, self.place, self.delivery.copy)

    def attempted(self) -> None:
        """An attempt ended without it being done."""
        self.delivery = msgspec.structs.replace(self.delivery, attempts=self.delivery.attempts + 1)


@dataclass(slots=True, eq=False)
class Lane:
    """What is left to deliver of one lead, in order; never empty while it is open."""

    works: deque[Work]

    @property
    def first(self) -> Work:
        """The one that may be tried."""
        return self.works[0]


class Lanes:
    """
    All lanes of a batch. An open one is ready, delayed, unchecked, or taken by whoever works on it.

    *unchecked*: the ledger must be asked whether its first may be tried.
    """

    def __init__(self, works: Iterable[Work]) -> None:
        by_lead: dict[str, Lane] = {}
        every = list(works)
        for work in every:
            by_lead.setdefault(work.delivery.lead_id, Lane(deque())).works.append(work)
        self._by_age = deque(sorted(every, key=lambda work: work.delivery.decided_at_ms))
        self._open = dict.fromkeys(by_lead.values())
        self.unchecked = list(by_lead.values())
        self._ready: deque[Lane] = deque()
        self._delayed: list[tuple[float, int, Lane]] = []
        self._count = count()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._open)

    @property
    def has_ready(self) -> bool:
        """Is there one to take?"""
        return bool(self._ready)

    @property
    def next_at_s(self) -> float | None:
        """When the next delayed lane is ready."""
        return self._delayed[0][0] if self._delayed else None

    @property
    def oldest_at_ms(self) -> int | None:
        """When the oldest published record was written that is not delivered."""
        while self._by_age and self._by_age[0].is_over:
            self._by_age.popleft()
        return self._by_age[0].delivery.decided_at_ms if self._by_age else None

    def make_ready(self, lane: Lane) -> None:
        """Put *lane* behind those that are ready: who failed comes after who was not tried."""
        self._ready.append(lane)

    def put_back(self, lanes: Iterable[Lane]) -> None:
        """Put *lanes*, which were taken in this order, in front again."""
        self._ready.extendleft(reversed(list(lanes)))

    def delay(self, lane: Lane, until_s: float) -> None:
        """Leave *lane* alone for some time."""
        heapq.heappush(self._delayed, (until_s, next(self._count), lane))

    def wake(self, now_s: float) -> None:
        """Delays end."""
        while self._delayed and self._delayed[0][0] <= now_s:
            self._ready.append(heapq.heappop(self._delayed)[2])

    def take(self) -> Lane:
        """The next one that is ready."""
        return self._ready.popleft()

    def advance(self, lane: Lane) -> None:
        """The first of *lane* is finished: close the lane, or see whether its next may be tried."""
        lane.works.popleft().is_over = True
        if lane.works:
            self.unchecked.append(lane)
        else:
            self.close(lane)

    def close(self, lane: Lane) -> None:
        """Nothing is left to do for *lane* here."""
        for work in lane.works:
            work.is_over = True
        del self._open[lane]
