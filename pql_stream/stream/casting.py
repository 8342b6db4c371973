"""
Who is live on the partitions of this worker, and the change from one pack to another between two batches.

A partition's roles are what `pql-control` says (`control_log`). The order of a change of roles is the design:

1. Nothing of the old pack's may be open. At least once, a crash may have left changes in `score-changed` that no row
   knows yet: first their events are read again, under the old pack, which says the same once more.
2. With `announce: new` the leads that the new pack puts higher than ever announced are told, and their rows stored.
   A crash on the way leaves some of them told, and their rows say so: the repeat goes on with the others.
3. The cast is written. From here on the new pack is live, whoever owns the partition; before it the old one is.
4. The next batch is scored by the new pack.

Rows are not touched by it: they are taken over lead by lead, at the next event (`core.shadows.adopt`). Everything of
the old pack's batches is stored before 3, so events that a crash lets come again after it change nothing under either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from pql_stream.core.lineups import Lineup, Roster
from pql_stream.core.packs import PackId
from pql_stream.core.refs import EventRef
from pql_stream.core.routes import CANARY_LEAD_ID
from pql_stream.core.shadows import CUTOVER_EVENT, SwitchCause, announce, unannounced
from pql_stream.core.states import LeadState
from pql_stream.errors import InvalidState, StreamLost
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.effects import Effects
from pql_stream.stream.metrics import Meter
from pql_stream.stream.published import Ahead
from pql_stream.stream.roles import Roles
from pql_stream.wire.control import Answer, CastAnswer, CheckRequest, PackRef, ReportAnswer, SwitchRequest
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.records import OutRecord
from pql_stream.wire.score_changed import encode_score_changed
from pql_stream.wire.shared_rows import load_lead, old_state
from pql_stream.wire.times import parse_time_ms

FIRST_REQUEST = "first-start"
_ROWS = 500
"""Looked at in one go: some milliseconds."""

log = logging.getLogger(__name__)


class Control(Protocol):
    """`pql-control`."""

    @property
    def topic(self) -> str: ...

    async def read(self) -> ControlLog:
        """All of it, up to the end that it has now."""

    async def write(self, answer: Answer) -> None:
        """
        Write what the owner of a partition has to say; returns when it is durable, and read.

        Raises:
            StreamLost: the partition may belong to somebody else.
        """


class Rows(Protocol):
    """The table of leads."""

    def keys_of(self, partition: int) -> Iterator[bytes]:
        """The keys of all rows of *partition*."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """The rows of those *keys* that have one."""


class Leads(Protocol):
    """The states of leads."""

    def of(self, partition: int, expected: Iterable[bytes | None]) -> Callable[[str], LeadState | None]:
        """
        A function that gives the stored state of a lead of *partition*; good while no batch is handled.

        *expected* are keys of leads that will be asked for, about in this order.
        """

    def forget(self, partition: int) -> None:
        """Read the rows of *partition* anew."""


class Guarantee(Protocol):
    """What is promised of effects."""

    async def write_alone(self, partition: int, effects: Effects) -> object:
        """Make *effects*, which no batch has made, durable."""


class Partitions(Protocol):
    """What this worker owns."""

    def owned(self) -> Collection[int]:
        """The partitions that are ours and recovered."""

    def turn(self, partition: int) -> AbstractAsyncContextManager[None]:
        """The time between two batches of *partition*."""

    def settled(self, partition: int) -> AbstractAsyncContextManager[Mapping[str, Ahead]]:
        """
        Within its turn: something other than a batch writes; gives the leads about which more is published than their
        rows know.
        """

    async def offsets(self, partition: int) -> Mapping[str, int]:
        """The offset that each topic's next record of *partition* will get, or be read at."""

    def gives_way(self) -> bool:
        """Partitions are to be handed over: work that can take long ends."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What casting works on. *clock* is seconds since 1970."""

    control: Control
    rows: Rows
    leads: Leads
    guarantee: Guarantee
    partitions: Partitions
    meter: Meter
    clock: Callable[[], float]


