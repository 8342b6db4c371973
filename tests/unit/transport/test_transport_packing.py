"""Batches that are packed in one go: the bytes that aiokafka's own builder makes."""

from __future__ import annotations

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import example, given
from hypothesis import strategies as st

from pql_stream.stream.transport.packing import PackedBatch
from pql_stream.wire.records import OutRecord

PRODUCER = (2**40 + 7, 3, 70_000)
TIMESTAMP_MS = 1_796_000_000_123

# Sizes on and beside where a length takes another byte.
contents = st.none() | st.sampled_from([0, 1, 63, 64, 8_191, 8_192, 20_000]).map(bytes) | st.binary(max_size=5)
headers = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), contents), max_size=3)
record_lists = st.lists(st.builds(OutRecord, contents, contents, headers), min_size=1, max_size=5)


def by_aiokafka(records: list[OutRecord], bytes_max: int, *, transactional: bool) -> tuple[int, bytes]:
    """How many of *records* fit into a batch of its builder, and its bytes."""
    builder = BatchBuilder(bytes_max, 0, is_transactional=transactional)
    for record in records:
        fields = {"key": record.key, "value": record.value, "headers": list(record.headers)}
        if builder.append(timestamp=TIMESTAMP_MS, **fields) is None:
            break
    builder._set_producer_state(*PRODUCER)
    return builder.record_count(), bytes(builder._build())


@given(record_lists, st.sampled_from([1, 100, 8_300, 1_000_000]), st.booleans())
@example(
    records=[OutRecord(b"k%d" % number, b"v") for number in range(9_000)], bytes_max=1_000_000, transactional=False
)
@example(records=[OutRecord(b"k", bytes(3_000_000))], bytes_max=900_000, transactional=True)
def test_the_bytes_are_those_of_aiokafka(records, bytes_max, transactional):
    """
    The same records fit, a first one always, and they make the same bytes; also when they are sent again.
    """
    batch = PackedBatch(records, TIMESTAMP_MS, bytes_max=bytes_max, transactional=transactional)
    batch._set_producer_state(*PRODUCER)

    assert by_aiokafka(records, bytes_max, transactional=transactional) == (batch.record_count(), batch._build())
    assert batch._build() is batch._build()


@pytest.mark.parametrize("transactional", [False, True])
def test_a_compressed_batch_is_read_as_it_was(transactional):
    """
    By gzip, and as many records as without: what they take afterwards is not known before.
    """
    records = [OutRecord(b"k%d" % number, bytes(500), [("h", b"v"), ("none", None)]) for number in range(9)]
    plain, small = (
        PackedBatch(records, TIMESTAMP_MS, bytes_max=3_000, compressed=compressed, transactional=transactional)
        for compressed in (False, True)
    )

    assert 5 == plain.record_count() == small.record_count()
    assert len(small._build()) < 500 < len(plain._build())
    read = MemoryRecords(small._build()).next_batch()
    assert (True, transactional) == (read.validate_crc(), read.is_transactional)
    assert [(record.key, record.value, list(record.headers)) for record in records[:5]] == [
        (record.key, record.value, record.headers) for record in read
    ]


def test_a_batch_is_closed_from_the_beginning():
    """
    aiokafka puts nothing more into it.
    """
    batch = PackedBatch([OutRecord(b"k", None)], TIMESTAMP_MS, bytes_max=100)
    batch.close()

    assert batch.closed()
    assert 1 == batch.record_count()
