"""
One writer per partition of `score-changed`, and how each lead's last record is kept right. At least once only.

Three things can spoil it: a write of an earlier owner that arrives late, a row that was not stored after its
change was written, and both. All are looked for in the same way: read the part of the log that may be
spoilt, and hold it against the rows (`published`). Which part that is:

- behind a clean batch nothing is. The offsets that our writes get follow each other.
- after a gap, or a record behind our last one: from the end of the last batch.
- after a take-over: from the *note*, an offset that is committed with the sources. Everything before it was
  in order when it was committed, and stays so. After a clean hand-over it is the end of the log.

It is looked at only between two batches of a partition: then the rows know all that we have written.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pql_stream.core.states import LeadState
from pql_stream.core.transition import correct
from pql_stream.errors import StreamLost
from pql_stream.stream.published import Ahead, LogRecord, Search, Survey, offsets_to_pass
from pql_stream.stream.roles import Roles
from pql_stream.wire.records import OutRecord
from pql_stream.wire.score_changed import encode_score_changed

_ROUNDS_MAX = 20
_SEARCH_RECORDS = (1_000, 16_000)
"""How many offsets a search reads at first, and at most, at a time."""

_NOTE = re.compile(r"score-changed=([0-9]{1,18})")

log = logging.getLogger(__name__)


class Topic(Protocol):
    """`score-changed`, and the sources whose partitions go with its own."""

    @property
    def topic(self) -> str: ...

    async def end_offsets(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The offset that the next record of each of *partitions* will get."""

    async def first_offset(self, partition: int) -> int:
        """Where *partition* begins."""

    def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[LogRecord]]:
        """The records from *first* up to, not including, *end*, some at a time."""

    async def source_ends(self, partition: int) -> Mapping[str, int]:
        """The end of *partition* of each source topic."""

    def sources_done(self, partition: int) -> Mapping[str, int]:
        """The offset of each source topic before which everything of *partition* is done."""