class Casting:
    """Keeps the *roles* of the owned partitions as the control topic has them."""

    def __init__(self, roles: Roles, stage: Stage) -> None:
        self._roles = roles
        self._stage = stage
        self._taken: set[int] = set()
        self._refused: set[tuple[int, str]] = set()
        self._said: set[PackId] = set()
        self._acting = asyncio.Lock()

    async def ready(self, partition: int) -> None:
        """
        Know who is live on *partition*, which is ours; a change that is asked for is made, if it can be. To be called
        before every batch, and in its turn.

        Raises:
            InvalidState: a pack is live there that this worker does not have.
            StreamLost: the partition may belong to somebody else.
        """
        if partition in self._taken:
            return
        known = await self._stage.control.read()
        if known.live(partition) is None:
            first = self._roles.roster.first.live.id
            await self._write_cast(partition, known, PackRef.of(first), FIRST_REQUEST)
        await self._take(partition)
        self._taken.add(partition)
        # Before the first batch: an owner before us may have told of leads whose rows it could not store any more. Told
        # of the same rows it is the same again.
        if self._to_switch(partition, await self._stage.control.read()) is not None:
            async with self._stage.partitions.settled(partition) as ahead:
                await self._act(partition, ahead)

    async def rest(self) -> None:
        """Return when nothing is under way; nothing is begun while partitions are handed over."""
        async with self._acting:
            pass

    async def release(self) -> None:
        """Own nothing."""
        async with self._acting:
            self._taken.clear()
            self._roles.release()

    async def step(self) -> None:
        """
        Do what is asked of the workers, on every owned partition on which it is not done.

        Raises:
            PqlError: nothing may go on from here.
        """
        known = await self._stage.control.read()
        for partition in sorted(self._stage.partitions.owned()):
            if not self._wanted(partition, known):
                continue
            async with self._acting:
                # Between the two somebody may have taken it away.
                if partition not in self._stage.partitions.owned():
                    continue
                try:
                    async with self._stage.partitions.turn(partition):
                        await self.ready(partition)
                        async with self._stage.partitions.settled(partition) as ahead:
                            await self._act(partition, ahead)
                except StreamLost as exc:
                    # It is handed over, or the next batch ends the process: nothing was cast.
                    log.warning("partition %d: the roles were not changed: %s", partition, exc)

    def _wanted(self, partition: int, known: ControlLog) -> bool:
        # One without events has to be known as well: what is published of it is looked after.
        if partition not in self._taken or self._is_behind(partition, known):
            return True
        if self._to_switch(partition, known) is not None:
            return True
        return known.check is not None and (partition, known.check.request_id) not in known.reports

    def _is_behind(self, partition: int, known: ControlLog) -> bool:
        """
        Did somebody else cast here? Only who was frozen over what he wrote, while the partition was his; what he did
        was asked for, and counts.
        """
        return known.live(partition) != self._roles.of(partition).live.id

    def _to_switch(self, partition: int, known: ControlLog) -> SwitchRequest | None:
        switch = known.switch
        if switch is None or known.live(partition) == switch.pack.id:
            return None
        return None if (partition, switch.request_id) in self._refused else switch

    async def _act(self, partition: int, ahead: Mapping[str, Ahead]) -> None:
        known = await self._stage.control.read()
        check = known.check
        if check is not None and (partition, check.request_id) not in known.reports:
            await self._report(partition, check)
        if ahead:
            return
        if self._is_behind(partition, known):
            await self._take(partition)
        switch = self._to_switch(partition, known)
        if switch is None:
            return
        lineup = self._roles.roster.led_by(switch.pack.id)
        if lineup is None:
            self._refused.add((partition, switch.request_id))
            await self._stage.control.write(lacking(partition, switch.request_id, switch.pack.id, self._roles.roster))
        elif switch.announce == "none" or await self._announce(partition, lineup, switch, known.switch_at):
            await self._write_cast(partition, known, switch.pack, switch.request_id)
            await self._take(partition)

    async def _write_cast(self, partition: int, known: ControlLog, live: PackRef, request_id: str) -> None:
        casts = known.casts.get(partition, [])
        answer = CastAnswer(
            request_id=request_id,
            partition=partition,
            number=len(casts),
            live=live,
            before=casts[-1].live if casts else None,
            offsets=await self._stage.partitions.offsets(partition),
            cast_at=rfc3339(int(self._stage.clock() * 1000)),
        )
        await self._stage.control.write(answer)

    async def _take(self, partition: int) -> None:
        """Take the roles that the control topic says, which may be others than were just asked for."""
        cast = (await self._stage.control.read()).casts[partition][-1]
        live = cast.live.id
        lineup = self._roles.roster.led_by(live)
        if lineup is None:
            have = ", ".join(map(str, self._roles.roster.ids))
            raise InvalidState(
                f"{live} is live on partition {partition}, and this worker has only {have}",
                why="the control topic says which pack is live, and not PQL_PACK",
                what_to_do=f"name {live.name} in PQL_PACK or PQL_SHADOW_PACKS",
            )
        self._roles.cast(partition, lineup, cast.offsets)
        self._stage.leads.forget(partition)
        if live != self._roles.roster.first.live.id and live not in self._said:
            self._said.add(live)
            log.warning(
                "%s is live on partition %d, as pql-control says; PQL_PACK, which names another, does not count",
                live,
                partition,
            )
        self._stage.meter.packs_cast(partition, live, [pack.id for pack in lineup.shadows])

    # --- all rows of a partition

    async def _report(self, partition: int, check: CheckRequest) -> None:
        """How complete the pack is that is asked for. Reads all rows, and writes none."""
        if self._roles.roster.pack(check.pack.id) is None:
            await self._stage.control.write(lacking(partition, check.request_id, check.pack.id, self._roles.roster))
            return
        lineup = self._roles.of(partition)
        count = Completeness(lineup, check.pack.id)
        async for rows in self._all_rows(partition):
            for key, row in rows.items():
                count.add(key.decode(), load_lead(row, lineup))
        if not self._stage.partitions.gives_way():
            await self._stage.control.write(count.report(partition, check.request_id))

    async def _announce(self, partition: int, lineup: Lineup, switch: SwitchRequest, at: int) -> bool:
        """Tell of the leads that *lineup* puts above all that was announced; False when it has to be done again."""
        request = EventRef(switch.request_id, self._stage.control.topic, 0, at)
        cause = SwitchCause(request, CUTOVER_EVENT, parse_time_ms(switch.asked_at, "asked_at"))
        try:
            with self._roles.rehearsed(partition, lineup):
                async for rows in self._all_rows(partition):
                    effects = Effects()
                    for key, row in rows.items():
                        _tell(key, row, lineup, cause, effects)
                    if effects.states:
                        await self._stage.guarantee.write_alone(partition, effects)
        finally:
            self._stage.leads.forget(partition)
        return not self._stage.partitions.gives_way()

    async def _all_rows(self, partition: int) -> AsyncIterator[Mapping[bytes, bytes]]:
        keys = self._stage.rows.keys_of(partition)
        while some := list(islice(keys, _ROWS)):
            if self._stage.partitions.gives_way():
                return
            yield self._stage.rows.get_many(partition, some)
            # Others have their turn.
            await asyncio.sleep(0)


