"""Numbers and times as records show them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.wire.numbers import decimal, hundredths_of, rfc3339


@pytest.mark.parametrize(
    ("hundredths", "expected"), [(0, 0), (500, 5), (1498, 14.98), (7, 0.07), (10_000, 100), (290, 2.9)]
)
def test_hundredths_become_decimals(hundredths, expected):
    """Whole points are integers; the rest has at most two decimals."""
    shown = decimal(hundredths)

    assert (expected, type(expected)) == (shown, type(shown))


@given(st.integers(0, 10_000))
def test_decimals_lose_nothing(hundredths):
    """What a record shows leads back to the very hundredths."""

    assert hundredths == hundredths_of(decimal(hundredths))
    assert len(str(decimal(hundredths)).partition(".")[2]) <= 2


@pytest.mark.parametrize(
    ("time_ms", "expected"),
    [
        (1_767_607_200_000, "2026-01-05T10:00:00.000Z"),
        (946_684_800_007, "2000-01-01T00:00:00.007Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times(time_ms, expected):
    """RFC 3339, UTC, always with three digits of a second."""

    assert expected == rfc3339(time_ms)


@given(st.integers(946_684_800_000, 253_402_300_799_999))
def test_times_lose_nothing(time_ms):
    """What a record shows is the very millisecond."""
    at = datetime.fromisoformat(rfc3339(time_ms))

    assert time_ms == round(at.timestamp() * 1000)
