"""Following contact data on a real broker, in both kinds of store."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from pql_stream.core.profiles import LeadProfile, ProfileState
from pql_stream.stream.connection import Connection
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.wire.lead_profiles import dump_profile

pytestmark = pytest.mark.system

WAIT_S = 60


class Writer:
    """Writes contact data to partitions 0 and 1 of the topic, plainly or in transactions."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._plain = Producer({"bootstrap.servers": bootstrap})
        self._in_turn = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{topic}-writer"})
        self._in_turn.init_transactions()

    def say(self, lead_id: str, email: str, partition: int = 0) -> None:
        """An address is known."""
        self._plain.produce(self._topic, _row(lead_id, email), lead_id.encode(), partition)
        self._plain.flush()

    def erase(self, lead_id: str, partition: int = 0) -> None:
        """A tombstone."""
        self._plain.produce(self._topic, None, lead_id.encode(), partition)
        self._plain.flush()

    def in_transaction(self, lead_id: str, email: str, *, commits: bool = True) -> None:
        """An address is known, perhaps not for ever."""
        self._in_turn.begin_transaction()
        self._in_turn.produce(self._topic, _row(lead_id, email), lead_id.encode(), 0)
        self._in_turn.flush()
        (self._in_turn.commit_transaction if commits else self._in_turn.abort_transaction)()


def _row(lead_id: str, email: str) -> bytes:
    return dump_profile(lead_id, ProfileState(email=(JAN_5_MS, "e1", email)))


@pytest.fixture
def topic(kafka, topic_prefix):
    """Two partitions."""
    name = f"{topic_prefix}lead-profiles"
    kafka.create_topics({name: 2})
    yield name
    kafka.delete_topics(topic_prefix)


@pytest.fixture
def writer(kafka, topic) -> Writer:
    return Writer(kafka.bootstrap, topic)


@pytest.fixture(params=["memory", "rocksdb"])
def follow(request, kafka, topic, tmp_path, monkeypatch):
    """A context in which a follower runs; the next one goes on with its state."""
    monkeypatch.setattr(sys, "argv", ["pql-stream"])  # Faust reads it when it is imported
    from pql_stream.stream.profile_follower import follow_profiles
    from pql_stream.stream.transport import BatchApp, TransportSettings

    @contextlib.asynccontextmanager
    async def run(*partitions: int):
        app = BatchApp(
            f"{topic}-deliver",
            connection=Connection(bootstrap=kafka.bootstrap),
            settings=TransportSettings(),
            store=f"pql{request.param}://",
            datadir=str(tmp_path),
        )
        follower, service = follow_profiles(app, topic, 2)
        assert not list(app.tables)
        follower.own(partitions)
        await service.start()
        try:
            yield follower
        finally:
            await service.stop()

    run.store = request.param
    return run


async def until(happened: Callable[[], bool]) -> None:
    """Wait until *happened*."""
    async with asyncio.timeout(WAIT_S):
        while not happened():  # noqa: ASYNC110 - nothing tells us of what a broker has done
            await asyncio.sleep(0.05)


async def test_it_follows_what_it_owns(follow, writer):
    """What was there is known when it is caught up, what comes soon after it came, and other partitions not at all."""
    writer.say("u1", "old@acme.example")
    writer.say("u2", "x@acme.example", partition=1)
    async with follow(0) as follower:
        await until(lambda: follower.caught_up)

        assert LeadProfile("u1", email="old@acme.example") == follower.of(0, "u1")
        assert None is follower.of(1, "u2")

        writer.say("u1", "new@acme.example")
        await until(lambda: follower.of(0, "u1") == LeadProfile("u1", email="new@acme.example"))
        writer.erase("u1")
        await until(lambda: follower.of(0, "u1") == "erased")
        follower.own([1])
        await until(lambda: follower.caught_up)

        assert LeadProfile("u2", email="x@acme.example") == follower.of(1, "u2")
        assert None is follower.of(0, "u1")


async def test_it_reads_what_is_committed(follow, writer):
    """What was taken back is nobody's address; and it is caught up where a partition ends with a marker."""
    writer.in_transaction("u1", "right@acme.example")
    writer.in_transaction("u1", "wrong@acme.example", commits=False)
    async with follow(0, 1) as follower:
        await until(lambda: follower.caught_up)

        assert LeadProfile("u1", email="right@acme.example") == follower.of(0, "u1")


async def test_a_restart_goes_on_from_its_state(follow, writer, kafka, topic):
    """RocksDB has what was read, though the topic has it no more; memory reads what is left of the topic."""
    from confluent_kafka import TopicPartition

    writer.say("u1", "a@acme.example")
    async with follow(0) as follower:
        await until(lambda: follower.caught_up)
    (deleted,) = kafka.admin.delete_records([TopicPartition(topic, 0, 1)]).values()
    deleted.result()
    writer.say("u2", "b@acme.example")
    async with follow(0) as follower:
        await until(lambda: follower.caught_up)

        assert (follow.store == "rocksdb") is (follower.of(0, "u1") is not None)
        assert LeadProfile("u2", email="b@acme.example") == follower.of(0, "u2")


async def test_a_large_topic_is_read_to_its_end(follow, writer, kafka, topic):
    """More than one fetch and one turn of the loop has room for."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 50})
    for number in range(30_000):
        producer.produce(topic, _row(f"u{number}", f"u{number}@acme.example"), b"u%d" % number, number % 2)
        producer.poll(0)
    producer.flush()
    async with follow(0, 1) as follower:
        await until(lambda: follower.caught_up)

        for number in (0, 1, 15_000, 29_999):
            assert LeadProfile(f"u{number}", email=f"u{number}@acme.example") == follower.of(number % 2, f"u{number}")
