"""Fills in history: old events onto the backfill topic, the wait for their scores, and who reached a tier untold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaException, TopicPartition

from pql_stream.core.changes import ModeName
from pql_stream.core.values import Number
from pql_stream.errors import BrokerAway, InvalidEvent, PqlError
from pql_stream.ops.emitter import Emitter
from pql_stream.ops.group_offsets import committed_offsets
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.reading import committed_consumer, reading, records_of, watermarks
from pql_stream.replay.replayer import Rejected
from pql_stream.replay.source import Recorded
from pql_stream.stream.metrics import PartitionId
from pql_stream.wire.events import decode_event
from pql_stream.wire.headers import ANNOUNCE, OURS_PREFIX, Headers

_LOOK_EVERY_S = 0.5


def fill_in(
    events: Iterable[Recorded],
    emitter: Emitter,
    rejected: list[Rejected],
    *,
    announce: bool,
    time_s: Callable[[], float],
) -> None:
    """
    Send *events*, each keyed by its lead, with the headers that it has; what is none goes into *rejected*.

    Raises:
        BrokerAway: the cluster does not answer any more.
    """
    ours = (ANNOUNCE,) if announce else ()
    for event in events:
        # What we have written onto a record before says nothing of this time.
        headers = [*(header for header in event.headers if not header[0].startswith(OURS_PREFIX)), *ours]
        try:
            lead_id = _lead_of(event, headers, int(time_s() * 1000))
        except InvalidEvent as exc:
            rejected.append(Rejected.of(event, exc))
        else:
            emitter.send(lead_id.encode(), event.value, headers)


def _lead_of(event: Recorded, headers: Headers, now_ms: int) -> str:
    # Kafka will stamp the record with the time of now, and an event is judged by that.
    place = (event.topic, event.partition, event.offset)
    return decode_event(event.value, *place, timestamp_ms=now_ms, headers=headers).lead_id


class ScoredOffsets(Protocol):
    """How far scoring is."""

    def committed(self) -> Mapping[int, int]:
        """Of each partition the offset up to which all is scored."""


class CommittedOffsets:
    """The offsets that the consumer *group* has committed of *topic*."""

    def __init__(self, client_config: Mapping[str, Any], group: str, topic: str, partitions: Sequence[int]) -> None:
        self._asked = [PartitionId(topic, partition) for partition in partitions]
        self._client = committed_consumer(client_config, group)

    def committed(self) -> Mapping[int, int]:
        """
        As `ScoredOffsets` has it.

        Raises:
            BrokerAway: the cluster does not answer.
        """
        try:
            committed = committed_offsets(self._client, self._asked)
        except KafkaException as exc:
            raise BrokerAway(
                "the cluster does not tell how far scoring is",
                why=exc.args[0].str(),
                what_to_do="the events are safe on their topic, and are scored when it is back",
            ) from exc
        return {at.partition: offset for at, offset in committed.items()}


def wait_until_scored(
    scored: ScoredOffsets,
    ends: Mapping[int, int],
    progress: Callable[[int, int], None],
    *,
    stalled_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """
    Return when all before *ends* is scored; *progress* is told how much is done, and of how much.

    Raises:
        PqlError: scoring has not moved for *stalled_s* seconds.
    """
    total = before = _left(scored, ends)
    moved_at_s = clock()
    while left := _left(scored, ends):
        progress(total - left, total)
        if left != before:
            before, moved_at_s = left, clock()
        elif clock() - moved_at_s >= stalled_s:
            raise PqlError(
                f"{left:,} events are not scored yet",
                why=f"no worker has moved on them for {stalled_s:g} s",
                what_to_do="see that a worker runs, and that live events leave it time; what is filled in is safe on "
                "its topic. The same command waits again: what is repeated counts once",
            )
        sleep(_LOOK_EVERY_S)
    progress(total, total)


def _left(scored: ScoredOffsets, ends: Mapping[int, int]) -> int:
    committed = scored.committed()
    return sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What a record of `pql-qualified` says of a lead that reached a tier."""

    qualification_id: str
    lead_id: str
    account_id: str | None
    pack: str
    tier: str
    tier_before: str
    score: Number
    sales_ready: bool
    handoff: str | None
    occurred_at: str
    mode: ModeName
    announce: bool = False

    @property
    def is_told(self) -> bool:
        """Somebody is told of it."""
        return self.mode == "live" or self.announce


_decode = msgspec.json.Decoder(Reached).decode


def qualified_ends(client_config: Mapping[str, Any], topic: str) -> dict[int, int]:
    """
    Of each partition of *topic* the end that it has now.

    Raises:
        BrokerError: the cluster is away.
    """
    count = TopicCluster(client_config).partitions([topic]).get(topic, 0)
    with reading(client_config, topic) as consumer:
        return {partition: watermarks(consumer, TopicPartition(topic, partition))[1] for partition in range(count)}


def untold_since(client_config: Mapping[str, Any], topic: str, since: Mapping[int, int]) -> list[Reached]:
    """
    The leads that reached a tier behind the offsets *since* of *topic* and nobody is told; the highest tier of each.

    Raises:
        BrokerError: the cluster is away, or does not let us read.
    """
    found: list[Reached] = []
    with reading(client_config, topic) as consumer:
        for partition, offset in since.items():
            messages = records_of(consumer, TopicPartition(topic, partition), first=offset)
            found += untold(message.value() or b"" for message in messages)
    return sorted(found, key=lambda one: (-one.score, one.lead_id))


def untold(values: Iterable[bytes]) -> list[Reached]:
    """Of records of one partition, in order, the last of each lead that nobody is told of; it says what was before."""
    told: set[str] = set()
    silent: dict[str, Reached] = {}
    for value in values:
        try:
            record = _decode(value)
        except (msgspec.DecodeError, RecursionError):
            continue  # somebody else's: the topic is open
        if record.is_told:
            told.add(record.qualification_id)
        else:
            silent.setdefault(record.qualification_id, record)
    last: dict[tuple[str, str], Reached] = {}
    for record in silent.values():
        if record.qualification_id not in told:
            before = last.get((record.lead_id, record.pack), record).tier_before
            last[record.lead_id, record.pack] = msgspec.structs.replace(record, tier_before=before)
    return list(last.values())
