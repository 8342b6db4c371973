"""
The scorer: a batch of raw records and the states of their leads in, what to send and what to store out.

Pure: it neither sends nor stores, has no clock and knows no Faust. A batch that is handed in again, after a
crash, gives the same effects.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pql_stream.core.changes import MODES, Mode, ModeName, ScoreChange
from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack
from pql_stream.core.profiles import ProfileState, merge_profiles, said_by, says_who
from pql_stream.core.routes import CANARY_LEAD_ID
from pql_stream.core.shadows import advance_all
from pql_stream.core.states import LeadState, Step
from pql_stream.core.transition import advance, follow
from pql_stream.errors import InvalidEvent
from pql_stream.stream.effects import Counts, Effects
from pql_stream.stream.metrics import PackTier, Rejection, RejectStage
from pql_stream.stream.modes import Modes
from pql_stream.stream.names import Topics
from pql_stream.stream.partitioner import partition_of
from pql_stream.stream.published import Ahead
from pql_stream.stream.roles import Roles
from pql_stream.stream.shadow_differences import encode_differences, notes_of
from pql_stream.wire.dead_letters import dead_letter_headers
from pql_stream.wire.events import decode_event
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.records import OutRecord, SourceBatch, SourceRecord, header_bytes
from pql_stream.wire.rekeyed import Origin, read_origin, rekeyed_headers
from pql_stream.wire.score_changed import encode_score_changed

_NOBODY: Mapping[str, Ahead] = {}

_FORWARDED_BYTES_MAX = 2_500_000
"""What surely fits, uncompressed and with our headers, into the 3 MiB of the re-keyed topic."""


T = TypeVar("T")


class _Asked(dict[str, T | None]):
    """What *known* says of leads; it is asked once a lead."""

    def __init__(self, known: Callable[[str], T | None]) -> None:
        self._known = known

    def __missing__(self, lead_id: str) -> T | None:
        said = self[lead_id] = self._known(lead_id)
        return said


def _nothing_known(_lead_id: str) -> None:
    return None


class _Seen:
    """
    The accepted events of a batch whose records are all of *mode*; None: then *each* has the mode and lead of each.

    They are counted at the end of a batch: one by one it would cost as much as to decode them. So are the changes that
    they made: *scores* has those that they led to.
    """

    def __init__(self, mode: ModeName | None) -> None:
        self.mode = mode
        self.names: list[str] = []
        self.timestamps_ms: list[int] = []
        self.each: list[tuple[ModeName, str]] = []
        self.scores: dict[ModeName, list[int]] = {mode: [] for mode in MODES}

    def count_into(self, counts: Mapping[ModeName, Counts], leads: int, pack: CompiledPack) -> None:
        """Count them; they are of so many *leads*, and changes are those of *pack*."""
        for told, scores in self.scores.items():
            for score, count in Counter(scores).items():
                counts[told].changed[_pack_tier(pack, score)] += count
        if self.mode is not None:
            _count(counts[self.mode], self.names, self.timestamps_ms, leads)
            return
        for mode in MODES:
            at = [i for i, (its_mode, _) in enumerate(self.each) if its_mode == mode]
            leads = len({self.each[i][1] for i in at} - {CANARY_LEAD_ID})
            _count(counts[mode], [self.names[i] for i in at], [self.timestamps_ms[i] for i in at], leads)


def _pack_tier(pack: CompiledPack, score: int) -> PackTier:
    return PackTier(pack.tier_of(score).name, pack.name, pack.version)


def _count(counts: Counts, names: Sequence[str], timestamps_ms: Sequence[int], leads: int) -> None:
    counts.accepted = Counter(names)
    counts.timestamps_ms = timestamps_ms
    counts.leads_evaluated = leads


Decoded = tuple[SourceRecord, int, ProductEvent]
"""A record, the timestamp that it has where the producer's record lies, and its event."""


