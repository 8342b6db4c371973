"""Dead letters: the received bytes, untouched; headers say why and whence (CONTRACT.md 2 and R26)."""

from __future__ import annotations

from hashlib import sha256

from pql_stream.errors import InvalidEvent
from pql_stream.wire.headers import Headers

VERSION = b"1"
STUB = b"stub"


def dead_letter_headers(
    own: Headers, fault: InvalidEvent, *, topic: str, partition: int, offset: int, timestamp_ms: int
) -> Headers:
    """The record's *own* headers, then ours; the keywords say where the producer's record lies."""
    detail = ": ".join(part for part in (fault.field, fault.detail) if part)
    return [
        *own,
        ("pql-dlq-reason", fault.reason.encode()),
        ("pql-dlq-detail", detail.encode()),
        ("pql-dlq-original-topic", topic.encode()),
        ("pql-dlq-original-partition", b"%d" % partition),
        ("pql-dlq-original-offset", b"%d" % offset),
        ("pql-dlq-original-timestamp", b"%d" % timestamp_ms),
        ("pql-dlq-version", VERSION),
    ]


def is_ours(header: tuple[str, bytes | None]) -> bool:
    """Did we add this header to the dead letter? (A producer may have used the name as well.)"""
    return header[0].startswith("pql-dlq-")


def stub(value: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """
    What stands for a dead letter that the broker does not take even compressed: its size and SHA-256.

    The one exception to "untouched": a partition must not stall over it.
    """
    digest = sha256(value).hexdigest()
    marked = [(name, STUB if name == "pql-dlq-detail" else content) for name, content in headers]
    return b'{"size":%d,"sha256":"%s"}' % (len(value), digest.encode()), marked
