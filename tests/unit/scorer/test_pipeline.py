"""The order of effects at least once: a stop after any of them loses nothing and adds nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from pql_stream.core.packs import compile_pack
from pql_stream.core.profiles import LeadProfile
from pql_stream.errors import StreamLost
from pql_stream.stream.at_least_once import AtLeastOnce
from pql_stream.stream.leads import Leads
from pql_stream.stream.metrics import NoMeter
from pql_stream.stream.names import Topics
from pql_stream.stream.partitioner import partition_of
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
PARTITIONS = 1
PACK = compile_pack(load_pack("pql-100"))


class Crash(Exception):
    """kill -9, as far as one process can do it to itself."""


@dataclass
class World:
    """
    A broker and two tables that outlive the worker. After *effects_left* effects the worker is gone.

    *contacts_known* has the leads of whom contact data was stored when a topic was first written.
    """

    topics: defaultdict[str, list[OutRecord]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[bytes, bytes] = field(default_factory=dict)
    contact_rows: dict[bytes, bytes] = field(default_factory=dict)
    contacts_known: dict[str, set[bytes]] = field(default_factory=dict)
    term: int = 0
    committed: int = 0
    effects_left: int = 1_000_000

    def _effect(self) -> None:
        self.effects_left -= 1
        if self.effects_left <= 0:
            raise Crash

    def _live(self) -> None:
        """What else was on its way when the worker went does not arrive."""
        if self.effects_left <= 0:
            raise Crash

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        self._live()
        self.contacts_known.setdefault(topic, set(self.contact_rows))
        self.topics[topic] += records
        self._effect()

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self.rows[key] for key in keys if key in self.rows}

    async def write_many(self, partition: int, items) -> None:
        self._live()
        self.rows.update(items)
        self._effect()

    async def write_contacts(self, items) -> None:
        self._live()
        self.contact_rows.update(items)
        self._effect()

    def commit(self, offset: int) -> None:
        self.committed = offset
        self._effect()


@dataclass
class ContactTable:
    """The second table of a world."""

    world: World

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self.world.contact_rows[key] for key in keys if key in self.world.contact_rows}

    async def write_many(self, partition: int, items) -> None:
        await self.world.write_contacts(items)


@dataclass
class Batch:
    topic: str
    partition: int
    records: Sequence[Record]


async def leased() -> None:
    """The lease of a worker that nobody doubts."""


def pipeline(world: World, confirm_lease=leased, partitions: int = PARTITIONS, slice_records: int = 1_000) -> Pipeline:
    leads, profiles = Leads(world, Roles.alone(PACK), 100), Profiles(ContactTable(world))
    guarantee = AtLeastOnce(TOPICS, world, leads, profiles, confirm_lease=confirm_lease, clock=lambda: 0.0)
    ports = Ports(leads, profiles, NoMeter(), lambda: 0.0, lambda _bug: None)
    return Pipeline(Scorer(Roles.alone(PACK), TOPICS, partitions), ports, guarantee, slice_records=slice_records)


async def run(world: World, log: Sequence[Record], batch_size: int, slice_records: int = 1_000) -> None:
    """One life of a worker: from the committed offset to the end of *log*."""
    worker = pipeline(world, slice_records=slice_records)
    while world.committed < len(log):
        end = min(world.committed + batch_size, len(log))
        await worker.handle(Batch(TOPICS.activity, 0, log[world.committed : end]))
        world.commit(end)


def events() -> list[bytes]:
    """Two leads on their way to bronze and silver, who say who they are, and a record that is none."""
    given: list[bytes] = []
    for lead in ("u1", "u2"):
        made = [
            native_json("trial_created", lead),
            native_json("identify", lead, email=f"{lead}@old.example", firstName="Ada", consent=True),
            *(native_json("feature_used", lead, feature=f"f{i}") for i in range(7)),
            *(native_json("workflow_completed", lead, run_id=f"r{i}") for i in range(20)),
            native_json("compliance_level_changed", lead, level="advanced"),
            native_json("community_post", lead, kind="feature_request", post_id="p1"),
            native_json("tutorial_completed", lead),
            b"no event",
            native_json("identify", lead, team_size=12, industry="finance", company_revenue="10M+"),
            native_json("profile_updated", lead, email=f"{lead}@new.example", occurred_at_ms=JAN_5_MS + 1),
        ]
        for number, value in enumerate(made):
            fields = orjson.loads(value) if value != b"no event" else None
            given.append(orjson.dumps(fields | {"event_id": f"{lead}-{number}"}) if fields else value)
    return given


def log() -> list[Record]:
    return [Record(TOPICS.activity, 0, i, JAN_5_MS, b"k", value) for i, value in enumerate(events())]


def told_once(records: Sequence[OutRecord], id_name: str) -> list[bytes]:
    """What a consumer that drops repeats by id is told, in order; a repeat must be the very same bytes."""
    seen: dict[str, bytes] = {}
    for record in records:
        id_ = orjson.loads(record.value)[id_name]
        assert seen.setdefault(id_, record.value) == record.value
    return list(seen.values())


async def test_without_a_crash_every_effect_happens_once():
    """The baseline of the crashes: both leads qualify and two records are refused."""
    world = World()

    await run(world, log(), 10)

    assert 4 == len(world.topics[TOPICS.qualified])
    assert 2 == len(world.topics[TOPICS.activity_dlq])
    assert [
        LeadProfile(lead, email=f"{lead}@new.example", first_name="Ada", consent=True) for lead in ("u1", "u2")
    ] == [state.of(lead_id) for lead_id, state in map(load_profile, world.contact_rows.values())]


@pytest.mark.parametrize(("batch_size", "slice_records"), [(1, 1), (7, 7), (100, 100), (7, 2), (100, 9)])
async def test_a_crash_after_any_effect_loses_nothing_and_adds_nothing(batch_size, slice_records):
    """
    Whatever effect was the last one of a life, the next life ends in the same rows, changes and qualifications.

    Repeats carry the same id and the same bytes, and come in order.
    """
    whole = World()
    await run(whole, log(), batch_size, slice_records)

    for last_effect in range(1, 1_000_000 - whole.effects_left):
        world = World(effects_left=last_effect)
        with pytest.raises(Crash):
            await run(world, log(), batch_size, slice_records)
        world.effects_left = 1_000_000
        await run(world, log(), batch_size, slice_records)

        assert (whole.rows, whole.contact_rows) == (world.rows, world.contact_rows)
        for topic, id_name in ((TOPICS.score_changed, "change_id"), (TOPICS.qualified, "qualification_id")):
            assert told_once(whole.topics[topic], id_name) == told_once(world.topics[topic], id_name)
        assert {r.value for r in whole.topics[TOPICS.activity_dlq]} == {
            r.value for r in world.topics[TOPICS.activity_dlq]
        }


async def test_without_the_lease_nothing_is_sent():
    """A worker whose partitions may have another owner writes nothing at all."""
    world = World()

    async def lost() -> None:
        raise StreamLost("gone")

    with pytest.raises(StreamLost):
        await pipeline(world, lost).handle(Batch(TOPICS.activity, 0, log()))

    assert ({}, {}) == (dict(world.topics), world.rows)


@pytest.mark.parametrize(
    ("lost_at", "written"), [(2, (True, False, False)), (3, (True, True, False))], ids=["outputs", "states"]
)
async def test_a_lease_lost_on_the_way_writes_nothing_more(lost_at, written):
    """The lease is asked again before the outputs, and before the states."""
    world = World()
    asked = []

    async def confirm() -> None:
        asked.append(None)
        if len(asked) == lost_at:
            raise StreamLost("gone")

    with pytest.raises(StreamLost):
        await pipeline(world, confirm).handle(Batch(TOPICS.activity, 0, log()))

    assert written == (bool(world.contact_rows), bool(world.topics), bool(world.rows))


async def test_whoever_reads_a_change_finds_the_contact_data_of_then():
    """Contact data is stored before anything is sent."""
    world = World()

    await run(world, log(), 100)

    assert {b"u1", b"u2"} == world.contacts_known[TOPICS.score_changed] == world.contacts_known[TOPICS.qualified]


async def test_what_was_erased_is_not_written_again_by_the_next_slice():
    """The erasure falls into the time of a batch: the table drops the row that the first slice has written."""

    class ErasedWorld(World):
        async def write_contacts(self, items) -> None:
            await super().write_contacts(items)
            if self.term == 0:
                self.contact_rows.clear()
                self.term = 1

    world = ErasedWorld()
    values = [native_json("identify", event_id="e0", email="ada@example.com"), native_json("identify", event_id="e1")]
    values += [native_json("identify", event_id="e2", firstName="Ada")]
    records = [Record(TOPICS.activity, 0, at, JAN_5_MS, b"u1", value) for at, value in enumerate(values)]

    await pipeline(world, slice_records=1).handle(Batch(TOPICS.activity, 0, records))
    lead_id, state = load_profile(world.contact_rows[b"u1"])

    assert LeadProfile("u1", first_name="Ada") == state.of(lead_id)


async def test_a_batch_that_changes_nothing_writes_no_row():
    """Tombstones and bad records alone touch no table."""
    world = World()

    await pipeline(world).handle(
        Batch(TOPICS.activity, 0, [Record(TOPICS.activity, 0, 0, JAN_5_MS, b"k", b"no event")])
    )

    assert ([TOPICS.activity_dlq], {}) == (list(world.topics), world.rows)


async def test_outputs_go_to_the_partition_of_their_lead():
    """Score topics have the input's partitions, so the partition number is the lead's own."""
    sent: list[tuple[str, int]] = []

    class SeenWorld(World):
        async def send(self, topic, partition, records):
            sent.append((topic, partition))

    partitions = 8
    at = partition_of(b"u1", partitions)
    record = Record(TOPICS.activity, at, 0, JAN_5_MS, b"u1", native_json("tutorial_completed"))

    await pipeline(SeenWorld(), partitions=partitions).handle(Batch(TOPICS.activity, at, [record]))

    assert [(TOPICS.score_changed, at)] == sent