def lacking(partition: int, request_id: str, pack: PackId, roster: Roster) -> ReportAnswer:
    """The answer of a worker that does not have the *pack* that is asked for."""
    why = f"the worker of partition {partition} does not have {pack}, only {', '.join(map(str, roster.ids))}"
    log.error("partition %d: what is asked for cannot be done: %s; name it in PQL_SHADOW_PACKS", partition, why)
    return ReportAnswer(request_id=request_id, partition=partition, able=False, why=why)


class Completeness:
    """Counts leads, those of whom a *pack* of *lineup* knows only a part of the events, and where it was edited."""

    def __init__(self, lineup: Lineup, pack: PackId) -> None:
        self._place = [one.id for one in lineup.packs].index(pack)
        self._needs = lineup.needs[self._place]
        self._points_of = lineup.packs[self._place].points_of
        self._leads = self._incomplete = self._losing = self._edited = 0
        self._complete_after_ms: int | None = None

    def add(self, lead_id: str, state: LeadState) -> None:
        """One lead more."""
        if lead_id == CANARY_LEAD_ID:
            return  # nobody
        self._leads += 1
        own = (state.pack, *state.shadows)[self._place]
        self._edited += own.points != self._points_of(state.features)
        if state.incomplete & self._needs:
            self._incomplete += 1
            self._complete_after_ms = max(self._complete_after_ms or 0, state.first_seen_at_ms)
            self._losing += sum(own.points) < sum(state.pack.points)

    def report(self, partition: int, request_id: str) -> ReportAnswer:
        """What was counted."""
        return ReportAnswer(
            request_id=request_id,
            partition=partition,
            able=True,
            leads=self._leads,
            incomplete=self._incomplete,
            losing=self._losing,
            edited=self._edited,
            complete_after=None if self._complete_after_ms is None else rfc3339(self._complete_after_ms),
        )


def _tell(key: bytes, row: bytes, lineup: Lineup, cause: SwitchCause, effects: Effects) -> None:
    """Put into *effects* what is to be told of the lead *key* when *lineup* goes live."""
    old = old_state(row, lineup.roster)
    if not unannounced(old, lineup):
        return
    lead_id = key.decode()
    state, change, qualification = announce(lead_id, old, lineup, cause)
    effects.changes.append(OutRecord(key, encode_score_changed(change)))
    effects.qualifications.append(OutRecord(key, encode_pql_qualified(qualification)))
    effects.states[lead_id] = state
