"""
Records of `product-activity-rekeyed`: events from a partition their lead does not belong to (CONTRACT.md 1).

The record keeps its bytes and headers and gains where it came from, so that causes and times name the
producer's record.
"""

from __future__ import annotations

from typing import NamedTuple

from pql_stream.wire.headers import Headers

_TOPIC, _PARTITION, _OFFSET, _TIMESTAMP = (
    "pql-origin-topic",
    "pql-origin-partition",
    "pql-origin-offset",
    "pql-origin-timestamp",
)


class Origin(NamedTuple):
    """Where the producer's record lies, and the timestamp it has there (milliseconds, -1 for none)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def rekeyed_headers(own: Headers, origin: Origin) -> Headers:
    """The record's *own* headers, then its origin."""
    return [
        *own,
        (_TOPIC, origin.topic.encode()),
        (_PARTITION, b"%d" % origin.partition),
        (_OFFSET, b"%d" % origin.offset),
        (_TIMESTAMP, b"%d" % origin.timestamp_ms),
    ]


def read_origin(headers: Headers) -> Origin | None:
    """
    The origin of a re-keyed record; None where the headers do not say.

    The last of each name counts: ours are behind whatever the producer wrote.
    """
    given = {name: content for name, content in headers if content is not None}
    try:
        return Origin(given[_TOPIC].decode(), int(given[_PARTITION]), int(given[_OFFSET]), int(given[_TIMESTAMP]))
    except (KeyError, ValueError):
        return None
