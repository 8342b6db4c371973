"""Transactions on a real broker: what is seen of one, when, and who may write."""

from __future__ import annotations

import asyncio
import gc
import random
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.transaction import EndTxnRequest
from faust.types import TP

from pql_stream.errors import RecordTooLarge, StreamLost
from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.transactional import TransactionalProducer
from pql_stream.stream.transport.transactions import Transaction, Transactions
from pql_stream.wire.records import OutRecord

pytestmark = pytest.mark.system

LIMIT = 20_000


@pytest.fixture
def topic(kafka, topic_prefix: str):
    """A topic that takes batches of up to 20,000 bytes."""
    name = topic_prefix + "out"
    kafka.create_topics({name: 2}, {"max.message.bytes": str(LIMIT)})
    yield name
    kafka.delete_topics(topic_prefix)


@pytest.fixture
async def make(kafka, topic_prefix):
    """A function that makes a producer of one and the same id; all are stopped at the end."""
    made: list[TransactionalProducer] = []

    async def start() -> TransactionalProducer:
        made.append(TransactionalProducer(Connection(bootstrap=kafka.bootstrap), topic_prefix + "id", topic_prefix))
        await made[-1].start()
        return made[-1]

    yield start
    for producer in made:
        await producer.stop()


def records(*values: bytes) -> list[OutRecord]:
    return [OutRecord(b"k", value) for value in values]


async def seen(bootstrap: str, topic: str) -> list[bytes | None]:
    """The values in partition 0 that who reads committed records sees."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    tp = TopicPartition(topic, 0)
    await consumer.start()
    try:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        found: list[bytes | None] = []
        while await consumer.position(tp) < end:
            found += [record.value for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])]
    finally:
        await consumer.stop()
    return found


async def committed(bootstrap: str, group: str, topic: str) -> int | None:
    """The group's offset of partition 1."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        return await consumer.committed(TopicPartition(topic, 1))
    finally:
        await consumer.stop()


async def test_records_and_offset_are_there_when_the_transaction_is_committed(kafka, make, topic, topic_prefix):
    """
    Before the commit nobody sees anything of a transaction; behind it all is there, the group's offset too.
    """
    producer = await make()
    await producer.begin()
    await producer.send(topic, 0, records(b"1", b"2"))
    await producer.add_offset(TP(topic, 1), 7)

    assert ([], None) == (await seen(kafka.bootstrap, topic), await committed(kafka.bootstrap, topic_prefix, topic))

    await producer.commit()

    assert [b"1", b"2"] == await seen(kafka.bootstrap, topic)
    assert 7 == await committed(kafka.bootstrap, topic_prefix, topic)


async def test_a_producer_that_stops_in_a_transaction_takes_it_back(kafka, make, topic):
    """
    Who reads behind it need not wait until it times out.
    """
    producer = await make()
    await producer.begin()
    await producer.send(topic, 0, records(b"lost"))
    await producer.stop()
    other = TransactionalProducer(Connection(bootstrap=kafka.bootstrap), f"{topic}-other", topic)
    await other.start()
    await other.begin()
    await other.send(topic, 0, records(b"behind"))
    await other.commit()
    await other.stop()

    assert [b"behind"] == await seen(kafka.bootstrap, topic)


async def test_who_opens_an_id_shuts_out_who_had_it(kafka, make, topic):
    """
    The transaction that was open is taken back before the new producer is ready; at its next step the old one is
    told that the partition is lost.
    """
    old = await make()
    await old.begin()
    await old.send(topic, 0, records(b"old"))
    new = await make()
    await new.begin()
    await new.send(topic, 0, records(b"new"))
    await new.commit()
    with pytest.raises(StreamLost):
        await old.commit()

    assert [b"new"] == await seen(kafka.bootstrap, topic)


async def test_a_producer_that_was_shut_out_writes_nothing(kafka, make, topic):
    """
    A zombie that begins a transaction after its heir was opened is refused at the first record.
    """
    old = await make()
    await make()
    await old.begin()
    with pytest.raises(StreamLost):
        await old.send(topic, 0, records(b"old"))

    assert [] == await seen(kafka.bootstrap, topic)


async def test_a_fenced_producer_leaves_no_error_that_nobody_heard(kafka, topic, topic_prefix):
    """
    A worker that learns at a write that its partition is lost ends in good order: asyncio has nothing to log of
    the transaction that is never committed, at the write or at the offset.
    """
    logged: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    connection = Connection(bootstrap=kafka.bootstrap)
    old, heir = (TransactionalProducer(connection, topic_prefix + "id", topic_prefix) for _ in range(2))
    await old.start()
    await old.begin()
    await old.send(topic, 0, records(b"old"))
    await heir.start()
    with pytest.raises(StreamLost):
        await old.add_offset(TP(topic, 0), 1)
    await old.stop()
    await heir.stop()
    del old, heir
    gc.collect()

    assert [] == logged


