"""The follower of contact data against a topic and a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from pql_stream.core.profiles import LeadProfile, ProfileState
from pql_stream.errors import BrokerError, InvalidState
from pql_stream.stream.profile_follower import ProfileFollower
from pql_stream.stream.transport.following import Stretch
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.wire.headers import REPAIR
from pql_stream.wire.lead_profiles import dump_profile


class Written(NamedTuple):
    """A record of the topic; without a key the marker of a transaction."""

    key: bytes | None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Topic:
    """Partitions; reading gives *records_max* records of each, and fails as often as *failures* says."""

    partitions: dict[int, list[Written]] = field(default_factory=lambda: {0: [], 1: []})
    positions: dict[int, int] = field(default_factory=dict)
    records_max: int = 100
    failures: int = 0
    followed: list[dict[int, int]] = field(default_factory=list)

    def say(self, lead_id: str, email: str, partition: int = 0) -> None:
        """A lead's address is known."""
        state = ProfileState(email=(JAN_5_MS, "e1", email))
        self.partitions[partition].append(Written(lead_id.encode(), dump_profile(lead_id, state)))

    def erase(self, lead_id: str, *headers: tuple[str, bytes]) -> None:
        """A tombstone."""
        self.partitions[0].append(Written(lead_id.encode(), None, headers))

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        self._fail()
        return {partition: len(self.partitions[partition]) for partition in partitions}

    def follow(self, positions: Mapping[int, int]) -> None:
        self.followed.append(dict(positions))
        self.positions = dict(positions)

    async def read(self) -> list[Stretch]:
        self._fail()
        found = []
        for partition, position in self.positions.items():
            some = self.partitions[partition][position : position + self.records_max]
            if some:
                self.positions[partition] += len(some)
                there = [record for record in some if record.key is not None]
                found.append(Stretch(partition, there, self.positions[partition]))
        return found

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise BrokerError("away")


@dataclass
class Store:
    """Rows and offsets; what is closed stays on the disk."""

    rows: dict[int, dict[bytes, bytes]] = field(default_factory=lambda: {0: {}, 1: {}})
    offsets: dict[int, int] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)

    async def open(self, partitions: Collection[int]) -> None:
        self.opened = set(partitions)

    def offset(self, partition: int) -> int:
        return self.offsets.get(partition, -1)

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self.rows[partition][key] for key in keys if key in self.rows[partition]}

    def put_many(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]], offset: int) -> None:
        assert partition in self.opened, "a store that is somebody else's is written"
        for key, value in rows:
            if value is None:
                self.rows[partition].pop(key, None)
            else:
                self.rows[partition][key] = value
        self.offsets[partition] = offset


@dataclass
class World:
    """A topic and a store that outlive the follower."""

    topic: Topic = field(default_factory=Topic)
    store: Store = field(default_factory=Store)
    slept: list[float] = field(default_factory=list)

    def follower(self, *partitions: int) -> ProfileFollower:
        """One that has just been given *partitions*."""

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        made = ProfileFollower(self.topic, self.store, sleep=sleep)
        made.own(partitions)
        return made


@pytest.fixture
def world() -> World:
    """Two partitions, in which u1 is known."""
    made = World()
    made.topic.say("u1", "old@acme.example")
    return made


async def test_what_was_there_and_what_comes_is_known(world):
    """From the beginning of the partition, and then as it is written."""
    follower = world.follower(0)
    await follower.step()
    world.topic.say("u1", "new@acme.example")
    world.topic.say("u2", "eve@acme.example")

    assert LeadProfile("u1", email="old@acme.example") == follower.of(0, "u1")

    await follower.step()

    assert LeadProfile("u1", email="new@acme.example") == follower.of(0, "u1")
    assert LeadProfile("u2", email="eve@acme.example") == follower.of(0, "u2")
    assert None is follower.of(0, "nobody")


async def test_it_is_caught_up_with_the_end_that_there_was(world):
    """Not before everything was read that the partition had when it became ours; what comes later changes nothing."""
    for number in range(5):
        world.topic.say(f"u{number}", "x@acme.example")
    world.topic.records_max = 3
    follower = world.follower(0, 1)

    assert (False, False) == (follower.is_caught_up(0), follower.caught_up)

    await follower.step()

    assert (False, True, False) == (follower.is_caught_up(0), follower.is_caught_up(1), follower.caught_up)

    for number in range(9):
        world.topic.say(f"later{number}", "x@acme.example")
    await follower.step()

    assert (True, True) == (follower.is_caught_up(0), follower.caught_up)
    assert not follower.is_caught_up(2)


