"""
A batch, slice by slice: while what one does is on its way, the next is scored.

To score is the processor's work, and to send is mostly waiting. A batch that was scored first and sent then would do
neither while it does the other; and where all partitions wait for the broker at once, the worker stands still.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pql_stream.core.profiles import ProfileState
from pql_stream.core.states import LeadState
from pql_stream.stream.effects import Counts, Effects
from pql_stream.stream.metrics import Meter, ModeReport, RecordsReport
from pql_stream.stream.published import Ahead
from pql_stream.stream.scorer import Scorer
from pql_stream.wire.records import SourceBatch, SourceRecord

SLICE_RECORDS = 2_500
"""
Nothing else happens while it is scored: 50 ms where each event changes a score. In smaller ones each lead is looked
up, and its state fetched from far away in memory, for fewer events: with half of it a twentieth more time an event.
"""
GROWS_S = 0.5
"""
For so long a batch takes in what comes while it is at work: that goes out at once, and the rows of all its leads are
written together. The price: a crash repeats, under the same ids, all that such a batch had sent.
"""


class States(Protocol):
    """The states of leads."""

    def of(self, partition: int, expected: Iterable[bytes | None]) -> Callable[[str], LeadState | None]:
        """
        A function that gives the stored state of a lead of *partition*; good until it is asked for another one.

        *expected* are keys of leads that will be asked for, about in this order; others may be asked for, too.
        """


class Contacts(Protocol):
    """The contact data of leads."""

    def of(self, partition: int) -> Callable[[str], ProfileState | None]:
        """A function that gives the stored contact data of a lead of *partition*; good for one batch."""


@dataclass(frozen=True, slots=True)
class Ports:
    """
    What scoring works on.

    *clock* is seconds since 1970. *log_bug* takes the traceback of a record that our own code failed on.
    """

    leads: States
    contacts: Contacts
    meter: Meter
    clock: Callable[[], float]
    log_bug: Callable[[str], None]


class Slice(NamedTuple):
    """Some records of a batch, in order."""

    topic: str
    partition: int
    records: Sequence[SourceRecord]


class Slices:
    """
    One batch on its way through the scorer; *ahead* and *more* as `Pipeline.handle` has them. A slice has
    *records_max* records.

    *states* and *profiles* have what all slices so far have made of leads, and the next one goes on from; *count* are
    their records, and *seconds* what they took.
    """

    def __init__(
        self,
        scorer: Scorer,
        ports: Ports,
        batch: SourceBatch,
        ahead: dict[str, Ahead],
        more: Callable[[], Sequence[SourceRecord]],
        *,
        records_max: int,
    ) -> None:
        self._scorer = scorer
        self._ports = ports
        self._topic = batch.topic
        self._partition = batch.partition
        self._left = list(batch.records)
        self._ahead = ahead
        self._more = more
        self._records_max = records_max
        self._grows_until_s = ports.clock() + GROWS_S
        self._contacts = ports.contacts.of(batch.partition)
        self.states: dict[str, LeadState] = {}
        self.profiles: dict[str, ProfileState] = {}
        self.count = 0
        self.seconds = 0.0

    def score_next(self, *, whole: bool) -> Effects | None:
        """
        What the next slice does; None: there is none, or, where it must be *whole*, not enough for one yet.

        Raises:
            InvalidState: a row cannot be continued from.
        """
        started_at_s = self._ports.clock()
        records_max = self._records_max
        if len(self._left) < records_max and started_at_s < self._grows_until_s:
            self._left += self._more()
        if not self._left or (whole and len(self._left) < records_max):
            return None
        records, self._left = self._left[:records_max], self._left[records_max:]
        effects = self._scored(Slice(self._topic, self._partition, records))
        self.count += len(records)
        self.seconds += self._ports.clock() - started_at_s
        return effects

    def _scored(self, some: Slice) -> Effects:
        # Most producers write a record under the id of its lead.
        stored = self._ports.leads.of(some.partition, (record.key for record in some.records))
        effects = self._scorer.score(
            some,
            lambda lead_id: self.states.get(lead_id) or stored(lead_id),
            self._ahead,
            lambda lead_id: self.profiles.get(lead_id) or self._contacts(lead_id),
        )
        self.states |= effects.states
        self.profiles |= effects.profiles
        for lead_id in effects.caught_up:
            del self._ahead[lead_id]
        for bug in effects.bugs:
            self._ports.log_bug(bug)
        return effects

    def acknowledged(self, effects: Effects) -> None:
        """What *effects* send is written, and whoever reads may see it."""
        self._ports.meter.records_done(_report(self._topic, effects, self._ports.clock()))


async def _nothing(_effects: Effects) -> None:
    pass


async def send_in_turn(
    slices: Slices,
    send: Callable[[Effects], Awaitable[None]],
    first: Callable[[Effects], Awaitable[None]] = _nothing,
) -> None:
    """
    Score and *send* all of *slices*; one is sent after the other. What *first* does is done before the next is scored.

    What is less than a whole slice waits until nothing is on its way: so it grows with the load, and with it what one
    request carries.

    Raises:
        Exception: whatever scoring, *first* or *send* raises. Then no other is begun; one that is on its way is not
            called back, for aiokafka would log what becomes of it as heard by nobody.
    """
    failed = False

    async def send_after(before: asyncio.Task[None] | None, effects: Effects) -> None:
        if before is not None:
            await before
        if not failed:
            await send(effects)

    sending: asyncio.Task[None] | None = None
    try:
        while True:
            effects = slices.score_next(whole=sending is not None and not sending.done())
            if effects is not None:
                await first(effects)
                sending = asyncio.ensure_future(send_after(sending, effects))
                await asyncio.sleep(0)  # for what is on its way
            elif sending is not None:
                await sending
                sending = None
            else:
                return
    except Exception:
        failed = True
        if sending is not None:
            sending.add_done_callback(_hear)
        raise


def _hear(sent: asyncio.Task[None]) -> None:
    if not sent.cancelled():
        sent.exception()


def _report(topic: str, effects: Effects, now_s: float) -> RecordsReport:
    return RecordsReport(
        topic=topic,
        modes={mode: _mode_report(counts, now_s) for mode, counts in effects.counts.items() if counts.records},
        skew_s=None if effects.skew_ms is None else effects.skew_ms / 1000,
    )


def _mode_report(counts: Counts, now_s: float) -> ModeReport:
    return ModeReport(
        accepted=counts.accepted,
        rejected=counts.rejected,
        rekeyed=counts.rekeyed,
        skipped=counts.skipped,
        leads_evaluated=counts.leads_evaluated,
        changed=counts.changed,
        qualified=counts.qualified,
        shadows=counts.shadows,
        # Producers write in batches, so many events of a backlog have the same millisecond.
        event_to_score_s={
            now_s - at_ms / 1000: count for at_ms, count in Counter(counts.timestamps_ms).items() if at_ms >= 0
        },
    )
