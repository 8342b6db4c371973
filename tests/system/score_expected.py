"""All topics after a run, and what the oracle makes of the input topic as Kafka holds it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from score_bench import ScoreBench, Stored

from tests.oracle.contacts import contacts_of
from tests.oracle.decode import Event, Rejected, Skipped, read_record
from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.score import PQL_100, Pack, replay

Json = dict[str, Any]

_PARTS = {"posts": "community_posts", "requests": "feature_requests"}
"""The contract leaves the names of the parts of an input open; the oracle has shorter ones."""


@dataclass(frozen=True)
class Run:
    """All topics after a run."""

    partitions: int
    activity: list[Stored]
    rekeyed: list[Stored]
    dead_letters: list[Stored]
    changes: list[Stored]
    qualifications: list[Stored]
    rows: list[Stored]
    profiles: list[Stored]

    @classmethod
    def of(cls, bench: ScoreBench) -> Run:
        topics = bench.topics
        names = (
            topics.activity,
            topics.activity_rekeyed,
            topics.activity_dlq,
            topics.score_changed,
            topics.qualified,
            topics.leads_changelog,
            topics.lead_profiles,
        )
        return cls(bench.partitions, *bench.read(*names))

    def last_rows(self) -> dict[bytes | None, Stored]:
        """The last row of each key, in the partition that it lies on."""
        return {row.key: row for row in self.rows}


class Expected:
    """What the oracle makes of the input topic as Kafka holds it."""

    def __init__(self, run: Run, pack: Pack = PQL_100) -> None:
        self.pack = pack
        self.partitions = run.partitions
        self.events: list[tuple[Stored, Event]] = []
        self.rejected: dict[tuple[int, int], tuple[Stored, Rejected]] = {}
        self.skipped = 0
        self.routes: dict[str, set[int]] = defaultdict(set)
        for record in run.activity:
            self._read(record)
        replayed = replay((event for _, event in self.events), pack)
        self.changes = _by_lead([_as_written(change) for change in replayed.changes])
        self.qualifications = _by_lead(replayed.qualifications)
        self.contacts = contacts_of(event for _, event in self.events)
        self.scores = {score["lead_id"]: _as_written(score) for score in replayed.scores}

    def _read(self, record: Stored) -> None:
        place = (record.topic, record.partition, record.offset)
        read = read_record(record.value, headers=record.headers, timestamp_ms=record.timestamp_ms, place=place)
        if isinstance(read, Skipped):
            self.skipped += 1
        elif isinstance(read, Rejected):
            self.rejected[record.partition, record.offset] = (record, read)
        else:
            self.events.append((record, read))
            self.routes[read.lead_id].add(record.partition)

    def home(self, lead_id: str) -> int:
        return partition_of_lead(lead_id, self.partitions)

    def has_order(self, lead_id: str) -> bool:
        """All its events come by one route, so their order is fixed."""
        return len(self.routes[lead_id]) == 1

    def forwarded(self) -> dict[tuple[int, int], tuple[Stored, Event]]:
        """The events that lie on a partition which is not their lead's."""
        return {
            (record.partition, record.offset): (record, event)
            for record, event in self.events
            if self.home(event.lead_id) != record.partition
        }


def _as_written(record: Json) -> Json:
    parts = [
        part | {"input": {_PARTS.get(name, name): value for name, value in part["input"].items()}}
        if isinstance(part["input"], dict)
        else part
        for part in record["contributions"]
    ]
    return record | {"contributions": parts}


def _by_lead(records: list[Json]) -> dict[str, list[Json]]:
    grouped: dict[str, list[Json]] = defaultdict(list)
    for record in records:
        grouped[record["lead_id"]].append(record)
    return grouped
