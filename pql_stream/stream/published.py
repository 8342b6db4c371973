"""
What a part of `score-changed` says of each lead, held against its stored row. Pure.

The row of a lead and its last record go together when everything is in order. Where they do not, somebody
was interrupted between the two, or a write of an earlier owner arrived late:

- the record is *ahead*: its change was written, and its row not. The events are read again. A lead whose
  events come on one route makes the very same change again, and must not get any other record; on two routes
  the order may be another one now, and the change may never come again.
- the record is *behind*: an older one came after the owner's. The owner's are written again, the same bytes. A record
  of a pack that was live before, behind the offset at which the packs changed, is one of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from pql_stream.core.changes import Mode, PublishedChange, ScoreChange
from pql_stream.core.packs import CompiledPack
from pql_stream.core.shadows import CUTOVER_EVENT
from pql_stream.core.states import PackState
from pql_stream.core.transition import nothing_scored
from pql_stream.wire.change_models import decode_score_changed
from pql_stream.wire.records import OutRecord


class LogRecord(Protocol):
    """A record of `score-changed`."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Ahead:
    """A lead about which more is published than its row knows: the newest change, and by sequence what is known."""

    newest: PublishedChange
    said: Mapping[int, PublishedChange]

    @property
    def mode(self) -> Mode:
        """How to tell of what takes it back: to whoever was told of any of it."""
        told = (change.mode for change in self.said.values() if change.mode.announce)
        return next(told, self.newest.mode)

    def overtaken_by(self, change: ScoreChange) -> bool:
        """*change* stands where another one is published: it must not have that one's number, or even its id."""
        said = self.said.get(change.sequence)
        return said is not None and (said.change_id, said.points) != (change.change_id, change.points)

    def reached_by(self, change: ScoreChange) -> bool:
        """With *change* the lead has come to the end of what is published."""
        return change.sequence >= self.newest.sequence


@dataclass(slots=True)
class Found:
    """What the records that were read say about one lead, and what its row says."""

    row: PackState
    last: PublishedChange
    last_offset: int
    newest: PublishedChange
    said: dict[int, PublishedChange] = field(default_factory=dict)
    is_of_before: bool = False
    """The last record is of a pack that is not live any more; *last* is ours before it, or the row's number."""

    @property
    def is_ahead(self) -> bool:
        """Its row knows less."""
        return self.newest.sequence > self.row.sequence

    @property
    def is_right(self) -> bool:
        """Its last record is that of its row."""
        return not self.is_of_before and (self.newest.sequence, self.last.sequence, self.last.points) == (
            self.row.sequence,
            self.row.sequence,
            self.row.points,
        )


class Survey:
    """Reads records in order; afterwards `ahead` and `behind` have the leads that are not in order."""

    def __init__(self, pack: CompiledPack, others: Sequence[CompiledPack] = (), live_from: int = 0) -> None:
        """*pack* is live from the offset *live_from* on; *others* may have been live before."""
        self._pack = pack
        self._others = others
        self._live_from = live_from
        self._unseen = nothing_scored(pack)
        self._found: dict[str, Found] = {}

    def add(self, records: Iterable[LogRecord], rows: Mapping[bytes, PackState]) -> None:
        """*rows* has the stored row of each lead of *records* that has one."""
        for record in records:
            change = change_in(record, self._pack)
            if change is None:
                if record.offset >= self._live_from:
                    self._add_late(record, rows)
                continue
            row = rows.get(record.key or b"", self._unseen)
            found = self._found.get(change.lead_id)
            if found is None:
                found = self._found[change.lead_id] = Found(row, change, record.offset, change)
            found.last, found.last_offset, found.is_of_before = change, record.offset, False
            if change.sequence >= found.newest.sequence:
                found.newest = change
            if change.sequence > row.sequence:
                found.said[change.sequence] = change
            if found.is_right:
                del self._found[change.lead_id]

    def _add_late(self, record: LogRecord, rows: Mapping[bytes, PackState]) -> None:
        """*record*, if it is of a pack that was live before: from somebody who had not heard that it is no more."""
        late = next((change for pack in self._others if (change := change_in(record, pack)) is not None), None)
        row = rows.get(record.key or b"", self._unseen)
        # Of a lead of whom the live pack has told nothing, the pack before may have the last word. And a pack that goes
        # live has it already where it tells of that, if its cast is still to come.
        if late is None or not row.sequence or late.cause_event == CUTOVER_EVENT:
            return
        found = self._found.get(late.lead_id)
        if found is None:
            ours = replace(late, sequence=row.sequence, points=row.points)
            found = self._found[late.lead_id] = Found(row, ours, record.offset, ours)
        found.last_offset, found.is_of_before = record.offset, True

    def ahead(self) -> dict[str, Ahead]:
        """The leads whose row does not know yet what is published."""
        return {lead_id: Ahead(found.newest, found.said) for lead_id, found in self._found.items() if found.is_ahead}

    def behind(self) -> dict[str, Found]:
        """The leads whose last record is older than their row."""
        return {lead_id: found for lead_id, found in self._found.items() if not found.is_ahead}


