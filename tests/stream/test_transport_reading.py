"""Reading a stretch of a partition of a real broker."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer, TopicPartition

from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.reading import first_offset, read_range

pytestmark = pytest.mark.system


@pytest.fixture
def topic(kafka, topic_prefix: str):
    """Partition 1 has the records 0 to 99, each with its offset as value; the first ten are deleted."""
    name = topic_prefix + "read"
    kafka.create_topics({name: 2})
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.list_topics(name, timeout=10)
    for number in range(100):
        producer.produce(name, str(number).encode(), b"key", 1)
    producer.flush()
    (deleted,) = kafka.admin.delete_records([TopicPartition(name, 1, 10)]).values()
    deleted.result()
    yield name
    kafka.delete_topics(topic_prefix)


@pytest.mark.parametrize(
    ("first", "end", "expected"),
    [(20, 50, range(20, 50)), (90, 100, range(90, 100)), (0, 15, range(10, 15)), (0, 5, range(0))],
    ids=["a part", "to the end", "from before the beginning", "before the beginning"],
)
async def test_a_stretch_is_read_and_nothing_else(kafka, topic, first, end, expected):
    """
    Both ends as asked for; what is gone is passed over.
    """
    connection = Connection(bootstrap=kafka.bootstrap)
    found = [record async for records in read_range(connection, topic, 1, first, end) for record in records]

    assert [(offset, str(offset).encode()) for offset in expected] == [(each.offset, each.value) for each in found]


async def test_where_a_partition_begins(kafka, topic):
    """
    Behind what was deleted.
    """
    connection = Connection(bootstrap=kafka.bootstrap)

    assert [0, 10] == [await first_offset(connection, topic, partition) for partition in (0, 1)]
