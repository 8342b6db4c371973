"""Chunks of records: the same records that aiokafka would give one by one."""

from __future__ import annotations

import gc
import weakref

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from pql_stream.stream.transport.chunks import CHUNK_BYTES, PartitionChunks

SOURCE = TopicPartition("source", 3)
GZIP = 1
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"


def kafka_batch(
    first: int,
    *values: bytes | None,
    producer: int = -1,
    compression: int = 0,
    headers: tuple[tuple[str, bytes | None], ...] = (),
) -> bytes:
    """A batch as a broker stores it, from offset *first* on; of a transaction if it has a *producer*."""
    builder = DefaultRecordBatchBuilder(2, compression, producer >= 0, producer, 0, 0, 1 << 24)
    for number, value in enumerate(values):
        builder.append(number, 1_000 + number, b"key", value, list(headers))
    return first.to_bytes(8) + bytes(builder.build())[8:]


def marker(offset: int, kind: bytes, producer: int) -> bytes:
    """The control batch that ends a transaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1 << 24)
    builder.append(0, 1_000, kind, b"", [])
    raw = bytearray(builder.build())
    raw[22] |= 0x20  # the low byte of the attributes: a control batch
    raw[17:21] = calc_crc32c(raw[21:]).to_bytes(4)
    return offset.to_bytes(8) + bytes(raw)[8:]


def fetched(raw: bytes, *, at: int = 0, aborted=(), isolation: int = READ_UNCOMMITTED) -> PartitionRecords:
    """What aiokafka makes of the answer to a fetch from offset *at*."""
    check_crcs = True
    return PartitionRecords(SOURCE, MemoryRecords(raw), list(aborted), at, None, None, check_crcs, isolation)


def told(records) -> list[tuple]:
    return [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records]


def test_a_fetch_goes_with_its_last_record():
    """The bytes that aiokafka fetched do not wait for the garbage collector."""
    records = fetched(kafka_batch(0, b"a", b"b"))
    there = weakref.ref(records)
    gc.disable()
    try:
        list(PartitionChunks(records))
        del records
        assert there() is None
    finally:
        gc.enable()


def test_small_batches_come_in_one_chunk_with_their_size():
    """Records of three batches are one chunk; its size is that of keys, values and headers."""
    headers = (("n", b"vv"), ("m", None))
    raw = kafka_batch(0, b"a" * 10), kafka_batch(1, b"b", None), kafka_batch(3, b"", headers=headers)
    (chunk,) = PartitionChunks(fetched(b"".join(raw)))

    assert [0, 1, 2, 3] == [record.offset for record in chunk.records]
    assert 10 + 1 + 4 * len(b"key") + 4 == chunk.bytes


def test_a_chunk_ends_with_the_record_that_reaches_its_size():
    """Large records come alone, small ones up to the size, and the offset to go on from moves with each chunk."""
    half = b"x" * (CHUNK_BYTES // 2)
    taken = PartitionChunks(fetched(kafka_batch(0, half, half, half * 4, b"a", b"b")))

    assert [([0, 1], 2), ([2], 3), ([3, 4], 5)] == [
        ([record.offset for record in chunk.records], taken.next_fetch_offset) for chunk in taken
    ]


LOG = b"".join(
    (
        kafka_batch(0, b"plain", b"also"),
        kafka_batch(2, b"of one that is aborted", producer=7),
        kafka_batch(3, b"of one that is not", producer=8),
        marker(4, ABORT, 7),
        kafka_batch(5, b"kept", producer=7),
        marker(6, COMMIT, 7),
        marker(7, COMMIT, 8),
        kafka_batch(8, b"packed", b"together", b"last", compression=GZIP),
    )
)


@pytest.mark.parametrize("isolation", [READ_UNCOMMITTED, READ_COMMITTED])
@pytest.mark.parametrize("at", [0, 1, 3, 5, 9, 10])
def test_chunks_have_the_records_that_aiokafka_gives(isolation, at):
    """Aborted transactions, markers, and the beginning of a batch that is fetched from its middle are left out."""
    # A broker names the aborted transactions of what it sends: producer and first offset.
    aborted = [(7, 2)] if at <= 4 else []
    one_by_one = fetched(LOG, at=at, aborted=aborted, isolation=isolation)
    chunks = PartitionChunks(fetched(LOG, at=at, aborted=aborted, isolation=isolation))
    records = [record for chunk in chunks for record in chunk.records]

    assert told(one_by_one) == told(records)
    assert one_by_one.next_fetch_offset == chunks.next_fetch_offset == 11


def test_a_log_that_ends_with_a_marker_is_read_behind_it():
    """There is no record to give, and the offset to go on from moves all the same."""
    chunks = PartitionChunks(fetched(marker(0, COMMIT, 7)))

    assert ([], 1) == (list(chunks), chunks.next_fetch_offset)


def test_a_wrong_checksum_moves_nothing():
    """What was parsed before the corrupt batch is not given away, so the next fetch brings it again."""
    raw = bytearray(kafka_batch(0, b"good") + kafka_batch(1, b"bad"))
    raw[-2] ^= 1
    chunks = PartitionChunks(fetched(bytes(raw)))

    with pytest.raises(CorruptRecordException):
        next(chunks)

    assert 0 == chunks.next_fetch_offset
