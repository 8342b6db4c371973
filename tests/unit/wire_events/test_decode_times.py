"""The time of an event (CONTRACT.md 2; 9, R8)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pql_stream.errors import InvalidEvent
from pql_stream.wire import times
from pql_stream.wire.times import EARLIEST_MS, HOURS_MS, LATEST_MS, RESTS_MS, SECONDS_MS, parse_time_ms

TEN_MS = 1_767_607_200_000  # 2026-01-05T10:00:00Z
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def refusal_of(value: object, latest_ms: int = LATEST_MS) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as refused:
        parse_time_ms(value, "time", latest_ms)
    return refused.value


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("2026-01-05T10:00:00Z", TEN_MS),
        ("2026-01-05t10:00:00z", TEN_MS),
        ("2026-01-05 10:00:00Z", TEN_MS),
        ("2026-01-05T10:00:00.1Z", TEN_MS + 100),
        ("2026-01-05T10:00:00.12Z", TEN_MS + 120),
        ("2026-01-05T10:00:00.123Z", TEN_MS + 123),
        ("2026-01-05T10:00:00.123999Z", TEN_MS + 123),
        ("2026-01-05T10:00:00.999999999999999999999z", TEN_MS + 999),
        ("2026-01-05T10:00:00.123999+00:00", TEN_MS + 123),
        ("2026-01-05T11:30:00+01:30", TEN_MS),
        ("2026-01-05T08:59:00.5-01:01", TEN_MS + 500),
        ("2026-01-05T10:00:00-00:00", TEN_MS),
        ("2026-01-06T09:59:00+23:59", TEN_MS),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2000-01-01T00:00:00Z", EARLIEST_MS),
        ("1999-12-31T23:59:00-00:01", EARLIEST_MS),
        ("9999-12-31T23:59:59.9999Z", LATEST_MS),
    ],
)
def test_a_text_with_an_offset_is_that_instant(text, expected_ms):
    """Both cases of letters, a blank for the T, any fraction (cut) and every offset give milliseconds UTC."""
    assert expected_ms == parse_time_ms(text, "time")


@pytest.mark.parametrize("value", [EARLIEST_MS, TEN_MS, LATEST_MS])
def test_an_integer_is_milliseconds(value):
    """An integer within the range is taken as it is."""
    assert value == parse_time_ms(value, "time")


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "missing_field", "it is required"),
        ("", "missing_field", "it is required"),
        (" \t", "missing_field", "it is required"),
        (True, "bad_type", "neither a text nor an integer of milliseconds"),
        (1.5, "bad_type", "neither a text nor an integer of milliseconds"),
        ([TEN_MS], "bad_type", "neither a text nor an integer of milliseconds"),
        ({}, "bad_type", "neither a text nor an integer of milliseconds"),
        (1e20, "bad_time", "an integer beyond 64 bits"),
        ("1767607200000", "bad_time", "not an RFC 3339 time with an offset"),
        ("2026-01-05T10:00:60Z", "bad_time", "not an RFC 3339 time with an offset"),
        ("2026-01-05T10:00:00.123", "bad_time", "not an RFC 3339 time with an offset"),
        ("2026-01-05T10:00:00.123456", "bad_time", "not an RFC 3339 time with an offset"),
        (EARLIEST_MS - 1, "bad_time", "earlier than 2000-01-01"),
        (LATEST_MS + 1, "bad_time", "after the year 9999"),
        ("9999-12-31T23:59:59-00:01", "bad_time", "after the year 9999"),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_its_reason(value, reason, detail):
    """Absent, of a wrong type, of a wrong form and out of the range are told apart."""
    refusal = refusal_of(value)

    assert (reason, "time", detail) == (refusal.reason, refusal.field, refusal.detail)


def test_an_event_may_be_as_late_as_it_is_told():
    """The caller's bound belongs to the range, and what is beyond it is refused in the record's words."""
    assert parse_time_ms(TEN_MS, "time", TEN_MS) == TEN_MS
    assert "more than 24 hours after the record was written" == refusal_of(TEN_MS + 1, TEN_MS).detail


STRICT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def parse_in_one_piece(text: str) -> int | None:
    """The same rules without parts and memory: one expression and the calendar of `datetime`."""
    found = STRICT.fullmatch(text)
    if found is None:
        return None
    *numbers, fraction, zone = found.groups()
    hours, minutes = (0, 0) if zone in "Zz" else (int(zone[1:3]), int(zone[4:]))
    if minutes > 59:
        return None
    try:
        local = datetime(*map(int, numbers), tzinfo=UTC)
        offset = timezone(timedelta(hours=hours, minutes=minutes)).utcoffset(None)
    except ValueError:
        return None
    milliseconds = (local - EPOCH) // timedelta(milliseconds=1) + int(((fraction or "") + "000")[:3])
    shift = offset // timedelta(milliseconds=1)
    total = milliseconds + shift if zone[0] == "-" else milliseconds - shift
    return total if EARLIEST_MS <= total <= LATEST_MS else None


two_digits = st.integers(0, 99).map(lambda number: f"{number:02}")
likely_texts = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.integers(1998, 2030).map(str) | st.sampled_from(["0000", "0001", "9999", "20261", "202"]),
    st.integers(0, 13).map(lambda number: f"{number:02}"),
    st.integers(0, 32).map(lambda number: f"{number:02}"),
    st.sampled_from("TTTTt _"),
    st.integers(0, 25).map(lambda number: f"{number:02}"),
    two_digits,
    two_digits,
    st.sampled_from(["", ".", ",5"]) | st.text("0123456789٣", max_size=9).map(".".__add__),
    st.sampled_from(["Z", "z", "", "+0100", "+01", "+24:00", "-00:60", "Z ", "+01:00Z"])
    | st.builds("{}{}:{}".format, st.sampled_from("+-"), two_digits, two_digits),
)


@given(text=likely_texts | st.text(max_size=40), again=st.booleans())
@example(text="2026-01-05T10:00:00.1234+01:00", again=True)
@example(text="2026-01-05T10:00:00.12345+00Z", again=True)
@example(text="2026-01-05T10:00:001234567Z", again=True)
@example(text="2026-01-05T10:00:00.12", again=True)
def test_parts_and_memory_give_what_one_strict_parser_gives(text, again):
    """Cut in three and remembered or not, a text is the same instant, or refused all the same."""
    if not again:
        for remembered in (HOURS_MS, SECONDS_MS, RESTS_MS):
            remembered.clear()
    expected = parse_in_one_piece(text)

    try:
        parsed = parse_time_ms(text, "time")
    except InvalidEvent:
        parsed = None

    assert expected == parsed


def test_what_is_remembered_is_bounded_and_stays_right():
    """More hours than are kept are all parsed right, and never more than that are held."""
    small = times._Remembered(times._parse_hour, entries_max=3)

    parsed = [small[f"1970-01-0{day}T00"] for day in (1, 2, 3, 4, 5, 5)]

    assert [0, 1, 2, 3, 4, 4] == [milliseconds // times.DAY_MS for milliseconds in parsed]
    assert ["1970-01-04T00", "1970-01-05T00"] == list(small)


def test_long_fractions_and_refused_texts_are_not_remembered():
    """Only what repeats is kept: no fraction beyond milliseconds, and nothing that was refused."""
    RESTS_MS.clear()

    parse_time_ms("2026-01-05T10:00:00.123456789Z", "time")
    refusal_of("2026-01-05T10:00:00.5")

    assert {".123Z": 123} == RESTS_MS
