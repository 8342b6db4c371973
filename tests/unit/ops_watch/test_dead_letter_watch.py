"""How many dead letters wait, and since when."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.errors import BrokerAway
from pql_stream.ops.dead_letter_watch import DeadLetterWatch, DepthReader, Lying, OpenLetters

STEPS = st.lists(st.tuples(st.sampled_from(["add", "redrive", "trim"]), st.integers(0, 30)), max_size=60)


@given(STEPS)
def test_open_letters_are_those_of_a_plain_dict(steps):
    """
    Whatever is written, redriven and deleted by retention, in any order: as many are left, the oldest as old.
    """
    letters, plain, end, low = OpenLetters(), {}, 0, 0
    for what, number in steps:
        if what == "add":
            end += 1 + number % 3  # marks and markers of transactions lie between letters
            letters.add(end, 1_000 + end)
            plain[end] = 1_000 + end
        elif what == "redrive":
            letters.redriven(number)
            plain.pop(number, None)
        else:
            low = max(low, min(number, end))
            plain = {offset: at_ms for offset, at_ms in plain.items() if offset >= low}
        oldest_at_ms = letters.oldest_at_ms(low)

        assert (min(plain.values(), default=None), len(plain)) == (oldest_at_ms, letters.count)


def test_memory_ends_with_what_waits():
    """
    When all are redriven nothing is kept, also not of a topic that begins far behind 0.
    """
    letters = OpenLetters()
    for offset in range(10_000_000, 10_010_000):
        letters.add(offset, 5)
    for offset in range(10_000_000, 10_010_000):
        letters.redriven(offset)

    assert (None, 0, 0) == (letters.oldest_at_ms(0), letters.count, len(letters._at_ms))


def write(broker, topic, partition, value, *, headers=(), at_ms=0):
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, value, b"u1", partition, headers=list(headers), timestamp=at_ms)
    producer.flush(10)


def test_marks_take_letters_away_and_new_ones_are_read_later(embedded_kafka):
    """
    Of a sink's topic only what nobody has redriven counts, over all partitions; a second look reads what is new.
    """
    broker = embedded_kafka({"delivery-crm-dlq": 2, "empty-dlq": 1})
    reader = DepthReader(
        {"bootstrap.servers": broker.bootstrap}, ("delivery-crm-dlq", "empty-dlq", "absent"), are_marked=True
    )
    write(broker, "delivery-crm-dlq", 0, b"{}", at_ms=5_000)
    write(broker, "delivery-crm-dlq", 0, b"{}", at_ms=6_000)
    write(broker, "delivery-crm-dlq", 1, b"not even JSON", at_ms=7_000)
    first = reader.read()
    write(broker, "delivery-crm-dlq", 0, None, headers=[("pql-redriven", b"0")])
    second = reader.read()

    assert {"delivery-crm-dlq": Lying(3, 5.0), "empty-dlq": Lying(0, None)} == first
    assert Lying(2, 6.0) == second["delivery-crm-dlq"]


def test_without_marks_ends_and_the_first_record_are_enough(embedded_kafka):
    """
    The dead letters of the input may be many and large: they are not read.
    """
    broker = embedded_kafka({"product-activity-dlq": 1})
    for at_ms in (8_000, 9_000):
        write(broker, "product-activity-dlq", 0, b"junk", at_ms=at_ms)
    reader = DepthReader({"bootstrap.servers": broker.bootstrap}, ("product-activity-dlq",), are_marked=False)

    assert {"product-activity-dlq": Lying(2, 8.0)} == reader.read()


class Reader:
    def __init__(self, *answers):
        self.answers = list(answers)

    def read(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Meter:
    def __init__(self):
        self.topics = []

    def lying(self, topics):
        self.topics.append(topics)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_one_worker_tells(is_ours):
    """
    The others say nothing, and forget what they said before; a cluster that is away changes nothing.
    """
    lies = {"t": Lying(1, 1.0)}
    meter = Meter()
    watch = DeadLetterWatch(
        Reader(lies, BrokerAway("away"), lies), meter, is_ours=lambda: is_ours, stop=asyncio.Event()
    )
    for _ in range(3):
        await watch.look()

    assert ([lies, lies] if is_ours else [{}, {}, {}]) == meter.topics
