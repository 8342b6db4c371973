"""What became of deliveries, on its way to the ledger, the parked topic and the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pql_stream.delivery.lanes import Work
from pql_stream.delivery.ledger import Ref, Settlement
from pql_stream.delivery.outcomes import Delivered, RefusalReason, Refused
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.parking import parked_record
from pql_stream.delivery.patience import Patience
from pql_stream.delivery.ports import DeliveryReport, OutcomeName
from pql_stream.wire.deliveries import Delivery
from pql_stream.wire.delivery_dead_letters import delivery_dead_letter_headers
from pql_stream.wire.records import OutRecord, SourceBatch, SourceRecord


@dataclass(slots=True)
class Ends:
    """Outcomes that are not written yet, and the report of them."""

    attempts: list[Settlement] = field(default_factory=list)
    refused: list[Settlement] = field(default_factory=list)
    dead_letters: list[OutRecord] = field(default_factory=list)
    copies: list[OutRecord] = field(default_factory=list)
    parked: list[Ref] = field(default_factory=list)
    outcomes: Counter[OutcomeName] = field(default_factory=Counter)
    reasons: Counter[RefusalReason] = field(default_factory=Counter)
    delivered_s: list[float] = field(default_factory=list)
    repeated: int = 0

    def __bool__(self) -> bool:
        return bool(self.attempts or self.dead_letters or self.copies)

    def report(self) -> DeliveryReport:
        """The numbers."""
        return DeliveryReport(
            outcomes=self.outcomes,
            delivered_s=self.delivered_s,
            dead_letters=self.reasons,
            parked=len(self.copies),
            superseded=sum(one.state == "superseded" for one in self.attempts),
            repeated=self.repeated,
        )


class Recorder:
    """Collects what becomes of the deliveries of one batch, and writes it."""

    def __init__(self, outlet: Outlet, batch: SourceBatch) -> None:
        self._outlet = outlet
        self._batch = batch
        self.ends = Ends()

    @property
    def partition(self) -> str:
        """The batch's partition, as the ledger knows it."""
        return f"{self._batch.topic}/{self._batch.partition}"

    def delivered(self, work: Work, outcome: Delivered, now_ms: int) -> None:
        """The destination has it."""
        ends = self.ends
        ends.attempts.append(Settlement(work.ref, "delivered", outcome.remote_id or "", outcome.was_there))
        ends.outcomes["duplicate" if outcome.was_there else "delivered"] += 1
        ends.delivered_s.append((now_ms - work.delivery.decided_at_ms) / 1000)

    def later(self, work: Work, detail: str) -> None:
        """Surely not done."""
        self.ends.attempts.append(Settlement(work.ref, "pending", detail))
        self.ends.outcomes["later"] += 1

    def unknown(self, work: Work, detail: str) -> None:
        """Perhaps done."""
        self.ends.attempts.append(Settlement(work.ref, "unknown", detail))
        self.ends.outcomes["unknown"] += 1

    def refused(self, work: Work, outcome: Refused) -> None:
        """The destination will never take it."""
        self.ends.outcomes["refused"] += 1
        self.refuse(work, outcome.reason, outcome.detail)

    def untried(self, work: Work) -> None:
        """It was claimed, and nothing was sent."""
        self.ends.attempts.append(Settlement(work.ref, "pending"))

    def superseded(self, works: Iterable[Work]) -> None:
        """Another carries their values: they need no attempt of their own."""
        self.ends.attempts += [Settlement(work.ref, "superseded") for work in works]

    def refuse(self, work: Work, reason: RefusalReason, detail: str) -> None:
        """To the dead letters, whoever says so."""
        # Of every copy: one that was written just before a crash must not bring it back.
        ref = replace(work.ref, copy=work.delivery.last_copy)
        self.ends.refused.append(Settlement(ref, "refused", reason))
        self.refuse_record(work.record, reason, detail)

    def refuse_record(self, record: SourceRecord, reason: RefusalReason, detail: str) -> None:
        """A record to the dead letters."""
        headers = delivery_dead_letter_headers(
            record.headers,
            reason=reason,
            detail=detail,
            sink=self._outlet.name,
            topic=self._batch.topic,
            partition=self._batch.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
        )
        self.ends.dead_letters.append(OutRecord(record.key, record.value, headers))
        self.ends.reasons[reason] += 1

    def park(self, work: Work, copy: Delivery) -> None:
        """It waits alone, as *copy*."""
        self.ends.copies.append(parked_record(copy, work))
        self.ends.parked.append(Ref(copy.delivery_id, copy.lead_id, work.place, copy.copy))

    def leave_unparked(self) -> None:
        """Nothing is parked that was to be."""
        self.ends.copies, self.ends.parked = [], []

    async def report(self, patience: Patience) -> None:
        """
        Make what was collected durable, and tell the meter of it.

        Raises:
            GivenWay: the ledger does not answer, and the batch must.
            ClaimLost: somebody else has the partition.
        """
        if self.ends:
            ends, self.ends = self.ends, Ends()
            await self._write(ends, patience)
            self._outlet.ports.meter.reported(self._outlet.name, ends.report())

    async def _write(self, ends: Ends, patience: Patience) -> None:
        """
        First what attempts came to: until the ledger knows, a crash repeats them. Records go out before the ledger
        says that they did: the other order would lose them in a crash between the two.
        """
        outlet, partition = self._outlet, self._batch.partition
        outputs, topics, ledger = outlet.ports.outputs, outlet.topics, outlet.ports.ledger
        await outlet.switch.write(patience)
        await self._settle(patience, ends.attempts)
        if ends.dead_letters:
            await outputs.send(topics.dead_letters, partition, ends.dead_letters)
        if ends.copies:
            await outputs.send(topics.parked, partition, ends.copies)
        await self._settle(patience, ends.refused)
        if ends.parked:
            await patience.insist(lambda: ledger.park(self.partition, outlet.owner, ends.parked))

    async def _settle(self, patience: Patience, settlements: Sequence[Settlement]) -> None:
        if settlements:
            ledger, owner = self._outlet.ports.ledger, self._outlet.owner
            await patience.insist(lambda: ledger.settle(self.partition, owner, settlements))
