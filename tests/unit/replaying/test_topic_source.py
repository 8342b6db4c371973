"""Topics as a source, on a broker in memory."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from pql_stream.errors import BrokerAway, BrokerError, InvalidSettings
from pql_stream.ops.brokers.embedded import EmbeddedKafka
from pql_stream.ops.replaying.bounds import Bound, OffsetBound, PartitionOffsets
from pql_stream.ops.replaying.options import AskedSource
from pql_stream.ops.replaying.topic_source import CHUNK_RECORDS
from pql_stream.replay.source import Recorded, Source
from pql_stream.wire.rekeyed import Origin, rekeyed_headers

TOPIC, REKEYED = "p-product-activity", "p-product-activity-rekeyed"
START_MS = 1_767_607_200_000


class Place:
    """A broker with the activity's topics under a prefix, and what is written to them."""

    def __init__(self, broker: EmbeddedKafka) -> None:
        self.broker = broker
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        self._producer.list_topics(timeout=10)

    def write(self, *records: tuple[int, int, bytes | None], topic: str = TOPIC, headers=()) -> None:
        """Partition, milliseconds after the start, value."""
        for partition, after_ms, value in records:
            self._producer.produce(
                topic, value, b"key", partition, timestamp=START_MS + after_ms, headers=list(headers) or None
            )
            self._producer.flush(10)


@pytest.fixture
def place(embedded_kafka: Callable[[Mapping[str, int]], EmbeddedKafka], monkeypatch) -> Place:
    broker = embedded_kafka({TOPIC: 3, REKEYED: 3})
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("PQL_TOPIC_PREFIX", "p-")
    return Place(broker)


def asked(*topics: str, **given: object) -> Source:
    return AskedSource((), topics or ("product-activity",), **given).source()


def places_of(source: Source, since: object = None) -> list[tuple[str, int, int]]:
    return [one[:3] for one in records_of(source, since)]


def records_of(source: Source, since: object = None) -> list[Recorded]:
    return [record for chunk in source.read(since) for record in chunk.records]


def values_of(source: Source) -> list[bytes]:
    return [record.value for record in records_of(source)]


def test_records_come_with_what_kafka_knows_of_them(place):
    """
    Topic, partition, offset, timestamp and headers; what has no value is no event.
    """
    place.write((1, 5, b"a"), (1, 6, None), (1, 7, b""), (1, 8, b"b"), headers=[("h", b"1"), ("n", None)])
    source = asked()
    headers = (("h", b"1"), ("n", None))

    assert [
        Recorded(TOPIC, 1, 0, b"a", START_MS + 5, headers),
        Recorded(TOPIC, 1, 3, b"b", START_MS + 8, headers),
    ] == records_of(source)


def test_the_partitions_are_merged_by_time(place):
    """
    The oldest of the next records is the next; within a partition offsets rise, whatever the times say.
    """
    place.write((0, 5, b"a"), (0, 3, b"b"), (0, 9, b"c"))
    place.write((2, 4, b"d"), (2, 9, b"e"), (2, 10, b"f"))

    assert [b"d", b"a", b"b", b"c", b"e", b"f"] == values_of(asked())


def test_the_end_is_that_of_the_beginning_in_every_process(place):
    """
    What is written afterwards is not read: not by this process, not by one that the source was sent to.
    """
    place.write((0, 1, b"a"), (1, 2, b"b"))
    source = asked()
    place.write((0, 3, b"c"), (1, 4, b"d"), (2, 5, b"e"))
    sent = pickle.loads(pickle.dumps(source))
    sent.check()

    assert [b"a", b"b"] == values_of(source) == values_of(sent)
    assert [2, 2] == [source.bytes_total, [chunk.bytes_read for chunk in sent.read()][-1]]
    assert source.fingerprint() == sent.fingerprint() != asked().fingerprint()
    assert place.broker.bootstrap.encode() not in pickle.dumps(source)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, "abcdef"),
        (OffsetBound(1), OffsetBound(2), "cd"),
        (OffsetBound(2), None, "ef"),
        (OffsetBound(99), None, ""),
        (None, OffsetBound(99), "abcdef"),
        (PartitionOffsets({0: 2}), PartitionOffsets({1: 1}), "be"),
    ],
)
def test_a_range_is_of_offsets(place, begin: Bound | None, end: Bound | None, expected: str):
    """
    From the record that lies there, and up to it; beyond the end is the end. The broker in memory knows no times.
    """
    place.write((0, 10, b"a"), (1, 11, b"b"), (0, 20, b"c"), (1, 21, b"d"), (0, 30, b"e"), (1, 31, b"f"))

    assert expected.encode() == b"".join(values_of(asked(begin=begin, end=end)))


