"""
Are the outputs of a contender right? Its topics against a recomputation of the input topic.

Every lead's final score, its number of changes and its qualifications are held against a replay by the pure
core; and every record of some leads, field by field, against the oracle, which shares no line with the product.
The oracle reads all events of a lead again for every answer, so it gets as many leads as a budget allows.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.stream.names import Topics
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from tests.bench.cluster import Cluster, Stored
from tests.oracle.decode import Event, read_record
from tests.oracle.score import replay

Json = dict[str, Any]

ORACLE_STEPS_MAX = 1_000_000
"""Events read again and again by the oracle, in total: some seconds."""
ORACLE_LEADS_MAX = 200
FAULTS_SHOWN = 5
_OPAQUE = ("change_id", "qualification_id", "reasons")
_INPUT_NAMES = {"posts": "community_posts", "requests": "feature_requests"}
"""The contract leaves the names of the parts of an input open; the oracle has shorter ones."""


@dataclass(slots=True)
class LeadResult:
    """What is to be said about one lead."""

    score: float = 0
    changes: int = 0
    tiers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the input topic makes of its leads; *by_oracle* has all records of some of them, by lead."""

    leads: dict[bytes, LeadResult]
    events: int
    changes_by_oracle: dict[bytes, list[Json]]
    qualifications_by_oracle: dict[bytes, list[Json]]

    @property
    def changes(self) -> int:
        """Of all leads."""
        return sum(lead.changes for lead in self.leads.values())


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict on one run, and how much was looked at."""

    leads: int
    changes: int
    qualifications: int
    leads_by_oracle: int
    faults: tuple[str, ...]


def expected_of(cluster: Cluster, topic: str) -> Expected:
    """Read *topic* and recompute it."""
    pack = compile_pack(load_pack("pql-100"))
    states: dict[bytes, LeadState] = {}
    results: dict[bytes, LeadResult] = {}
    records: dict[bytes, list[Stored]] = defaultdict(list)
    events = 0
    for record in cluster.records(topic):
        events += 1
        key = record.key
        event = decode_event(record.value, topic, record.partition, record.offset, timestamp_ms=record.timestamp_ms)
        step = advance(states.get(key), event, pack)
        states[key] = step.state
        result = results.get(key)
        if result is None:
            result = results[key] = LeadResult()
        if len(results) <= ORACLE_LEADS_MAX or key in records:
            records[key].append(record)
        if step.change is not None:
            result.changes += 1
            result.score = step.change.score_after / 100
        if step.qualification is not None:
            result.tiers.append(step.qualification.tier)
    changes, qualifications = _by_oracle(topic, records)
    return Expected(results, events, changes, qualifications)


def _by_oracle(
    topic: str, records: dict[bytes, list[Stored]]
) -> tuple[dict[bytes, list[Json]], dict[bytes, list[Json]]]:
    changes: dict[bytes, list[Json]] = {}
    qualifications: dict[bytes, list[Json]] = {}
    steps = 0
    for key, of_lead in records.items():
        steps += len(of_lead) ** 2 // 2
        if changes and steps > ORACLE_STEPS_MAX:
            break
        replayed = replay(_oracle_event(topic, record) for record in of_lead)
        changes[key] = [_as_written(change) for change in replayed.changes]
        qualifications[key] = replayed.qualifications
    return changes, qualifications


def _oracle_event(topic: str, record: Stored) -> Event:
    event = read_record(record.value, timestamp_ms=record.timestamp_ms, place=(topic, record.partition, record.offset))
    assert isinstance(event, Event), event
    return event


def _as_written(change: Json) -> Json:
    for part in change["contributions"]:
        if isinstance(part["input"], dict):
            part["input"] = {_INPUT_NAMES.get(name, name): value for name, value in part["input"].items()}
    return change


def check(cluster: Cluster, topics: Topics, expected: Expected) -> Checked:
    """Hold the outputs of a run against *expected*."""
    counts: Counter[bytes] = Counter()
    last: dict[bytes, bytes] = {}
    sampled: dict[bytes, list[Json]] = {key: [] for key in expected.changes_by_oracle}
    for record in cluster.records(topics.score_changed):
        counts[record.key] += 1
        last[record.key] = record.value
        if record.key in sampled:
            sampled[record.key].append(orjson.loads(record.value))
    qualified: dict[bytes, list[Json]] = defaultdict(list)
    for record in cluster.records(topics.qualified):
        qualified[record.key].append(orjson.loads(record.value))
    faults = [
        *_faults_of_leads(expected, counts, last, qualified),
        *_faults_of_records(expected, sampled, qualified),
    ]
    if len(faults) > FAULTS_SHOWN:
        faults = [*faults[:FAULTS_SHOWN], f"and {len(faults) - FAULTS_SHOWN} more"]
    return Checked(
        leads=len(expected.leads),
        changes=counts.total(),
        qualifications=sum(map(len, qualified.values())),
        leads_by_oracle=len(sampled),
        faults=tuple(faults),
    )


def _faults_of_leads(
    expected: Expected, counts: Counter[bytes], last: dict[bytes, bytes], qualified: dict[bytes, list[Json]]
) -> Iterator[str]:
    for key in expected.leads.keys() | counts.keys() | qualified.keys():
        result = expected.leads.get(key, LeadResult())
        name = key.decode()
        if counts[key] != result.changes:
            yield f"{name}: {counts[key]} changes instead of {result.changes}"
        score = orjson.loads(last[key])["score_after"] if key in last else 0
        if score != result.score:
            yield f"{name}: a score of {score} instead of {result.score}"
        tiers = [record["tier"] for record in qualified.get(key, [])]
        if tiers != result.tiers:
            yield f"{name}: qualified for {tiers} instead of {result.tiers}"


def _faults_of_records(
    expected: Expected, changes: dict[bytes, list[Json]], qualified: dict[bytes, list[Json]]
) -> Iterator[str]:
    for key, wanted in expected.changes_by_oracle.items():
        found = [_plain(record) for record in changes[key]]
        yield from _difference(key, wanted, found)
        sequence_of = {record["change_id"]: record["sequence"] for record in changes[key]}
        records = [
            {**_plain(record), "change_sequence": sequence_of.get(record["change_id"])}
            for record in qualified.get(key, [])
        ]
        yield from _difference(key, expected.qualifications_by_oracle[key], records)


def _plain(record: Json) -> Json:
    return {name: value for name, value in record.items() if name not in _OPAQUE}


def _difference(key: bytes, wanted: list[Json], found: list[Json]) -> Iterator[str]:
    if wanted == found:
        return
    for want, have in zip(wanted, found, strict=False):
        names = [name for name in want.keys() | have.keys() if want.get(name) != have.get(name)]
        if names:
            shown = {name: (want.get(name), have.get(name)) for name in sorted(names)}
            yield f"{key.decode()}: expected and found differ in {json.dumps(shown)[:600]}"
            return
    yield f"{key.decode()}: {len(found)} records instead of {len(wanted)}"
