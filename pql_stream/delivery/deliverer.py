"""The deliveries of one sink: batches of its topic and of its parked topic in, each handled to its end."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from typing import Literal

from pql_stream.delivery.admission import admitted
from pql_stream.delivery.lanes import Lanes, Work
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.parking import due_in_s
from pql_stream.delivery.patience import GivenWay, Patience
from pql_stream.delivery.ports import DeliveryBatch, SinkState, Stop
from pql_stream.delivery.reading import read_deliveries
from pql_stream.delivery.recording import Recorder
from pql_stream.delivery.rounds import Rounds
from pql_stream.errors import ClaimLost

Handled = Literal["done", "gave_way"]
"""*done*: nothing of the batch is left to do, its end may be committed. *gave_way*: it is to be read again."""


class Deliverer:
    """
    Delivers to one sink. Batches of several partitions may be handled at once, those of one partition one at a time.

    However long a destination is away, a batch is not given up: its partition waits, and the lag with it, in Kafka.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._generations: dict[str, int] = {}
        self._in_work: dict[str, Patience] = {}
        self._oldest_at_ms: dict[str, int] = {}
        self._steps: Counter[str] = Counter()

    def waits(self, topic: str, partition: int) -> bool:
        """Is nothing under way for a batch of *partition*, on purpose? Then it is no stall that nothing moves."""
        patience = self._in_work.get(f"{topic}/{partition}")
        return patience is not None and patience.waits

    def steps(self, topic: str, partition: int) -> int:
        """Grows with each round of a batch of *partition*, and each wait: a long batch is no stall while it does."""
        return self._steps[f"{topic}/{partition}"]

    async def look(self) -> None:
        """
        See how the sink stands while nothing is delivered, and tell the meter.

        Raises:
            LedgerAway: the ledger does not answer.
        """
        await self._outlet.switch.look()
        self._tell_standing()

    async def handle(self, batch: DeliveryBatch, stop: Stop) -> Handled:
        """
        Deliver *batch*; what cannot be is in the parked topic or among the dead letters, acknowledged, when it is
        done.

        When *stop* is set nothing new begins; attempts under way are waited for and written down.
        """
        recorder = Recorder(self._outlet, batch)
        partition = recorder.partition
        patience = Patience(self._outlet.ports, stop, self._outlet.settings.ledger)
        self._in_work[partition] = patience
        try:
            await self._hold_and_deliver(batch, recorder, patience)
        except GivenWay:
            return "gave_way"
        finally:
            patience.close()
            del self._in_work[partition]
            self._tell(partition, None)
        return "done"

    async def _hold_and_deliver(self, batch: DeliveryBatch, recorder: Recorder, patience: Patience) -> None:
        """
        Whoever takes the partition over from us is its next owner, or a worker that was frozen and does not know that
        it is not any more. The group knows: if it still gives the partition to us, asked after that, we take it back
        and begin the batch anew; else the batch gives way.
        """
        entitlement = self._outlet.ports.entitlement
        confirmations = 0
        while True:
            await patience.entitled(confirmations)
            try:
                await self._take_over(batch, recorder, patience)
                await patience.insist(self._outlet.switch.look)
                return await self._deliver(batch, recorder, patience)
            except ClaimLost:
                del self._generations[recorder.partition]
                confirmations = entitlement.confirmations + 2

    async def _take_over(self, batch: DeliveryBatch, recorder: Recorder, patience: Patience) -> None:
        """With its first batch since it was assigned, a partition is ours: an earlier owner may claim no more."""
        partition = recorder.partition
        if self._generations.get(partition) != batch.generation_id:
            ledger, owner = self._outlet.ports.ledger, self._outlet.owner
            await patience.insist(lambda: ledger.take_over(partition, owner))
            self._generations[partition] = batch.generation_id

    async def _deliver(self, batch: DeliveryBatch, recorder: Recorder, patience: Patience) -> None:
        works, unreadable = read_deliveries(batch.records, self._outlet.name)
        for one in unreadable:
            recorder.refuse_record(one.record, "invalid", one.detail)
        await recorder.report(patience)
        are_parked = batch.topic == self._outlet.topics.parked
        while works:
            patience.check()
            part = await self._due(works, recorder.partition, patience) if are_parked else works
            works = works[len(part) :]
            left = _oldest_at_ms(works)
            entry = await admitted(self._outlet, part, recorder, patience, are_parked=are_parked)

            def tell(lanes: Lanes, left: int | None = left) -> None:
                self._tell(recorder.partition, _earlier(lanes.oldest_at_ms, left))

            await Rounds(self._outlet, batch, entry, recorder, patience=patience, tell=tell).run()

    async def _due(self, works: list[Work], partition: str, patience: Patience) -> list[Work]:
        """
        The parked *works* up to the first that is not due, and at least one: waits for it.

        Raises:
            GivenWay: the batch must.
        """
        self._tell(partition, _oldest_at_ms(works))
        wait_s = self._due_in_s(works[0])
        if wait_s > 0:
            await patience.pause(wait_s)
            patience.check()
        return [works[0], *takewhile(lambda work: self._due_in_s(work) == 0, works[1:])]

    def _due_in_s(self, work: Work) -> float:
        outlet = self._outlet
        return due_in_s(work.delivery, now_ms=outlet.ports.time_ms(), park_for_s=outlet.settings.park_for_s)

    def _tell(self, partition: str, oldest_at_ms: int | None) -> None:
        self._steps[partition] += 1
        if oldest_at_ms is None:
            self._oldest_at_ms.pop(partition, None)
        else:
            self._oldest_at_ms[partition] = oldest_at_ms
        self._tell_standing()

    def _tell_standing(self) -> None:
        outlet = self._outlet
        state: SinkState = "disabled" if outlet.switch.is_disabled else outlet.breaker.state
        outlet.ports.meter.stands(outlet.name, state, min(self._oldest_at_ms.values(), default=None))


def _oldest_at_ms(works: list[Work]) -> int | None:
    return min((work.delivery.decided_at_ms for work in works), default=None)


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((at_ms for at_ms in (one, other) if at_ms is not None), default=None)
