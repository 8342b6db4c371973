"""
Fills a shadow pack: the worker reads its own partitions of the input topics again, from the beginning to where they
end now, beside the live events.

It writes rows and, at the end, differences: nothing else. A worker that dies on the way leaves what it has folded, and
the next owner begins anew; nothing says that a lead is complete before the whole of it was read.

Every event that a row has missed lies before the end that is read to: from the first batch under the present packs on
no event passes a row that does not hear of it (`core.shadows.Adopted`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import NamedTuple, Protocol

from pql_stream.core.features import DAY_MS
from pql_stream.core.filling import fill, filled, slots_to_fill
from pql_stream.core.lineups import Lineup
from pql_stream.core.refs import EventRef
from pql_stream.core.shadows import SwitchCause
from pql_stream.errors import StreamLost
from pql_stream.stream.casting import Completeness, Stage, lacking
from pql_stream.stream.effects import Effects
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.shadow_differences import encode_differences
from pql_stream.wire.control import FillRequest, ReportAnswer
from pql_stream.wire.records import SourceRecord
from pql_stream.wire.times import parse_time_ms

CAUSE_EVENT = "fill"
_NEVER_MS = 1 << 62
_ROWS = 500
"""At a time, so that live batches have their turn."""

log = logging.getLogger(__name__)


class Stretch(NamedTuple):
    """A partition of an input topic as it is now. *first_at_ms*: the oldest record's timestamp, None for no record."""

    topic: str
    first: int
    end: int
    first_at_ms: int | None


class Part(NamedTuple):
    """Some records of one partition of an input topic."""

    topic: str
    partition: int
    records: Sequence[SourceRecord]


class History(Protocol):
    """The input topics, read beside the group."""

    async def stretches(self, partition: int) -> Sequence[Stretch]:
        """What there is of *partition*."""

    def read(self, partition: int, stretch: Stretch) -> AsyncIterator[Sequence[SourceRecord]]:
        """Its records, some at a time."""


class Gone(Exception):
    """Begin anew, or let somebody else do it."""


class Filling:
    """Does what `shadow fill` asks for, on the owned partitions."""

    def __init__(self, roles: Roles, stage: Stage, history: History, scorer: Scorer) -> None:
        self._roles = roles
        self._stage = stage
        self._history = history
        self._scorer = scorer
        self._acting = asyncio.Lock()

    async def rest(self) -> None:
        """Return when nothing is under way; nothing is begun while partitions are handed over."""
        async with self._acting:
            pass

    @asynccontextmanager
    async def _turn(self, partition: int, lineup: Lineup) -> AsyncIterator[None]:
        """
        The time between two batches of *partition*.

        Raises:
            Gone: the partition is handed over, or another pack went live there.
        """
        async with self._acting, self._stage.partitions.turn(partition):
            ours = partition in self._stage.partitions.owned() and self._roles.knows(partition)
            if not ours or self._roles.of(partition) is not lineup:
                raise Gone(partition)
            yield

    async def step(self) -> None:
        """
        Fill what is asked for, partition by partition.

        Raises:
            PqlError: nothing may go on from here.
        """
        known = await self._stage.control.read()
        request = known.fill
        if request is None:
            return
        for partition in sorted(self._stage.partitions.owned()):
            if (partition, request.request_id) in known.reports or not self._roles.knows(partition):
                continue
            try:
                lineup = self._roles.of(partition)
                report = await self._filled(partition, lineup, request)
                async with self._turn(partition, lineup):
                    await self._stage.control.write(report)
            except (Gone, StreamLost) as exc:
                log.info("partition %d: not filled: %r", partition, exc)

    async def _filled(self, partition: int, lineup: Lineup, request: FillRequest) -> ReportAnswer:
        pack = request.pack.id
        if lineup.roster.pack(pack) is None:
            return lacking(partition, request.request_id, pack, lineup.roster)
        if lineup.live.id == pack:
            why = f"{pack} is live on partition {partition}: what is published would change; roll back first"
            return ReportAnswer(request_id=request.request_id, partition=partition, able=False, why=why)
        slots = slots_to_fill(lineup, pack)
        stretches = await self._history.stretches(partition)
        left = sum(stretch.end - stretch.first for stretch in stretches)
        try:
            for stretch in stretches:
                left -= stretch.end - stretch.first
                async for records in self._history.read(partition, stretch):
                    behind = left + stretch.end - (records[-1].offset if records else stretch.first)
                    self._stage.meter.fill_left(partition, pack, behind)
                    await self._fold_all(Part(stretch.topic, partition, records), lineup, slots)
        finally:
            self._stage.meter.fill_left(partition, pack, 0)
        return await self._conclude(partition, request, (lineup, slots), _all_known_from_ms(stretches))

    async def _fold_all(self, part: Part, lineup: Lineup, slots: int) -> None:
        left = iter(part.records)
        while some := list(islice(left, _ROWS)):
            await self._fold(part._replace(records=some), lineup, slots)

    async def _fold(self, part: Part, lineup: Lineup, slots: int) -> None:
        async with self._turn(part.partition, lineup):
            keys = (record.key for record in part.records)
            known, effects = self._stage.leads.of(part.partition, keys), Effects()
            for _, _, event in self._scorer.decoded(part, Effects()):
                # A lead without a row is not here, or nothing of it was missed yet.
                before = effects.states.get(event.lead_id) or known(event.lead_id)
                if before is not None and (after := fill(before, event, lineup, slots)) is not before:
                    effects.states[event.lead_id] = after
            await self._write(part.partition, effects)
        await asyncio.sleep(0)

    async def _conclude(
        self, partition: int, request: FillRequest, of: tuple[Lineup, int], from_ms: int | None
    ) -> ReportAnswer:
        """Say of every lead whose events were all read that it is complete."""
        lineup, slots = of
        count = Completeness(lineup, request.pack.id)
        ref = EventRef(request.request_id, self._stage.control.topic, 0, 0)
        cause = SwitchCause(ref, CAUSE_EVENT, parse_time_ms(request.asked_at, "asked_at"))
        keys = self._stage.rows.keys_of(partition)
        while some := list(islice(keys, _ROWS)):
            async with self._turn(partition, lineup):
                known, effects = self._stage.leads.of(partition, some), Effects()
                for key in some:
                    lead_id = key.decode()
                    before = known(lead_id)
                    if before is None:
                        continue
                    after = before
                    if from_ms is None or before.first_seen_at_ms >= from_ms:
                        after, differences = filled(lead_id, before, lineup, slots, cause)
                        effects.differences += encode_differences(differences, "backfill")
                        if after is not before:
                            effects.states[lead_id] = after
                    count.add(lead_id, after)
                await self._write(partition, effects)
            await asyncio.sleep(0)
        return count.report(partition, request.request_id)

    async def _write(self, partition: int, effects: Effects) -> None:
        if effects.states:
            async with self._stage.partitions.settled(partition):
                await self._stage.guarantee.write_alone(partition, effects)


def _all_known_from_ms(stretches: Sequence[Stretch]) -> int | None:
    """
    From when on all events are in *stretches*; None where nothing was deleted yet.

    What a lead did after the oldest record was written cannot have been written before it; but clocks of producers may
    be a day ahead of it (CONTRACT.md 2).
    """
    cut = [stretch.first_at_ms for stretch in stretches if stretch.first > 0]
    if not cut:
        return None
    return max(_NEVER_MS if at_ms is None else at_ms + DAY_MS for at_ms in cut)