class Scorer:
    """
    Scores batches of one partition number by its packs; *partitions* is the count of every keyed topic.

    What happened over *backfill_older_than_ms* before it was written counts as filled in.
    """

    def __init__(
        self, roles: Roles, topics: Topics, partitions: int, *, backfill_older_than_ms: int | None = None
    ) -> None:
        self._roles = roles
        self._modes = Modes(topics, backfill_older_than_ms)
        self._rekeyed_topic = topics.activity_rekeyed
        self._partitions = partitions

    def score(
        self,
        batch: SourceBatch,
        known: Callable[[str], LeadState | None],
        ahead: Mapping[str, Ahead] = _NOBODY,
        known_contact: Callable[[str], ProfileState | None] = _nothing_known,
    ) -> Effects:
        """
        Score *batch*; *known* gives the stored state of a lead that has one, and is asked once a lead.

        *known_contact* gives its contact data, and is asked only where an event says something of it. *ahead* is
        what is published of leads beyond their states. What the two raise goes through: it is no fault of the record.
        """
        lineup = self._roles.of(batch.partition)
        pack, is_alone = lineup.live, not lineup.shadows
        effects = Effects()
        contacts = _Asked(known_contact)
        before = _Asked(known)
        after: dict[str, LeadState] = {}
        seen = _Seen(self._modes.of_batch(batch.topic))
        names, timestamps_ms, mode = seen.names, seen.timestamps_ms, seen.mode
        timestamp_ms, event = -1, None
        for record, timestamp_ms, event in self.decoded(batch, effects):
            lead_id = event.lead_id
            state = after.get(lead_id)
            if state is None:
                state = before[lead_id]
            try:
                if state is None and self._forward(batch, record, lead_id, effects):
                    continue
                step = advance(state, event, pack) if is_alone else advance_all(state, event, lineup)
                # One look-up; only events that may have contact data pay for more.
                said = said_by(event) if says_who(event.name) else None
                # Who has one pack has no differences.
                if step.change is not None or step.differences:
                    how = self._modes.telling(mode, event, timestamp_ms, record.headers)
                    step = self._told(step, how, ahead, effects, seen)
            except InvalidEvent as exc:
                self._reject(batch, record, exc, "score", effects)
            except Exception:  # noqa: BLE001 - a bug of ours must cost one record, not the stream (DESIGN.md 4)
                self._reject_bug(batch, record, "score", effects)
            else:
                after[lead_id] = step.state
                if said is not None:
                    _note_contact(said, lead_id, contacts, effects)
                names.append(event.name)
                timestamps_ms.append(timestamp_ms)
                if mode is None:
                    seen.each.append((self._modes.of_event(event, timestamp_ms), lead_id))
        effects.skew_ms = _skew_ms(timestamp_ms, event)
        seen.count_into(effects.counts, len(after) - (CANARY_LEAD_ID in after), pack)
        effects.states = {lead_id: state for lead_id, state in after.items() if state is not before[lead_id]}
        return effects

    def decoded(self, batch: SourceBatch, effects: Effects) -> Iterator[Decoded]:
        """The records of *batch* that are events; what becomes of the others goes into *effects*."""
        topic, partition = batch.topic, batch.partition
        is_rekeyed = topic == self._rekeyed_topic
        for record in batch.records:
            value = record.value
            if not value:
                effects.counts[self._modes.of_topic(batch.topic)].skipped += 1
                continue
            offset, timestamp_ms = record.offset, record.timestamp
            if is_rekeyed:
                topic, partition, offset, timestamp_ms = self._origin(batch, record)
            try:
                event = decode_event(value, topic, partition, offset, timestamp_ms=timestamp_ms, headers=record.headers)
            except InvalidEvent as exc:
                self._reject(batch, record, exc, "decode", effects)
            except Exception:  # noqa: BLE001 - as in `score`
                self._reject_bug(batch, record, "decode", effects)
            else:
                yield record, timestamp_ms, event

    def _told(self, step: Step, mode: Mode, ahead: Mapping[str, Ahead], effects: Effects, seen: _Seen) -> Step:
        """Put the outputs of *step* into *effects*, all of them, or none when one cannot be encoded; as it is told."""
        lead_id = (step.change or step.differences[0]).lead_id
        differences = encode_differences(step.differences, mode.name) if step.differences else ()
        if step.change is not None:
            if lead_id in ahead:
                step = self._catch_up(step, step.change, ahead[lead_id], effects)
            score = _tell(step, lead_id, mode, effects)
            if lead_id != CANARY_LEAD_ID:  # nobody's score
                seen.scores[mode.name].append(score)
        if differences:
            effects.differences += differences
            if lead_id != CANARY_LEAD_ID:
                effects.counts[mode.name].shadows.update(notes_of(step.differences))
        return step

    def _catch_up(self, step: Step, change: ScoreChange, published: Ahead, effects: Effects) -> Step:
        """*step* as it is where its *change* says again what is published; else what follows that."""
        if change.lead_id in effects.caught_up:
            return step
        if published.overtaken_by(change):
            effects.caught_up.add(change.lead_id)
            return follow(step, published.newest, change.pack)
        if published.reached_by(change):
            effects.caught_up.add(change.lead_id)
        return step

    def _origin(self, batch: SourceBatch, record: SourceRecord) -> Origin:
        """Where the producer's record lies; only our own re-keyed records may say that it is elsewhere."""
        if batch.topic == self._rekeyed_topic and (origin := read_origin(record.headers)) is not None:
            return origin
        return Origin(batch.topic, batch.partition, record.offset, record.timestamp)

    def _forward(self, batch: SourceBatch, record: SourceRecord, lead_id: str, effects: Effects) -> bool:
        """
        Send *record* to the partition that its lead belongs to; False if that is the partition of *batch*.

        Asked only for leads without a state here: one that has a state is at home, and hashing costs
        microseconds. A record is never forwarded twice: on the re-keyed topic it counts where it lies.

        Raises:
            InvalidEvent: it is too large for that topic.
        """
        if batch.topic == self._rekeyed_topic:
            return False
        key = lead_id.encode()
        home = partition_of(key, self._partitions)
        if home == batch.partition:
            return False
        effects.rekeyed.setdefault(home, []).append(_forwarded(record, key, self._origin(batch, record)))
        effects.counts[self._modes.of_topic(batch.topic)].rekeyed += 1
        return True

    def _reject(
        self, batch: SourceBatch, record: SourceRecord, fault: InvalidEvent, stage: RejectStage, effects: Effects
    ) -> None:
        origin = self._origin(batch, record)
        headers = dead_letter_headers(
            record.headers,
            fault,
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            timestamp_ms=origin.timestamp_ms,
        )
        effects.dead_letters.append(OutRecord(record.key, record.value, headers))
        effects.counts[self._modes.of_topic(origin.topic)].rejected[Rejection(stage, fault.reason)] += 1

    def _reject_bug(self, batch: SourceBatch, record: SourceRecord, stage: RejectStage, effects: Effects) -> None:
        kind, _, trace = sys.exc_info()
        # Without the exception's own text: it may quote the record, and so somebody's e-mail address.
        effects.bugs.append("".join(traceback.format_tb(trace)) + (kind.__name__ if kind else ""))
        self._reject(batch, record, InvalidEvent("internal_error"), stage, effects)


