"""Writing whole batches to a real broker, and the records that it refuses for their size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest

from pql_stream.errors import BrokerError, RecordTooLarge, StreamLost
from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.lease import Lease, boottime_s
from pql_stream.stream.transport.producing import (
    RECORD_BYTES_MAX,
    OutRecord,
    RecordWriter,
    Span,
    make_producer,
    pack,
    send_batch,
)

pytestmark = pytest.mark.system

LIMIT = 20_000


@pytest.fixture
def topic(kafka, topic_prefix: str):
    """A topic that takes batches of up to 20,000 bytes."""
    name = topic_prefix + "small"
    kafka.create_topics({name: 2}, {"max.message.bytes": str(LIMIT)})
    yield name
    kafka.delete_topics(topic_prefix)


def valid_lease() -> Lease:
    """The lease of a member that nobody doubts."""
    lease = Lease(3600)
    lease.renew(boottime_s())
    return lease


@pytest.fixture
async def writer(kafka) -> AsyncIterator[RecordWriter]:
    """A connected writer."""
    made = RecordWriter(Connection(bootstrap=kafka.bootstrap), valid_lease())
    await made.start()
    yield made
    await made.stop()


async def one_record(producer: AIOKafkaProducer, topic: str, partition: int) -> Span:
    """A batch of one record."""
    return await send_batch(producer, pack([small(0)], compressed=False), topic, partition)


async def written(bootstrap: str, topic: str, partition: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values in a partition, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    tp = TopicPartition(topic, partition)
    await consumer.start()
    try:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        found = []
        while len(found) < end:
            found += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
    finally:
        await consumer.stop()
    return [(record.key, record.value) for record in found]


def small(number: int) -> OutRecord:
    """A record of about a hundred bytes."""
    return OutRecord(b"%d" % number, b"v" * 100, [("name", b"value")])


async def test_records_of_several_batches_arrive_in_order(kafka, writer, topic_prefix):
    """
    More than a batch can hold is sent in several; their spans follow each other without a gap.
    """
    name = topic_prefix + "large"
    kafka.create_topics({name: 1})
    records = [OutRecord(b"%d" % number, b"v" * 10_000) for number in range(250)]
    spans = await writer.send(name, 0, records)
    found = await written(kafka.bootstrap, name)
    kafka.delete_topics(topic_prefix)

    assert len(spans) > 1
    assert list(range(250)) == [offset for span in spans for offset in range(span.first, span.last + 1)]
    assert [record.key for record in records] == [key for key, _ in found]


async def test_a_record_larger_than_a_batch_is_sent_alone(kafka, writer, topic_prefix):
    """
    Our batch size is no limit for one record: a topic that takes 3 MiB gets 2 MiB.
    """
    name = topic_prefix + "dead"
    kafka.create_topics({name: 1}, {"max.message.bytes": str(3 * 1024 * 1024)})
    spans = await writer.send(name, 0, [small(0), OutRecord(b"k", b"x" * 2 * 1024 * 1024), small(1)])
    kafka.delete_topics(topic_prefix)

    assert [Span(0, 0), Span(1, 1), Span(2, 2)] == spans


async def test_a_refused_record_is_named_and_the_rest_can_follow(kafka, writer, topic):
    """
    The record over the topic's limit is found among the others; those before it are written, and the
    partition can be written to afterwards although the refused batch has spoiled the producer.
    """
    records = [small(number) for number in range(10)]
    records[6] = OutRecord(b"6", b"x" * LIMIT)

    with pytest.raises(RecordTooLarge) as refused:
        await writer.send(topic, 0, records)

    assert 6 == refused.value.index

    records[6] = OutRecord(b"6", b"stub")
    await writer.send(topic, 0, records[6:])

    assert [record.key for record in records] == [key for key, _ in await written(kafka.bootstrap, topic)]


async def test_a_batch_over_the_limit_is_split(kafka, writer, topic):
    """
    Records that are small enough each are written even when their batch is refused.
    """
    records = [OutRecord(b"%d" % number, b"v" * 1000) for number in range(100)]
    spans = await writer.send(topic, 0, records)

    assert 99 == spans[-1].last
    assert [record.key for record in records] == [key for key, _ in await written(kafka.bootstrap, topic)]


async def test_writes_beside_a_refused_one_succeed(kafka, writer, topic):
    """
    Tasks that write to the same partition while one's record is refused lose nothing and write nothing twice.
    """
    others = [writer.send(topic, 0, [small(number)]) for number in range(20)]
    too_large = writer.send(topic, 0, [OutRecord(b"big", b"x" * LIMIT)])
    results = await asyncio.gather(*others[:10], too_large, *others[10:], return_exceptions=True)

    assert [10] == [at for at, result in enumerate(results) if isinstance(result, Exception)]
    assert {b"%d" % number for number in range(20)} == {key for key, _ in await written(kafka.bootstrap, topic)}
    assert 20 == len(await written(kafka.bootstrap, topic))


async def test_a_write_does_not_wait_for_the_answer_to_one_of_another_partition(kafka, topic):
    """One request to a broker at a time would leave the worker idle while it is answered."""
    producer = make_producer(Connection(bootstrap=kafka.bootstrap))
    send = producer.client.send
    one_under_way, two_under_way = asyncio.Event(), asyncio.Event()

    async def send_together(node_id: int, request: object, **options: object) -> object:
        if isinstance(request, ProduceRequest):
            if one_under_way.is_set():
                two_under_way.set()
            one_under_way.set()
            await two_under_way.wait()
        return await send(node_id, request, **options)

    producer.client.send = send_together
    await producer.start()
    try:
        async with asyncio.timeout(30):
            first = asyncio.ensure_future(one_record(producer, topic, 0))
            await one_under_way.wait()

            assert [Span(0, 0), Span(0, 0)] == await asyncio.gather(first, one_record(producer, topic, 1))
    finally:
        await producer.stop()


async def test_a_record_that_no_broker_takes_is_refused_here(writer, topic):
    """
    A request of such a size would make the broker close the connection, and the client try again for ever.
    """
    with pytest.raises(RecordTooLarge) as refused:
        await writer.send(topic, 0, [OutRecord(b"k", bytes(RECORD_BYTES_MAX))])

    assert 0 == refused.value.index


async def test_a_writer_that_is_not_connected_says_so(kafka):
    """
    Writing before `start` or after `stop` is an error, and nothing hangs.
    """
    with pytest.raises(BrokerError):
        await RecordWriter(Connection(bootstrap=kafka.bootstrap), valid_lease()).send("topic", 0, [small(0)])


async def test_nothing_is_written_without_the_lease(kafka, topic):
    """
    A worker that was frozen between its question for the lease and the socket drops the write when it wakes up.
    """
    lease = valid_lease()
    writer = RecordWriter(Connection(bootstrap=kafka.bootstrap), lease)
    await writer.start()
    try:
        await writer.send(topic, 0, [small(0)])
        lease.lose()
        with pytest.raises(StreamLost):
            await writer.send(topic, 0, [small(1)])
    finally:
        await writer.stop()

    assert [b"0"] == [key for key, _ in await written(kafka.bootstrap, topic)]


async def test_a_write_waits_for_a_lease_in_doubt(kafka, topic):
    """
    After an outage of the broker the lease has run out, and nobody has taken the partition: the write goes out when
    the group has answered again.
    """
    lease = Lease(3600)
    lease.renew(boottime_s() - 7200)
    writer = RecordWriter(Connection(bootstrap=kafka.bootstrap), lease)
    await writer.start()
    try:
        sending = asyncio.ensure_future(writer.send(topic, 0, [small(0)]))
        done, _ = await asyncio.wait({sending}, timeout=0.5)

        assert not done

        lease.renew(boottime_s())
        await sending
    finally:
        await writer.stop()

    assert [b"0"] == [key for key, _ in await written(kafka.bootstrap, topic)]
