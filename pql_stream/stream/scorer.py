"""
The scorer: a batch of raw records and the rows of their leads in, what to send and what to store out.

Pure: it neither sends nor stores, has no clock and knows no Faust. `read` says which rows it needs,
`score` uses them. A batch that is handed in again, after a crash, gives the same effects.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack
from pql_stream.core.transition import LeadState, advance
from pql_stream.errors import InvalidEvent
from pql_stream.stream.metrics import PackTier, Rejection, RejectStage
from pql_stream.stream.names import Topics
from pql_stream.stream.partitioner import partition_of
from pql_stream.stream.records import OutRecord, SourceBatch, SourceRecord, header_bytes
from pql_stream.wire.dead_letters import dead_letter_headers
from pql_stream.wire.events import decode_event
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.rekeyed import Origin, read_origin, rekeyed_headers
from pql_stream.wire.rows import dump_state, load_state
from pql_stream.wire.score_changed import encode_score_changed

_FORWARDED_BYTES_MAX = 2_500_000
"""What surely fits, uncompressed and with our headers, into the 3 MiB of the re-keyed topic."""


@dataclass(slots=True)
class Counts:
    """What became of the records of a batch; they add up to the batch."""

    accepted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[Rejection] = field(default_factory=Counter)
    rekeyed: int = 0
    skipped: int = 0
    changed: Counter[PackTier] = field(default_factory=Counter)
    qualified: Counter[PackTier] = field(default_factory=Counter)
    leads_evaluated: int = 0
    bugs: list[str] = field(default_factory=list)
    """The traceback of each record that our own code failed on, for the log."""


@dataclass(slots=True)
class Reading:
    """A batch, decoded: the events in order, the row keys of their leads, and the records that are none."""

    batch: SourceBatch
    events: list[tuple[SourceRecord, Origin, ProductEvent]]
    keys: dict[str, bytes]
    dead_letters: list[OutRecord]
    counts: Counts


@dataclass(slots=True)
class Effects:
    """
    What a batch does. Everything but *rows* is sent, and acknowledged, before *rows* are stored.

    *rekeyed* is by partition. *timestamps_ms* has the Kafka timestamp of each accepted event.
    """

    changes: list[OutRecord]
    qualifications: list[OutRecord]
    dead_letters: list[OutRecord]
    rekeyed: dict[int, list[OutRecord]]
    rows: list[tuple[bytes, bytes]]
    timestamps_ms: list[int]
    counts: Counts


class Scorer:
    """Scores batches of one partition number by one pack; *partitions* is the count of every keyed topic."""

    def __init__(self, pack: CompiledPack, topics: Topics, partitions: int) -> None:
        self._pack = pack
        self._rekeyed_topic = topics.activity_rekeyed
        self._partitions = partitions

    def read(self, batch: SourceBatch) -> Reading:
        """Decode the records of *batch*."""
        reading = Reading(batch, [], {}, [], Counts())
        for record in batch.records:
            if not record.value:
                reading.counts.skipped += 1
                continue
            origin = self._origin(batch, record)
            try:
                event = decode_event(
                    record.value,
                    topic=origin.topic,
                    partition=origin.partition,
                    offset=origin.offset,
                    timestamp_ms=origin.timestamp_ms,
                    headers=record.headers,
                )
            except InvalidEvent as exc:
                _reject(reading, record, origin, exc, "decode")
            except Exception:  # noqa: BLE001 - a bug of ours must cost one record, not the stream (DESIGN.md 4)
                _reject_bug(reading, record, origin, "decode")
            else:
                reading.events.append((record, origin, event))
                if event.lead_id not in reading.keys:
                    reading.keys[event.lead_id] = event.lead_id.encode()
        return reading

    def score(self, reading: Reading, rows: Mapping[bytes, bytes]) -> Effects:
        """
        Score *reading*; *rows* has the stored row of each of its leads that has one.

        Raises:
            InvalidState: a row cannot be continued from.
        """
        effects = Effects([], [], reading.dead_letters, {}, [], [], reading.counts)
        before = {
            lead_id: load_state(row, self._pack)
            for lead_id, key in reading.keys.items()
            if (row := rows.get(key)) is not None
        }
        after: dict[str, LeadState] = dict(before)
        for record, origin, event in reading.events:
            key = reading.keys[event.lead_id]
            try:
                if event.lead_id not in after and (home := self._home_elsewhere(reading.batch, key)) is not None:
                    effects.rekeyed.setdefault(home, []).append(_forwarded(record, key, origin))
                    effects.counts.rekeyed += 1
                    continue
                self._score_event(event, key, after, effects)
            except InvalidEvent as exc:
                _reject(reading, record, origin, exc, "score")
            except Exception:  # noqa: BLE001 - as above; advance() left the state as it was
                _reject_bug(reading, record, origin, "score")
            else:
                effects.timestamps_ms.append(origin.timestamp_ms)
                effects.counts.accepted[event.name] += 1
        effects.counts.leads_evaluated = len(after)
        effects.rows = [
            (reading.keys[lead_id], dump_state(state, self._pack))
            for lead_id, state in after.items()
            if state is not before.get(lead_id)
        ]
        return effects

    def _score_event(self, event: ProductEvent, key: bytes, after: dict[str, LeadState], effects: Effects) -> None:
        step = advance(after.get(event.lead_id), event, self._pack)
        if step.change is not None:
            change = OutRecord(key, encode_score_changed(step.change))
            if step.qualification is not None:
                effects.qualifications.append(OutRecord(key, encode_pql_qualified(step.qualification)))
                effects.counts.qualified[self._tier(step.qualification.tier)] += 1
            effects.changes.append(change)
            effects.counts.changed[self._tier(step.change.tier_after)] += 1
        after[event.lead_id] = step.state

    def _tier(self, tier: str) -> PackTier:
        return PackTier(tier, self._pack.name, self._pack.version)

    def _origin(self, batch: SourceBatch, record: SourceRecord) -> Origin:
        """Where the producer's record lies; only our own re-keyed records may say that it is elsewhere."""
        if batch.topic == self._rekeyed_topic and (origin := read_origin(record.headers)) is not None:
            return origin
        return Origin(batch.topic, batch.partition, record.offset, record.timestamp)

    def _home_elsewhere(self, batch: SourceBatch, key: bytes) -> int | None:
        """
        The partition that the lead of *key* belongs to, if it is not the one of *batch*.

        Asked only for leads without a row here: one that has a row is at home, and hashing costs
        microseconds. A record is never forwarded twice: on the re-keyed topic it counts where it lies.
        """
        if batch.topic == self._rekeyed_topic:
            return None
        home = partition_of(key, self._partitions)
        return None if home == batch.partition else home


