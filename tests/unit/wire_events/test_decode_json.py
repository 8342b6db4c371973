"""What comes before the fields: size, UTF-8, depth, JSON (CONTRACT.md 9, R1-R4, R10)."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.errors import InvalidEvent
from pql_stream.wire.events import RECORD_BYTES_MAX, decode_event
from pql_stream.wire.json_depth import OBJECTS_ONLY_BYTES_MAX, is_too_deep

VALID = b'{"event_id":"e1","user_id":"u1","event":"login","occurred_at":"2026-01-05T10:00:00Z"}'


def reason_of(value: bytes) -> str:
    with pytest.raises(InvalidEvent) as refused:
        decode_event(value, "t", 0, 0)
    return refused.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1" * 400,
        "1" * 400 + ".0",
        r'"\ud800"',
        r'{"\ud800":1}',
        r'"\udc00\ud800"',
        "\ufeff{}",
        '"\x1f"',
        "01",
        "1.",
        "[1,]",
        "[" * 1025 + "]" * 1025,
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)
def test_the_parser_refuses_what_the_contract_calls_no_json(text):
    """The parser does what R1-R3 rely on; another version that takes one of these must not slip in."""
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1,"a":2}', {"a": 2}),
        (r'"\ud83d\ude00"', "\U0001f600"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("-9223372036854775808", -9223372036854775808),
        ("-9223372036854775809", -9223372036854775808.0),
        ("-0", 0),
        ("1e-999", 0.0),
        ('"\x7f"', "\x7f"),
    ],
    ids=[
        "last key",
        "surrogate pair",
        "uint64",
        "beyond uint64",
        "int64",
        "below int64",
        "-0",
        "1e-999",
        "DEL",
    ],
)
def test_the_parser_reads_the_edges_as_the_contract_says(text, expected):
    """Duplicate keys, pairs of surrogates and numbers at the edge of 64 bits come out as we rely on."""
    read = orjson.loads(text)

    assert (type(expected), expected) == (type(read), read)


def test_a_mebibyte_is_read_and_a_byte_more_is_not():
    """The limit is 1 MiB of value, and being too large comes before every other fault."""
    full = VALID.ljust(RECORD_BYTES_MAX)

    assert "e1" == decode_event(full, "t", 0, 0).event_id
    assert "too_large" == reason_of(full + b" ")
    assert "too_large" == reason_of(b"\xff" * (RECORD_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"[" * 100 + b"\xff", "not_utf8"),
        (b"[" * 100, "too_deep"),
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 64, "not_json"),
        (b"[" * 64 + b"]" * 64, "not_object"),
    ],
    ids=["utf8 before depth", "depth before json", "depth before object", "very deep", "json", "object"],
)
def test_of_two_faults_the_first_of_the_contract_is_named(value, expected):
    """The order of R10, as far as it is about the record as a whole."""
    assert expected == reason_of(value)


def test_the_longest_text_that_needs_no_counting_is_not_too_deep():
    """Without arrays, the shortest JSON of 65 levels is a byte longer than what is let through uncounted."""
    shortest = b'{"":' * 64 + b"{}" + b"}" * 64

    assert OBJECTS_ONLY_BYTES_MAX + 1 == len(shortest)
    assert is_too_deep(shortest)
    assert "too_deep" == reason_of(shortest)


@pytest.mark.parametrize("quotes", [b'\\"', b"\\\\"], ids=["escaped quotes", "escaped backslashes"])
def test_a_mebibyte_of_escapes_is_scanned(quotes):
    """The scanner of strings keeps to its way through any number of escapes, ended or not."""
    text = b"[" * 65 + b'"' + quotes * 500_000

    assert is_too_deep(text)
    assert not is_too_deep(b'"' + quotes * 400_000 + b"[" * 100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"]" * 10 + b"[" * 65, True), (b"]" * 10 + b"[" * 64 + b"}{", False)],
    ids=["65 after closers", "64, one closed and one opened"],
)
def test_what_is_closed_without_being_open_does_not_count(text, expected):
    """In broken text a closer too many takes nothing off, and one of the wrong kind closes all the same."""
    assert expected == is_too_deep(text)


def depth_by_hand(text: str) -> int:
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth = max(depth - 1, 0)
    return deepest


pieces = st.sampled_from(['"', "\\", "[" * 30, "{" * 40, "]", "}" * 20, "a", "\n", '"\\\\"', '"["'])


@given(text=st.lists(pieces, max_size=20).map("".join))
def test_the_depth_is_that_of_a_scanner_by_hand(text):
    """Whatever the text, JSON or not, brackets count outside strings only."""
    assert (depth_by_hand(text) > 64) == is_too_deep(text.encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4) | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(inner=json_values, levels=st.integers(50, 75), arrays=st.booleans())
def test_a_record_is_too_deep_exactly_over_64_levels(inner, levels, arrays):
    """The short cuts before the count never let a deep record through, nor stop another."""
    value: object = inner
    for _ in range(levels):
        value = [value] if arrays else {"": value}
    text = json.dumps({"x": value}, separators=(",", ":"))
    too_deep = depth_by_hand(text) > 64

    assert too_deep == (reason_of(text.encode()) == "too_deep")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("100000000000000000000", "bad_time"),
        ("-100000000000000000000", "bad_time"),
        ("1e20", "bad_type"),
        ("-1E20", "bad_type"),
        ("100000000000000000000.0", "bad_type"),
        ('1e20,"occurred_at":100000000000000000000', "bad_time"),
        ('100000000000000000000,"occurred\\u005fat":1e20', "bad_type"),
    ],
)
def test_a_time_beyond_64_bits_is_refused_as_what_it_was_written_as(number, reason):
    """To the parser all of these are floats, but an integer is a time out of range and a float is no time (R8)."""
    value = VALID.replace(b'"2026-01-05T10:00:00Z"', number.encode())

    assert reason == reason_of(value)