async def test_a_producer_can_be_stopped_while_a_commit_is_refused(kafka, topic, topic_prefix):
    """
    A worker lets go of a partition while the broker refuses its commit: that is told to who committed, and the
    connections are closed.
    """
    connection = Connection(bootstrap=kafka.bootstrap)
    old, heir = (TransactionalProducer(connection, topic_prefix + "id", topic_prefix) for _ in range(2))
    asked, answered = hold_end(old)
    await old.start()
    await old.begin()
    await old.send(topic, 0, records(b"old"))
    await heir.start()
    committing = asyncio.ensure_future(old.commit())
    await asked.wait()
    stopping = asyncio.ensure_future(old.stop())
    while not old._producer._sender.sender_task.cancelling():  # noqa: ASYNC110  # a task has no event for that
        await asyncio.sleep(0)
    answered.set()
    with pytest.raises(StreamLost):
        await committing
    await stopping
    await heir.stop()

    assert not any(connection.connected() for connection in old._producer.client._conns.values())


async def test_work_on_a_producer_that_was_stopped_learns_that_the_partition_is_lost(kafka, make, topic):
    """
    A worker that ends lets go of all partitions while batches of other ones are at work: each step of theirs says
    so, nothing is written, and what was written before is taken back.
    """
    producer = await make()
    await producer.begin()
    await producer.send(topic, 0, records(b"open"))
    await producer.stop()
    steps = [
        producer.begin,
        lambda: producer.send(topic, 0, records(b"late")),
        lambda: producer.add_offset(TP(topic, 0), 1),
        producer.commit,
    ]
    for step in steps:
        with pytest.raises(StreamLost):
            await step()

    assert [] == await seen(kafka.bootstrap, topic)


def hold_end(producer: TransactionalProducer) -> tuple[asyncio.Event, asyncio.Event]:
    """The end of a transaction of *producer* sets the first event, and waits for the second."""
    asked, answered = asyncio.Event(), asyncio.Event()
    client = producer._producer.client
    send = client.send

    async def held(node_id: int, request: object, **options: object) -> object:
        if isinstance(request, EndTxnRequest):
            asked.set()
            await answered.wait()
        return await send(node_id, request, **options)

    client.send = held
    return asked, answered


async def test_a_refused_record_spoils_neither_its_transaction_nor_the_next(kafka, make, topic):
    """
    The record over the topic's limit is found among the others and named; the rest, something in its place, and
    another transaction follow.
    """
    producer = await make()
    await producer.begin()
    values = [b"%d" % number for number in range(10)]
    values[6] = bytes(LIMIT)
    with pytest.raises(RecordTooLarge) as refused:
        await producer.send(topic, 0, records(*values))
    values[6] = b"stub"
    await producer.send(topic, 0, records(*values[6:]))
    await producer.commit()
    await producer.begin()
    await producer.send(topic, 0, records(b"next"))
    await producer.commit()

    assert 6 == refused.value.index
    assert [*values, b"next"] == await seen(kafka.bootstrap, topic)


async def test_batches_can_be_compressed_beside_others_that_are_not(kafka, make, topic):
    """
    What fits only when it is compressed is written by the same transaction as the rest, and is read as it was.
    """
    producer = await make()
    plain, large = random.Random(1).randbytes(LIMIT // 2), b"x" * 10 * LIMIT
    await producer.begin()
    await producer.send(topic, 0, records(plain))
    await producer.send(topic, 0, records(large), compressed=True)
    await producer.commit()

    assert [plain, large] == await seen(kafka.bootstrap, topic)


class NoOffsets:
    """A group that nobody else commits to."""

    async def of(self, partition: int) -> tuple[dict[TP, int | None], dict[TP, int | None]]:
        return {}, {}

    def note(self, tp: TP, offset: int) -> None:
        pass


def sockets() -> int:
    """How many sockets this process has open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(str(link.readlink()).startswith("socket:") for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the sockets as Linux shows them")
async def test_a_storm_of_rebalances_leaves_no_connection_open(kafka, topic, topic_prefix):
    """
    Twelve partitions that are taken, written to, and let go, again and again, leave as many sockets as before.
    """
    connection = Connection(bootstrap=kafka.bootstrap)
    of = Transactions(
        lambda partition: TransactionalProducer(connection, f"{topic_prefix}{partition}", topic_prefix),
        NoOffsets(),
    )
    before = sockets()

    async def write(transaction: Transaction) -> None:
        await transaction.writer.send(topic, 0, records(b"v"))

    for number in range(5):
        await of.open(range(12))
        await of.run(topic, number % 2, number, write)
    await of.close()

    assert before == sockets()
    assert 5 == len(await seen(kafka.bootstrap, topic))
