"""Exactly once: all that a batch does is in one transaction, and whatever ends a worker leaves all or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pql_stream.core.packs import compile_pack
from pql_stream.core.profiles import LeadProfile
from pql_stream.errors import RecordTooLarge, StreamLost
from pql_stream.stream.exactly_once import ExactlyOnce
from pql_stream.stream.leads import Leads
from pql_stream.stream.metrics import NoMeter
from pql_stream.stream.names import Topics
from pql_stream.stream.pipeline import Pipeline
from pql_stream.stream.profiles import Profiles
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.slices import Ports
from pql_stream.testing.builders import JAN_5_MS, Record, native_json
from pql_stream.wire.lead_profiles import load_profile
from pql_stream.wire.packs import load_pack
from pql_stream.wire.records import OutRecord

TOPICS = Topics.under("")
PACK = compile_pack(load_pack("pql-100"))
LETTER_BYTES_MAX = 1000


class Crash(Exception):
    """kill -9, as far as one process can do it to itself."""


@dataclass
class World:
    """A broker and two tables: what is committed. After *writes_left* writes the worker is gone."""

    topics: defaultdict[str, list[OutRecord]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[bytes, bytes] = field(default_factory=dict)
    contact_rows: dict[bytes, bytes] = field(default_factory=dict)
    read_up_to: int = 0
    writes_left: int = 1_000_000
    term: int = 0

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self.rows[key] for key in keys if key in self.rows}

    async def run(self, topic: str, partition: int, end: int, write: Any) -> None:
        transaction = Transaction(self)
        await write(transaction)
        self.spend()
        for name, records in transaction.sent.items():
            self.topics[name] += records
        self.rows.update(transaction.rows)
        self.contact_rows.update(transaction.contact_rows)
        for then in transaction.then:
            then()
        self.read_up_to = end

    async def write_in(self, transaction: Transaction, partition: int, items: Sequence[tuple[bytes, Any]]) -> None:
        self.spend()
        transaction.rows.update(items)

    def spend(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise Crash


@dataclass
class Transaction:
    """Writes that are not committed yet. It takes small dead letters only."""

    world: World
    sent: defaultdict[str, list[OutRecord]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[bytes, bytes] = field(default_factory=dict)
    contact_rows: dict[bytes, bytes] = field(default_factory=dict)
    then: list[Callable[[], None]] = field(default_factory=list)

    def when_committed(self, then: Callable[[], None]) -> None:
        self.then.append(then)

    @property
    def writer(self) -> Transaction:
        return self

    @property
    def compressing(self) -> Transaction:
        return self

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        self.world.spend()
        for index, record in enumerate(records):
            if record.bytes > LETTER_BYTES_MAX and topic == TOPICS.activity_dlq:
                raise RecordTooLarge(topic, index, record.bytes)
            self.sent[topic].append(record)


@dataclass
class ContactTable:
    """The second table of a world."""

    world: World

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self.world.contact_rows[key] for key in keys if key in self.world.contact_rows}

    async def write_many(self, partition: int, items: Sequence[tuple[bytes, Any]]) -> None:
        raise AssertionError("exactly once writes in transactions only")

    async def write_in(self, transaction: Transaction, partition: int, items: Sequence[tuple[bytes, Any]]) -> None:
        self.world.spend()
        transaction.contact_rows.update(items)


@dataclass
class Batch:
    topic: str
    partition: int
    records: Sequence[Record]


async def leased() -> None:
    """The lease of a worker that nobody doubts."""


def pipeline(world: World, confirm_lease=leased, slice_records: int = 1_000) -> Pipeline:
    leads = Leads(world, Roles.alone(PACK), 100)
    contacts = ContactTable(world)
    guarantee = ExactlyOnce(
        TOPICS, world, world, leads, contacts, dead_letter_partitions=1, confirm_lease=confirm_lease, clock=lambda: 0.0
    )
    ports = Ports(leads, Profiles(contacts), NoMeter(), lambda: 0.0, lambda _bug: None)
    return Pipeline(Scorer(Roles.alone(PACK), TOPICS, 1), ports, guarantee, slice_records=slice_records)


def log() -> list[Record]:
    """A lead on its way to bronze, among records that are none."""
    values = [
        native_json("trial_created", event_id="e0"),
        b"no event",
        native_json("identify", event_id="p1", email="ada@old.example", company={"name": "Acme"}),
        *(native_json("feature_used", event_id=f"f{number}", feature=f"f{number}") for number in range(7)),
        *(native_json("workflow_completed", event_id=f"w{number}", run_id=f"r{number}") for number in range(20)),
        native_json("community_post", event_id="c", kind="feature_request", post_id="p"),
        native_json("tutorial_completed", event_id="t"),
        native_json("profile_updated", event_id="p2", email="ada@new.example"),
        native_json("identify", event_id="i", team_size=12, industry="finance", company_revenue="10M+"),
    ]
    return [Record(TOPICS.activity, 0, offset, JAN_5_MS, b"k", value) for offset, value in enumerate(values)]


def contact(world: World) -> LeadProfile:
    """The contact data of the one lead."""
    (row,) = world.contact_rows.values()
    lead_id, state = load_profile(row)
    return state.of(lead_id)


async def run(world: World, records: Sequence[Record], size: int, slice_records: int) -> None:
    """One life of a worker: from what is committed to the end of *records*."""
    worker = pipeline(world, slice_records=slice_records)
    while world.read_up_to < len(records):
        batch = records[world.read_up_to : world.read_up_to + size]
        await worker.handle(Batch(TOPICS.activity, 0, batch))


@pytest.mark.parametrize(("size", "slice_records"), [(1, 1), (7, 7), (100, 100), (7, 2), (100, 9)])
async def test_a_crash_at_any_write_leaves_no_trace(size, slice_records):
    """
    Whatever write was the last one of a life, the next life ends with the very same records in every topic.
    """
    whole = World()
    await run(whole, log(), size, slice_records)
    writes = 1_000_000 - whole.writes_left

    assert 1 == len(whole.topics[TOPICS.qualified])
    assert LeadProfile("u1", email="ada@new.example", company="Acme") == contact(whole)

    for last_write in range(writes):
        world = World(writes_left=last_write)
        with pytest.raises(Crash):
            await run(world, log(), size, slice_records)
        world.writes_left = 1_000_000
        await run(world, log(), size, slice_records)

        assert (whole.topics, whole.rows, whole.contact_rows) == (world.topics, world.rows, world.contact_rows)


async def test_a_batch_without_effects_moves_the_offset():
    """A batch of tombstones is read once: its transaction has an offset and nothing else."""
    world = World()

    await pipeline(world).handle(Batch(TOPICS.activity, 0, [Record(TOPICS.activity, 0, 6, JAN_5_MS, b"k", None)]))

    assert ({}, {}, 7) == (world.topics, world.rows, world.read_up_to)


async def test_a_dead_letter_that_does_not_fit_is_a_stub_in_the_same_transaction():
    """What the broker refuses for its size spoils nothing of its batch."""
    world = World()
    values = [b"x" * 100, b"x" * 2000, native_json("tutorial_completed")]
    records = [Record(TOPICS.activity, 0, at, JAN_5_MS, b"k", value) for at, value in enumerate(values)]

    await pipeline(world).handle(Batch(TOPICS.activity, 0, records))
    letters = world.topics[TOPICS.activity_dlq]

    assert 2 == len(letters)
    assert values[0] == letters[0].value
    assert b'{"size":2000,' == letters[1].value[:13]
    assert (1, 3) == (len(world.topics[TOPICS.score_changed]), world.read_up_to)


async def test_without_the_lease_no_transaction_is_begun():
    """A worker whose partitions may have another owner does not make that owner wait."""
    world = World(writes_left=0)

    async def lost() -> None:
        raise StreamLost("gone")

    with pytest.raises(StreamLost):
        await pipeline(world, lost).handle(Batch(TOPICS.activity, 0, log()))

    assert 0 == world.read_up_to
