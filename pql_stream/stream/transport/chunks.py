"""
Records as aiokafka's parser makes them, in chunks.

aiokafka wraps each parsed record into an object of its own, which costs twice as much as to parse it. Its
fetcher keeps what was fetched of a partition as an iterator of records. Here that iterator gives chunks, and
everything around it (positions, pauses, assignments, errors) stays aiokafka's: to it a chunk is one record.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile
from typing import Any, NamedTuple

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException

from pql_stream.wire.records import SourceRecord, header_bytes

CHUNK_BYTES = 64 * 1024
"""A chunk ends with the record that reaches this size."""


class Chunk(NamedTuple):
    """Records of one partition, in order, and the size of their keys, values and headers."""

    records: list[SourceRecord]
    bytes: int


def record_bytes(record: SourceRecord) -> int:
    """Size of key, value and headers of *record* in bytes."""
    return len(record.key or b"") + len(record.value or b"") + header_bytes(record.headers)


class PartitionChunks(PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """Takes the place of *fetched*, what one fetch brought of a partition, before its first record is asked for."""

    next_fetch_offset: int

    def __init__(self, fetched: PartitionRecords) -> None:
        self.__dict__.update(vars(fetched))
        # It refers to its iterator, which refers to it: both, and all bytes of the fetch, would wait for the collector.
        vars(fetched).clear()
        self._records_iterator = self._unpack_records()

    def _unpack_records(self) -> Iterator[Chunk]:
        """
        The records that aiokafka's method of this name would give one by one.

        `next_fetch_offset` moves when a chunk is given away, so an error loses nothing: aiokafka fetches again
        from there.

        Raises:
            CorruptRecordException: a checksum is wrong.
        """
        records: list[SourceRecord] = []
        size, next_offset = 0, self.next_fetch_offset
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            # A compressed batch is fetched as a whole, also from its middle.
            for record in () if self._is_skipped(batch) else dropwhile(_lies_before(next_offset), batch):
                records.append(record)
                # `record_bytes`, without a call for the many that have no headers.
                size += len(record.key or b"") + len(record.value or b"")
                if record.headers:
                    size += header_bytes(record.headers)
                if size >= CHUNK_BYTES:
                    self.next_fetch_offset = record.offset + 1
                    yield Chunk(records, size)
                    records, size = [], 0
            # Not the last record's: compaction may have taken the end of the batch.
            next_offset = batch.next_offset
        self.next_fetch_offset = next_offset
        if records:
            yield Chunk(records, size)

    def _is_skipped(self, batch: Any) -> bool:  # noqa: ANN401  # as above
        """*batch* has no record for us: a transaction's marker, or part of a transaction that was aborted."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


def _lies_before(offset: int) -> Any:  # noqa: ANN401  # as above
    return lambda record: record.offset < offset