class Search:
    """Looks for the owner's records of leads that are behind; read backwards, part by part."""

    def __init__(self, behind: Mapping[str, Found], pack: CompiledPack) -> None:
        self._behind = behind
        self._pack = pack
        self._ours: dict[str, dict[int, tuple[PublishedChange, OutRecord]]] = {lead_id: {} for lead_id in behind}

    def add(self, records: Sequence[LogRecord]) -> None:
        """*records*, in order, lie before all that were added before."""
        for record in reversed(records):
            change = change_in(record, self._pack)
            found = None if change is None else self._behind.get(change.lead_id)
            if change is None or found is None or record.offset == found.last_offset:
                continue
            if not found.last.sequence <= change.sequence <= found.row.sequence:
                continue
            if change.sequence < found.row.sequence or change.points == found.row.points:
                self._ours[change.lead_id].setdefault(change.sequence, (change, OutRecord(record.key, record.value)))

    def is_over(self) -> bool:
        """Everything was found, from the record that came late to the row's."""
        return all(
            len(self._ours[lead_id]) > found.row.sequence - found.last.sequence
            for lead_id, found in self._behind.items()
        )

    def repeats(self) -> list[OutRecord]:
        """What to write again: behind a late record what came after it at first, in order."""
        return [
            self._ours[lead_id][sequence][1]
            for lead_id, found in self._behind.items()
            if not self._is_lost(lead_id, found)
            for sequence in range(min(found.last.sequence + 1, found.row.sequence), found.row.sequence + 1)
            if sequence in self._ours[lead_id]
        ]

    def lost(self) -> dict[str, Ahead]:
        """
        The leads that no repeat puts right: the log has lost theirs, or the late record is none itself.

        What a reader believes of them is to be taken back, as with a lead that is ahead.
        """
        return {
            lead_id: Ahead(replace(found.last, sequence=found.row.sequence), {})
            for lead_id, found in self._behind.items()
            if self._is_lost(lead_id, found)
        }

    def _is_lost(self, lead_id: str, found: Found) -> bool:
        ours = self._ours[lead_id]
        if found.is_of_before:
            return found.row.sequence not in ours
        at_late = ours.get(found.last.sequence)
        is_repeat = at_late is None or at_late[0].change_id == found.last.change_id
        return found.row.sequence not in ours or not is_repeat


def change_in(record: LogRecord, pack: CompiledPack) -> PublishedChange | None:
    """The change in *record*; None for what the owner of a partition does not write: it is no business of ours."""
    change = None if record.value is None else decode_score_changed(record.value, pack)
    return change if change is not None and change.lead_id.encode() == record.key else None


def offsets_to_pass(
    ahead: Iterable[Ahead], partition: int, ends: Mapping[str, int], forwarded_to: str
) -> dict[str, int]:
    """
    How far the sources of *partition* have to be done until all events that made *ahead* were read again.

    *ends* has the end of each source topic. Where an event lies is known when it lies on this partition of
    its topic; any other lies somewhere in the one that it was *forwarded_to*.
    """
    offsets = dict.fromkeys(ends, 0)
    for lead in ahead:
        cause = lead.newest.cause
        if cause.topic in ends and cause.partition == partition:
            offsets[cause.topic] = max(offsets[cause.topic], min(cause.offset + 1, ends[cause.topic]))
        else:
            offsets[forwarded_to] = ends[forwarded_to]
    return offsets
