"""Dead letters and re-keyed records: what their headers say."""

import hashlib

import orjson
import pytest

from pql_stream.errors import InvalidEvent
from pql_stream.wire.dead_letters import dead_letter_headers, is_ours, stub
from pql_stream.wire.rekeyed import Origin, read_origin, rekeyed_headers

OWN = [("trace", b"t"), ("trace", b"u")]


def headers_of(fault: InvalidEvent, own=OWN):
    return dead_letter_headers(own, fault, topic="t-product-activity", partition=3, offset=42, timestamp_ms=17)


def test_a_dead_letter_says_why_and_whence():
    """R26: the record's own headers first, untouched, then reason, detail and place as decimal text."""

    assert [
        *OWN,
        ("pql-dlq-reason", b"bad_type"),
        ("pql-dlq-detail", "event_id: zu lang für uns".encode()),
        ("pql-dlq-original-topic", b"t-product-activity"),
        ("pql-dlq-original-partition", b"3"),
        ("pql-dlq-original-offset", b"42"),
        ("pql-dlq-original-timestamp", b"17"),
        ("pql-dlq-version", b"1"),
    ] == headers_of(InvalidEvent("bad_type", "event_id", "zu lang für uns"))


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (InvalidEvent("missing_field", "event_id"), b"event_id"),
        (InvalidEvent("not_json", "", "not valid JSON"), b"not valid JSON"),
        (InvalidEvent("too_deep"), b""),
    ],
    ids=["field only", "detail only", "neither"],
)
def test_the_detail_leaves_out_what_there_is_none_of(fault, detail):
    """A fault of the whole record names no field."""

    assert detail == dict(headers_of(fault))["pql-dlq-detail"]


def test_our_headers_are_told_apart():
    """All that we add begins alike; nothing else is ours."""
    added = headers_of(InvalidEvent("not_json"), [])

    assert all(is_ours(header) for header in added)
    assert not any(is_ours(header) for header in OWN)


def test_a_stub_stands_for_what_is_too_large():
    """Size and SHA-256 in place of the bytes; the headers stay, and the detail says that it is a stub."""
    headers = headers_of(InvalidEvent("too_large", "", "over"))

    value, marked = stub(b"x" * 1000, headers)

    assert {"size": 1000, "sha256": hashlib.sha256(b"x" * 1000).hexdigest()} == orjson.loads(value)
    assert dict(headers) | {"pql-dlq-detail": b"stub"} == dict(marked)
    assert [name for name, _ in headers] == [name for name, _ in marked]


ORIGIN = Origin("t-product-activity", 3, 42, -1)


def test_an_origin_survives_its_headers():
    """A re-keyed record keeps its headers and gains its origin, which is read back whole."""
    headers = rekeyed_headers(OWN, ORIGIN)

    assert OWN == headers[: len(OWN)]
    assert ORIGIN == read_origin(headers)


def test_our_origin_counts_before_the_producers():
    """A producer that wrote the same names does not get between: the last of each name is ours."""
    forged = rekeyed_headers([], Origin("forged", 0, 0, 0))

    assert ORIGIN == read_origin(rekeyed_headers(forged, ORIGIN))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pql-origin-topic", b"\xff"),
        ("pql-origin-partition", b"three"),
        ("pql-origin-offset", b""),
        ("pql-origin-timestamp", b"1.5"),
        ("pql-origin-timestamp", None),
        ("pql-origin-topic", None),
    ],
    ids=["topic", "partition", "offset", "timestamp", "null", "null topic"],
)
def test_what_does_not_say_its_origin_has_none(name, content):
    """A record that somebody else put on the re-keyed topic is an event where it lies."""
    headers = dict(rekeyed_headers([], ORIGIN)) | {name: content}

    assert read_origin(list(headers.items())) is None
    assert read_origin([header for header in rekeyed_headers([], ORIGIN) if header[0] != name]) is None