def test_only_some_partitions_are_read(place):
    """
    Those that are named.
    """
    place.write((0, 10, b"a"), (1, 11, b"b"), (2, 12, b"c"))

    assert [b"a", b"c"] == values_of(asked(partitions=(2, 0)))


def test_reading_goes_on_behind_any_chunk(place):
    """
    From the end of each chunk come the same chunks, cut alike, as without an interruption.
    """
    place.write(*[(number % 3, 1_000 - number % 17, b"%d" % number) for number in range(40)])
    count = 2 * CHUNK_RECORDS + 500
    producer = Producer({"bootstrap.servers": place.broker.bootstrap, "linger.ms": 50, "log_level": 0})
    for number in range(count):
        producer.produce(TOPIC, b"%d" % number, None, number % 3, timestamp=START_MS + 2_000 + number // 7)
    producer.flush(10)
    source = asked()
    chunks = list(source.read())
    told = [(*chunk[1:], list(chunk.records)) for chunk in chunks]

    assert [CHUNK_RECORDS, CHUNK_RECORDS, 540] == [len(chunk.records) for chunk in chunks]
    for number, chunk in enumerate(chunks):
        position = json.loads(json.dumps(chunk.after))
        assert told[number + 1 :] == [(*chunk[1:], list(chunk.records)) for chunk in source.read(position)]


def test_records_that_are_asked_for_are_as_among_all(place):
    """
    Values and headers of all without the records, and the records of a mask as they are among all.
    """
    place.write((0, 1, b"a"), (1, 2, b"b"))
    [plain] = asked().read()
    place.write((2, 3, b"c"), headers=[("h", b"1")])
    [chunk] = asked().read()
    every = list(chunk.records)

    assert ([b"a", b"b"], None) == (plain.records.values, plain.records.headers)
    assert ([b"a", b"b", b"c"], [(), (), (("h", b"1"),)]) == (chunk.records.values, chunk.records.headers)
    assert [every[0], every[2]] == list(chunk.records.fields(b"\1\0\1"))


def test_a_rekeyed_record_is_the_producers(place):
    """
    It names the producer's record and time; where that one is read, too, it is left out; a stranger's stays as it is.
    """
    place.write((0, 10, b"a"), (0, 20, b"b"))
    for offset, value in enumerate((b"a", b"b")):
        origin = Origin(TOPIC, 0, offset, START_MS + 10 * offset + 10)
        place.write((2, 50, value), topic=REKEYED, headers=rekeyed_headers([("h", b"1")], origin))
    place.write((1, 60, b"c"), topic=REKEYED)
    both = ("product-activity", "product-activity-rekeyed")

    assert [(TOPIC, 0, 0), (TOPIC, 0, 1), (REKEYED, 1, 0)] == places_of(asked("product-activity-rekeyed"))
    assert START_MS + 10 == records_of(asked("product-activity-rekeyed"))[0].timestamp_ms
    assert [b"a", b"b", b"c"] == values_of(asked(*both))
    assert [(TOPIC, 0, 0), (TOPIC, 0, 1), (REKEYED, 1, 0)] == places_of(asked(*both, partitions=(1, 2)))


def test_a_partition_that_is_far_ahead_waits(place):
    """
    What one partition has to wait with for another is bounded, and nothing is lost or read twice by that.
    """
    producer = Producer({"bootstrap.servers": place.broker.bootstrap, "linger.ms": 50, "log_level": 0})
    for number in range(3_000):
        for partition in (0, 1):
            after_ms = number if partition == 0 else 10_000 + number
            producer.produce(TOPIC, b"%d" % number + b"x" * 100, None, partition, timestamp=START_MS + after_ms)
    producer.flush(10)

    assert [(TOPIC, partition, offset) for partition in (0, 1) for offset in range(3_000)] == places_of(
        replace(asked(), buffer_bytes=100_000)
    )


@pytest.mark.parametrize(
    ("topics", "given", "error", "what"),
    [
        (("nothing",), {}, BrokerError, "there is no topic p-nothing"),
        ((), {"partitions": (0, 7)}, InvalidSettings, "p-product-activity has no partition 7"),
        ((), {"end": PartitionOffsets({3: 5})}, InvalidSettings, "p-product-activity has no partition 3"),
    ],
)
def test_what_is_not_there_is_told(place, topics, given, error, what):
    """
    A topic, a partition: which, and where to look.
    """
    with pytest.raises(error, match=what):
        asked(*topics, **given)


def test_a_broker_that_goes_away_is_waited_for_and_then_given_up(place, capsys):
    """
    People are told, and reading ends with an error that says so when its patience is over.
    """
    place.write((0, 10, b"a"))
    impatient = replace(asked(), patience_s=0.5)
    place.broker.close()

    with pytest.raises(BrokerAway, match="does not answer any more"):
        list(impatient.read())
    assert "no answer from Kafka for" in capsys.readouterr().err