def _tell(step: Step, lead_id: str, mode: Mode, effects: Effects) -> int:
    """
    The change of *step*, and the qualification that goes with it; both, or none when one cannot be encoded.

    Returns the score that it leads to.
    """
    change, qualification = step.change, step.qualification
    assert change is not None  # noqa: S101 - the caller has looked
    key, pack = lead_id.encode(), change.pack
    told = OutRecord(key, encode_score_changed(change, mode))
    if qualification is not None:
        effects.qualifications.append(OutRecord(key, encode_pql_qualified(qualification, mode)))
        if lead_id != CANARY_LEAD_ID:
            effects.counts[mode.name].qualified[PackTier(qualification.tier, pack.name, pack.version)] += 1
    effects.changes.append(told)
    return change.score_after


def _skew_ms(timestamp_ms: int, event: ProductEvent | None) -> int | None:
    """None without an event, or without a timestamp of its record (-1)."""
    return None if event is None or timestamp_ms < 0 else timestamp_ms - event.occurred_at_ms


def _note_contact(said: ProfileState, lead_id: str, contacts: _Asked[ProfileState], effects: Effects) -> None:
    """What an event has *said* of a lead, if it is news."""
    before = effects.profiles.get(lead_id, contacts[lead_id])
    after = merge_profiles(before, said)
    if after is not before:
        effects.profiles[lead_id] = after


def _forwarded(record: SourceRecord, key: bytes, origin: Origin) -> OutRecord:
    """
    *record* for the topic of re-keyed records.

    Raises:
        InvalidEvent: it is too large for that topic: an event of a megabyte with as much in its headers.
    """
    if len(record.value or b"") + header_bytes(record.headers) > _FORWARDED_BYTES_MAX:
        raise InvalidEvent("too_large", "headers", "too much to be forwarded to the lead's partition")
    return OutRecord(key, record.value, rekeyed_headers(record.headers, origin))
