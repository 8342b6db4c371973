"""
Batches of records as they lie in the log, packed in one go (version 2 of Kafka's record batch, KIP-98).

aiokafka's builder takes a record at a time and reckons the checksum by tables. That was a tenth of what an event costs
that changes a score. Here the pieces of a batch are joined once, and the processor has an instruction for the checksum.
"""

from __future__ import annotations

from collections.abc import Iterable
from gzip import compress
from struct import Struct

import google_crc32c

from pql_stream.wire.headers import Headers
from pql_stream.wire.records import OutRecord

_GZIP = 1
_TRANSACTIONAL = 0x10

_FRONT = Struct(">qiibI")
"""First offset (the broker's to say), bytes behind it, leader epoch (none), format, checksum of what follows."""
_LENGTH_COUNTS_FROM = 12
_NO_EPOCH = -1
_FORMAT = 2

_BACK = Struct(">hiqqqhii")
"""Attributes, last offset, first and last timestamp, producer's id, epoch and sequence number, records."""
_HEADER_BYTES = _FRONT.size + _BACK.size

_NO_PRODUCER = -1, -1, 0
_ABSENT = b"\x01"
"""The length -1."""
_NO_HEADERS = b"\x00"
_REMEMBERED_MAX = 16_384


class _Varints(dict[int, bytes]):
    """Numbers from 0 in the zigzag coding of varying length; lengths and offsets that are usual are remembered."""

    def __missing__(self, number: int) -> bytes:
        left, coded = number << 1, bytearray()
        while left > 0x7F:
            coded.append(0x80 | left & 0x7F)
            left >>= 7
        coded.append(left)
        varint = bytes(coded)
        if number < _REMEMBERED_MAX:
            self[number] = varint
        return varint


_VARINTS = _Varints()


class PackedBatch:
    """
    As many of *records* as fit into *bytes_max* before they are *compressed* (gzip), a first one always.

    To aiokafka it is one of its builders, closed to further records.
    """

    def __init__(
        self,
        records: Iterable[OutRecord],
        timestamp_ms: int,
        *,
        bytes_max: int,
        compressed: bool = False,
        transactional: bool = False,
    ) -> None:
        self._body, self._count = _packed(records, bytes_max)
        self._timestamp_ms = timestamp_ms
        self._compressed = compressed
        self._attributes = _TRANSACTIONAL if transactional else 0
        self._producer = _NO_PRODUCER
        self._built: bytes | None = None

    def record_count(self) -> int:
        """How many records it has."""
        return self._count

    def close(self) -> None:
        """Nothing: it takes no further record."""

    def closed(self) -> bool:
        """True."""
        return True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = producer_id, producer_epoch, base_sequence

    def _build(self) -> bytes:
        """The batch; the same again when it is sent again."""
        if self._built is None:
            body, attributes = self._body, self._attributes
            if self._compressed:
                body, attributes = compress(body), attributes | _GZIP
            times = self._timestamp_ms, self._timestamp_ms
            back = _BACK.pack(attributes, self._count - 1, *times, *self._producer, self._count)
            length = _HEADER_BYTES - _LENGTH_COUNTS_FROM + len(body)
            front = _FRONT.pack(0, length, _NO_EPOCH, _FORMAT, google_crc32c.extend(google_crc32c.value(back), body))
            self._built, self._body = b"".join((front, back, body)), b""
        return self._built


def _packed(records: Iterable[OutRecord], bytes_max: int) -> tuple[bytes, int]:
    """As many of *records* as fit, and how many they are."""
    varints = _VARINTS
    pieces: list[bytes] = []
    count, size = 0, _HEADER_BYTES
    for record in records:
        offset, key, value = varints[count], record.key, record.value
        if key is None:
            key_length, key = _ABSENT, b""
        else:
            key_length = varints[len(key)]
        if value is None:
            value_length, value = _ABSENT, b""
        else:
            value_length = varints[len(value)]
        headers = _packed_headers(record.headers) if record.headers else _NO_HEADERS
        length = 2 + len(offset) + len(key_length) + len(key) + len(value_length) + len(value) + len(headers)
        packed_length = varints[length]
        size += len(packed_length) + length
        if size > bytes_max and count:
            break
        # A record has no attributes, and its timestamp is the first one's: two zeros.
        pieces += (packed_length, b"\x00\x00", offset, key_length, key, value_length, value, headers)
        count += 1
    return b"".join(pieces), count


def _packed_headers(headers: Headers) -> bytes:
    pieces = [_VARINTS[len(headers)]]
    for name, content in headers:
        encoded = name.encode()
        pieces += (_VARINTS[len(encoded)], encoded)
        pieces += (_ABSENT,) if content is None else (_VARINTS[len(content)], content)
    return b"".join(pieces)