async def test_it_is_caught_up_where_a_partition_ends_with_markers(world):
    """The last offsets of a partition that is written in transactions have no record."""
    world.topic.partitions[0].append(Written(None))
    follower = world.follower(0)
    await follower.step()

    assert follower.caught_up
    assert {0: 1} == world.store.offsets


async def test_reading_to_the_end_is_to_the_end_of_now(world):
    """Also what was written after the partition became ours; the broker may be away when it is asked for the end."""
    follower = world.follower(0)
    await follower.step()
    world.topic.say("u2", "eve@acme.example")
    world.topic.failures = 1
    reading = asyncio.ensure_future(follower.read_to_end(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert ([1.0], False) == (world.slept, reading.done())

    await follower.step()
    await reading

    assert LeadProfile("u2", email="eve@acme.example") == follower.of(0, "u2")


async def test_reading_to_the_end_waits_for_the_partition(world):
    """Before its stores are open nothing of it is known."""
    follower = world.follower(0)
    reading = asyncio.ensure_future(follower.read_to_end(0))
    await asyncio.sleep(0)

    assert not reading.done()

    await follower.step()
    await reading

    assert follower.is_caught_up(0)


async def test_a_restart_reads_the_tail_only(world):
    """What was read lies in the store with its offset."""
    await world.follower(0).step()
    world.topic.say("u2", "eve@acme.example")
    again = world.follower(0)
    await again.step()

    assert [{0: 0}, {0: 1}] == world.topic.followed
    assert LeadProfile("u1", email="old@acme.example") == again.of(0, "u1")
    assert LeadProfile("u2", email="eve@acme.example") == again.of(0, "u2")


async def test_partitions_come_and_go(world):
    """What is not ours any more is closed and read no further."""
    follower = world.follower(0)
    await follower.step()
    follower.own([1])
    world.topic.say("u3", "x@acme.example", partition=1)
    await follower.step()

    assert ({1}, {1: 1}) == (world.store.opened, world.topic.positions)
    assert LeadProfile("u3", email="x@acme.example") == follower.of(1, "u3")

    follower.own([])
    await follower.step()

    assert (set(), {}, True) == (world.store.opened, world.topic.positions, follower.caught_up)


async def test_a_tombstone_erases(world):
    """The lead is known to be erased, until it says who it is again."""
    follower = world.follower(0)
    world.topic.erase("u1")
    await follower.step()

    assert "erased" == follower.of(0, "u1")

    world.topic.say("u1", "new@acme.example")
    await follower.step()

    assert LeadProfile("u1", email="new@acme.example") == follower.of(0, "u1")


async def test_a_tombstone_of_a_worker_confirms_and_does_not_erase(world):
    """A worker takes rows back that were never its own; nobody asked for that. Behind an erasure it changes nothing."""
    follower = world.follower(0)
    world.topic.say("ghost", "x@acme.example")
    await follower.step()
    world.topic.erase("u1")
    world.topic.erase("u1", REPAIR)
    world.topic.erase("ghost", REPAIR)
    await follower.step()
    world.topic.erase("u1", REPAIR)
    await follower.step()

    assert ("erased", None) == (follower.of(0, "u1"), follower.of(0, "ghost"))


async def test_a_broker_that_is_away_is_waited_for(world):
    """Nothing ends, and what may have been passed over is read again."""
    follower = world.follower(0)
    world.topic.failures = 2
    await follower.step()
    await follower.step()

    assert ([1.0, 1.0], False) == (world.slept, follower.caught_up)

    await follower.step()
    world.topic.failures = 1
    world.topic.say("u2", "eve@acme.example")
    await follower.step()
    await follower.step()

    assert LeadProfile("u2", email="eve@acme.example") == follower.of(0, "u2")
    assert {0: 1} == world.topic.followed[-1]


async def test_what_is_dealt_anew_during_a_read_is_not_stored(world):
    """The store may be closed by then, or another's."""
    follower = world.follower(0)
    read = world.topic.read

    async def read_and_lose():
        found = await read()
        follower.own([1])
        return found

    world.topic.read = read_and_lose
    await follower.step()

    assert {} == world.store.offsets


async def test_a_store_of_another_topic_is_refused(world):
    """A topic that was made anew has other leads: what is stored of the old one must not be used."""
    await world.follower(0).step()
    world.topic.partitions[0].clear()

    with pytest.raises(InvalidState, match="goes further than the topic"):
        await world.follower(0).step()


async def test_a_record_of_a_later_version_is_not_guessed_at(world):
    """Whoever asks for the lead is stopped."""
    world.topic.partitions[0].append(Written(b"u9", b'{"schema": "lead-profiles/9"}'))
    follower = world.follower(0)
    await follower.step()

    with pytest.raises(InvalidState, match="version 9"):
        follower.of(0, "u9")
