"""A request that got no answer may arrive late; it must not end, or add to, a transaction that came after it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP
from score_proxy import END_TRANSACTION, TRANSACTION_OFFSETS, HoldingProxy

from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.transactional import TransactionalProducer
from pql_stream.stream.transport.transactions import Transaction, Transactions
from pql_stream.wire.records import OutRecord

pytestmark = pytest.mark.system


@pytest.fixture
def topic(kafka, topic_prefix: str):
    """A topic of one partition, source and output in one."""
    name = topic_prefix + "topic"
    kafka.create_topics({name: 1})
    yield name
    kafka.delete_topics(topic_prefix)


class Offsets:
    """What the group has committed: nobody else is there."""

    async def of(self, partition: int) -> tuple[dict[TP, int | None], dict[TP, int | None]]:
        return {}, {}

    def note(self, tp: TP, offset: int) -> None:
        pass


async def committed(bootstrap: str, topic: str) -> tuple[list[bytes | None], int | None]:
    """The values that who reads committed records sees, and the group's offset."""
    options = {"group_id": topic, "enable_auto_commit": False, "isolation_level": "read_committed"}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, **options)
    tp = TopicPartition(topic, 0)
    await consumer.start()
    try:
        consumer.assign([tp])
        offset = await consumer.committed(tp)
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        found: list[bytes | None] = []
        while await consumer.position(tp) < end:
            found += [record.value for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])]
    finally:
        await consumer.stop()
    return found, offset


def write(topic: str, value: bytes):
    """The writes of a batch: one record."""

    async def write_one(transaction: Transaction) -> None:
        await transaction.writer.send(topic, 0, [OutRecord(None, value)])

    return write_one


def transactions(proxy: HoldingProxy, topic: str) -> Transactions:
    """Those of a worker behind *proxy*."""
    connection = Connection(bootstrap=proxy.bootstrap)
    return Transactions(lambda _: TransactionalProducer(connection, f"{topic}-id", topic), Offsets())


async def commit_twice(proxy: HoldingProxy, of: Transactions, topic: str, kind: int) -> None:
    """
    A transaction of which the first request of *kind* loses its answer, and stays on the road: the worker asks again.
    """
    committing = asyncio.ensure_future(of.run(topic, 0, 1, write(topic, b"first")))
    await asyncio.to_thread(proxy.wait_until_stands, f"{topic}-id")
    proxy.let_overtake(f"{topic}-id", kind)
    proxy.lose_answers()
    await committing


async def test_a_late_commit_does_not_end_the_next_transaction(kafka, topic):
    """
    A commit that arrives when the next transaction is half written is refused: when the worker dies then, nobody sees
    that half.
    """
    with HoldingProxy(kafka.bootstrap) as proxy:
        of = transactions(proxy, topic)
        await of.open([0])
        half_written = asyncio.Event()

        async def write_half(transaction: Transaction) -> None:
            await transaction.writer.send(topic, 0, [OutRecord(None, b"half")])
            half_written.set()
            await asyncio.Event().wait()

        with proxy.held(f"{topic}-id", END_TRANSACTION):
            await commit_twice(proxy, of, topic, END_TRANSACTION)
            dying = asyncio.ensure_future(of.run(topic, 0, 2, write_half))
            await half_written.wait()

        assert await asyncio.to_thread(proxy.late_answer.wait, 30)

        dying.cancel()
        await of.close()

    assert ([b"first"], 1) == await committed(kafka.bootstrap, topic)


async def test_late_offsets_do_not_go_back(kafka, topic):
    """
    Offsets that arrive behind those of the next transaction are refused, and do not take their place.
    """
    with HoldingProxy(kafka.bootstrap) as proxy:
        of = transactions(proxy, topic)
        await of.open([0])
        with ExitStack() as offsets:
            offsets.enter_context(proxy.held(f"{topic}-id", TRANSACTION_OFFSETS))
            await commit_twice(proxy, of, topic, TRANSACTION_OFFSETS)
            with proxy.held(f"{topic}-id", END_TRANSACTION):
                second = asyncio.ensure_future(of.run(topic, 0, 2, write(topic, b"second")))
                await asyncio.to_thread(proxy.wait_until_stands, f"{topic}-id", END_TRANSACTION)
                offsets.close()

                assert await asyncio.to_thread(proxy.late_answer.wait, 30)
        await second
        await of.close()

    assert ([b"first", b"second"], 2) == await committed(kafka.bootstrap, topic)
