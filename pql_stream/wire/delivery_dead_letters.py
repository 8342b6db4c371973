"""
Dead letters of deliveries: the delivery record, untouched; headers say why, for which sink, and where it lay.

The names are those of `wire.dead_letters`, and `pql-dlq-sink`.
"""

from __future__ import annotations

from pql_stream.wire.dead_letters import VERSION, is_ours
from pql_stream.wire.headers import Headers


def delivery_dead_letter_headers(
    own: Headers,
    *,
    reason: str,
    detail: str,
    sink: str,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
) -> Headers:
    """
    The record's *own* headers, then ours.

    A delivery that was redriven has ours already, of the first time: they are replaced.
    """
    return [
        *(header for header in own if not is_ours(header)),
        ("pql-dlq-reason", reason.encode()),
        ("pql-dlq-detail", detail.encode()),
        ("pql-dlq-sink", sink.encode()),
        ("pql-dlq-original-topic", topic.encode()),
        ("pql-dlq-original-partition", b"%d" % partition),
        ("pql-dlq-original-offset", b"%d" % offset),
        ("pql-dlq-original-timestamp", b"%d" % timestamp_ms),
        ("pql-dlq-version", VERSION),
    ]