class Writer(Protocol):
    """A producer: in order, acknowledged."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> Sequence[tuple[int, int]]:
        """Write *records*; the first and last offset of each batch of them."""


class States(Protocol):
    """The states of leads."""

    def of(self, partition: int, expected: Iterable[bytes | None]) -> Callable[[str], LeadState | None]:
        """
        A function that gives the stored state of a lead of *partition*; good while no batch is handled.

        *expected* are keys of leads that will be asked for, about in this order.
        """

    async def store(self, partition: int, states: Mapping[str, LeadState]) -> None:
        """Make *states* durable; returns when their changelog is acknowledged."""


@dataclass(slots=True)
class _Part:
    """
    An owned partition.

    Before *settled* nothing is spoilt, nor will be: there a new owner may begin to look. *next* is the offset
    that our next record must get. *unread*: between them lies what is not ours, or not known to be.
    """

    settled: int
    next: int
    unread: bool = True
    ahead: dict[str, Ahead] = field(default_factory=dict)
    offsets_to_pass: Mapping[str, int] = field(default_factory=dict)


class ChangesLog:
    """
    Keeps the owned partitions of `score-changed`; the changes of every batch go through `send`.

    *forwarded_to* is the source topic of events that were on another partition at first.
    """

    def __init__(
        self,
        topic: Topic,
        writer: Writer,
        leads: States,
        roles: Roles,
        confirm_lease: Callable[[], Awaitable[None]],
        *,
        forwarded_to: str,
    ) -> None:
        self._topic = topic
        self._writer = writer
        self._leads = leads
        self._roles = roles
        self._confirm_lease = confirm_lease
        self._forwarded_to = forwarded_to
        self._parts: dict[int, _Part] = {}
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    # --- what the transport tells

    def own(self, partition: int, notes: Collection[str]) -> None:
        """
        *partition* is ours, and its rows are recovered; *notes* were committed with its sources.

        Each of them is true, so the latest counts. What is not ours counts as the beginning.
        """
        offsets = [int(found[1]) for note in notes if (found := _NOTE.fullmatch(note))]
        offset = max(offsets, default=0)
        self._parts[partition] = _Part(settled=offset, next=offset)

    def note(self, partition: int) -> str:
        """Where the next owner of *partition* has to begin to look; "" when it is not ours."""
        part = self._parts.get(partition)
        return "" if part is None else f"score-changed={part.settled}"

    async def release(self) -> None:
        """Own nothing; waits for what is under way."""
        for partition in list(self._parts):
            async with self._locks[partition]:
                self._parts.pop(partition, None)

    async def check(self) -> None:
        """
        Look for records behind our last ones, and put right what they spoil.

        Raises:
            StreamLost: the partitions are not ours any more, or somebody else keeps writing to one.
        """
        if not self._parts:
            return
        for partition, end in (await self._topic.end_offsets(list(self._parts))).items():
            part = self._parts.get(partition)
            if (
                part is None
                or not self._roles.knows(partition)
                or (end == part.next and not part.unread and not part.ahead)
            ):
                continue
            # A batch may have been at it: under the lock it is done, and what it wrote is known.
            async with self._locks[partition]:
                if self._parts.get(partition) is part:
                    part.unread |= end > part.next
                    await self._settle(partition, part, {})

    # --- what the batches do

    @asynccontextmanager
    async def batch(self, partition: int, done: Callable[[], Mapping[str, int]]) -> AsyncIterator[dict[str, Ahead]]:
        """
        The time in which a batch is handled; at its end the offsets that *done* gives, by source topic, are done.

        Gives the leads about which more is published than their rows know; whoever catches up is to be taken
        out.

        Raises:
            StreamLost: as `check`.
        """
        async with self._locks[partition]:
            part = self._owned(partition)
            if part.unread:
                await self._settle(partition, part, {})
            yield part.ahead
            await self._settle(partition, part, done())

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """
        Write *records*, to whatever topic; those of `score-changed` only within a `batch`.

        Raises:
            StreamLost: the log is shorter than it was.
        """
        spans = await self._writer.send(topic, partition, records)
        if topic != self._topic.topic:
            return
        part = self._owned(partition)
        for first, last in spans:
            if first < part.next:
                raise StreamLost(f"partition {partition} of score-changed went back from {part.next} to {first}")
            if first > part.next:
                part.unread = True
            part.next = last + 1

    # --- between two batches

    def _owned(self, partition: int) -> _Part:
        if partition not in self._parts:
            raise StreamLost(f"partition {partition} of score-changed is not owned by this worker")
        return self._parts[partition]

    async def _settle(self, partition: int, part: _Part, done: Mapping[str, int]) -> None:
        """Put right what is spoilt, as far as it can be by now."""
        for _ in range(_ROUNDS_MAX):
            if part.unread:
                await self._look(partition, part)
            elif part.ahead and self._have_passed(partition, part, done):
                await self._take_back(partition, part)
            else:
                break
        else:
            raise StreamLost(f"another worker keeps writing to partition {partition} of score-changed")
        if not part.ahead:
            part.settled = part.next

    async def _look(self, partition: int, part: _Part) -> None:
        """Read what may be spoilt. Repeats are written at once, and then it is looked again."""
        end = (await self._topic.end_offsets([partition]))[partition]
        if end < part.settled:
            # The topic was made anew.
            part.settled = 0
        lineup = self._roles.of(partition)
        pack = lineup.live
        survey = Survey(pack, lineup.shadows, self._roles.live_from(partition, self._topic.topic))
        if part.settled < end:
            async for records in self._topic.read(partition, part.settled, end):
                states = self._states(partition, {record.key for record in records if record.key is not None})
                survey.add(records, {key: state.pack for key, state in states.items()})
        search = Search(survey.behind(), pack)
        await self._search(partition, search, end)
        if repeats := search.repeats():
            log.warning(
                "score-changed partition %d: older changes came behind newer ones; writing %d again",
                partition,
                len(repeats),
            )
            await self._confirm_lease()
            await self._writer.send(self._topic.topic, partition, repeats)
            return
        part.ahead = survey.ahead() | search.lost()
        if part.ahead:
            ends = await self._topic.source_ends(partition)
            part.offsets_to_pass = offsets_to_pass(part.ahead.values(), partition, ends, self._forwarded_to)
        part.next, part.unread = end, False

    async def _search(self, partition: int, search: Search, end: int) -> None:
        if search.is_over():
            return
        beginning = await self._topic.first_offset(partition)
        step, step_max = _SEARCH_RECORDS
        while not search.is_over() and end > beginning:
            first = max(beginning, end - step)
            search.add([record async for records in self._topic.read(partition, first, end) for record in records])
            end, step = first, min(step * 2, step_max)

    def _have_passed(self, partition: int, part: _Part, done: Mapping[str, int]) -> bool:
        offsets = {**self._topic.sources_done(partition), **done}
        return all(offsets.get(topic, 0) >= offset for topic, offset in part.offsets_to_pass.items())

    async def _take_back(self, partition: int, part: _Part) -> None:
        """
        Correct the leads that are still ahead.

        All events that made what is published were read again, and led to something else.
        """
        ahead, part.ahead = part.ahead, {}
        states = self._states(partition, {lead_id.encode() for lead_id in ahead})
        pack = self._roles.of(partition).live
        steps = {
            lead_id: correct(states[lead_id.encode()], published.newest, pack)
            for lead_id, published in ahead.items()
            # A lead without a row has no event on this partition: the record was never ours.
            if lead_id.encode() in states
        }
        changes = [
            OutRecord(lead_id.encode(), encode_score_changed(step.change, ahead[lead_id].mode))
            for lead_id, step in steps.items()
            if step.change is not None
        ]
        if changes:
            log.warning("score-changed partition %d: taking back %d changes", partition, len(changes))
            await self._confirm_lease()
            await self.send(self._topic.topic, partition, changes)
        if steps:
            await self._confirm_lease()
            await self._leads.store(partition, {lead_id: step.state for lead_id, step in steps.items()})
            # Whether that was all is seen by looking again.
            part.unread = True

    def _states(self, partition: int, keys: Collection[bytes]) -> dict[bytes, LeadState]:
        known = self._leads.of(partition, keys)
        # A key that is no text is nobody's; no record under it counts.
        found = {key: known(key.decode(errors="replace")) for key in keys}
        return {key: state for key, state in found.items() if state is not None}
