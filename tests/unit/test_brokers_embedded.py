"""The in-memory broker, with both clients that the pipeline uses."""

import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import Consumer, Producer

from pql_stream.ops.brokers.embedded import EmbeddedKafka


def test_confluent_kafka_reads_back_what_it_wrote_through_a_group(embedded_kafka):
    """
    Records written with confluent-kafka's idempotent producer come back to a consumer group, in order.
    """
    broker = embedded_kafka({"round-trip": 1})
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
    values = [b"%d" % number for number in range(100)]
    for value in values:
        producer.produce("round-trip", value, key=b"k")
    left = producer.flush(30)
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["round-trip"])
    received = [record.value() for record in consumer.consume(len(values), timeout=30)]
    consumer.close()

    assert 0 == left
    assert values == received


async def test_aiokafka_goes_on_where_the_group_committed(embedded_kafka):
    """
    aiokafka writes idempotently, reads in a group and commits; the group's next member starts there.
    """
    broker = embedded_kafka({"committed": 1})
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True) as producer:
        for number in range(10):
            await producer.send_and_wait("committed", b"%d" % number, key=b"k")
    settings = {
        "bootstrap_servers": broker.bootstrap,
        "group_id": uuid.uuid4().hex,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": 2000,  # the second member waits for it
        "heartbeat_interval_ms": 500,
    }
    async with AIOKafkaConsumer("committed", **settings) as first:
        read_first = [(await first.getone()).value for _ in range(4)]
        await first.commit({TopicPartition("committed", 0): 4})
    async with AIOKafkaConsumer("committed", **settings) as second:
        read_second = [(await second.getone()).value for _ in range(6)]

    assert [b"0", b"1", b"2", b"3"] == read_first
    assert [b"4", b"5", b"6", b"7", b"8", b"9"] == read_second


def test_topics_have_the_partitions_that_were_asked_for():
    """
    Each topic has its own number of partitions.
    """
    with EmbeddedKafka({"one": 1, "twelve": 12}) as broker:
        topics = Producer({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=30).topics

    assert {"one": 1, "twelve": 12} == {name: len(topic.partitions) for name, topic in topics.items()}


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_without_partitions_is_refused(partitions):
    """
    A topic that cannot be is refused by name; librdkafka itself would end the process.
    """
    with pytest.raises(ValueError, match=r"^none: "):
        EmbeddedKafka({"none": partitions})


def test_a_closed_broker_can_be_closed_again():
    """
    Closing twice is harmless: a fixture and a context manager may both do it.
    """
    broker = EmbeddedKafka({"one": 1})
    broker.close()

    broker.close()