def _forwarded(record: SourceRecord, key: bytes, origin: Origin) -> OutRecord:
    """
    *record* for the topic of re-keyed records.

    Raises:
        InvalidEvent: it is too large for that topic: an event of a megabyte with as much in its headers.
    """
    if len(record.value or b"") + header_bytes(record.headers) > _FORWARDED_BYTES_MAX:
        raise InvalidEvent("too_large", "headers", "too much to be forwarded to the lead's partition")
    return OutRecord(key, record.value, rekeyed_headers(record.headers, origin))


def _reject(reading: Reading, record: SourceRecord, origin: Origin, fault: InvalidEvent, stage: RejectStage) -> None:
    headers = dead_letter_headers(
        record.headers,
        fault,
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        timestamp_ms=origin.timestamp_ms,
    )
    reading.dead_letters.append(OutRecord(record.key, record.value, headers))
    reading.counts.rejected[Rejection(stage, fault.reason)] += 1


def _reject_bug(reading: Reading, record: SourceRecord, origin: Origin, stage: RejectStage) -> None:
    kind, _, trace = sys.exc_info()
    # Without the exception's own text: it may quote the record, and so somebody's e-mail address.
    reading.counts.bugs.append("".join(traceback.format_tb(trace)) + (kind.__name__ if kind else ""))
    _reject(reading, record, origin, InvalidEvent("internal_error"), stage)
