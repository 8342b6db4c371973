"""The order of steps around a transaction, and what becomes of one that fails, with producers in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from faust.types import TP

from pql_stream.errors import BrokerError, StreamLost
from pql_stream.stream.transport.producing import Span
from pql_stream.stream.transport.transactions import OPEN_S_MAX, Transaction, Transactions
from pql_stream.wire.records import OutRecord

SOURCE = TP("source", 3)
RECORD = OutRecord(b"k", b"v")


@dataclass
class Kafka:
    """What happened, and what the group has committed. A step of the name *fails_at* raises."""

    steps: list[str] = field(default_factory=list)
    committed: dict[TP, int | None] = field(default_factory=lambda: {SOURCE: None})
    noted: dict[TP, int | None] = field(default_factory=lambda: {SOURCE: None})
    fails_at: str = ""
    hangs_at: str = ""
    made: list[Producer] = field(default_factory=list)

    def make(self, partition: int) -> Producer:
        self.made.append(Producer(self, partition))
        return self.made[-1]

    async def step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.fails_at:
            raise BrokerError(f"{name} failed")
        if name == self.hangs_at:
            await asyncio.Event().wait()

    async def of(self, partition: int) -> tuple[dict[TP, int | None], dict[TP, int | None]]:
        return dict(self.noted), dict(self.committed)

    def note(self, tp: TP, offset: int) -> None:
        self.steps.append("note")
        self.noted[tp] = offset


@dataclass
class Producer:
    """A producer of one partition; its commit reaches the group."""

    kafka: Kafka
    partition: int
    is_in_doubt: bool = False
    _offsets: dict[TP, int] = field(default_factory=dict)

    async def start(self) -> None:
        await self.kafka.step(f"start {self.partition}")

    async def stop(self) -> None:
        await self.kafka.step(f"stop {self.partition}")

    async def begin(self) -> None:
        await self.kafka.step("begin")

    async def send(self, topic: str, partition: int, records: list[OutRecord], *, compressed: bool) -> list[Span]:
        await self.kafka.step("send")
        return [Span(0, len(records) - 1)]

    async def add_offset(self, tp: TP, offset: int) -> None:
        await self.kafka.step("offset")
        self._offsets[tp] = offset

    async def commit(self) -> None:
        await self.kafka.step("commit")
        self.kafka.committed |= self._offsets


def transactions(kafka: Kafka, open_s_max: float = OPEN_S_MAX) -> Transactions:
    return Transactions(kafka.make, kafka, open_s_max=open_s_max)


def write_one(kafka: Kafka):
    """One record, and a note when it is committed."""

    async def write(transaction: Transaction) -> None:
        transaction.when_committed(lambda: kafka.steps.append("store"))
        await transaction.writer.send("out", 3, [RECORD])

    return write


async def test_rows_and_offsets_count_when_the_transaction_is_committed():
    """Everything of a batch lies between the begin and the commit; what follows from it lies behind."""
    kafka = Kafka()
    of = transactions(kafka)
    await of.open([3])
    await of.run("source", 3, 7, write_one(kafka))

    assert ["start 3", "begin", "send", "offset", "commit", "store", "note"] == kafka.steps
    assert {SOURCE: 7} == kafka.noted


@pytest.mark.parametrize("step", ["begin", "send", "offset", "commit"])
async def test_nothing_is_stored_of_a_transaction_that_failed(step):
    """Whatever step fails, no row is stored and no offset noted."""
    kafka = Kafka(fails_at=step)
    of = transactions(kafka)
    await of.open([3])
    with pytest.raises(BrokerError):
        await of.run("source", 3, 7, write_one(kafka))

    assert step == kafka.steps[-1]
    assert {SOURCE: None} == kafka.noted


async def test_a_producer_in_doubt_is_replaced_before_the_next_transaction():
    """A request of the old one that is still on the road finds the broker with a new one."""
    kafka = Kafka()
    of = transactions(kafka)
    await of.open([3])
    await of.run("source", 3, 7, write_one(kafka))
    kafka.made[0].is_in_doubt = True
    kafka.steps.clear()
    await of.run("source", 3, 9, write_one(kafka))

    assert ["stop 3", "start 3", "begin"] == kafka.steps[:3]
    assert {SOURCE: 9} == kafka.committed


async def test_a_partition_that_had_another_owner_meanwhile_is_given_up():
    """Offsets that somebody else has moved mean rows that we have not read."""
    kafka = Kafka()
    of = transactions(kafka)
    await of.open([3])
    kafka.made[0].is_in_doubt = True
    kafka.committed[SOURCE] = 5
    with pytest.raises(StreamLost):
        await of.run("source", 3, 7, write_one(kafka))

    assert "begin" not in kafka.steps


async def test_a_partition_that_is_not_ours_is_not_written_to():
    """After the hand-over, and before any assignment, there is no producer to write by."""
    kafka = Kafka()
    of = transactions(kafka)
    await of.open([3, 4])
    await of.open([4])
    with pytest.raises(StreamLost):
        await of.run("source", 3, 7, write_one(kafka))

    assert ["start 3", "start 4", "stop 3", "stop 4", "start 4"] == kafka.steps


async def test_a_partition_that_cannot_be_opened_is_told():
    """One that the broker refuses, and one that never answers, both end in an error."""
    with pytest.raises(BrokerError):
        await transactions(Kafka(fails_at="start 3")).open([3, 4])
    with pytest.raises(BrokerError):
        await transactions(Kafka(hangs_at="start 4"), open_s_max=0).open([3, 4])
