"""Core numbers as records show them: decimals with at most two places, RFC 3339 times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pql_stream.core.rules import HUNDREDTHS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decimal(hundredths: int) -> int | float:
    """1498 -> 14.98, 500 -> 5."""
    whole, rest = divmod(hundredths, HUNDREDTHS)
    return hundredths / HUNDREDTHS if rest else whole


def hundredths_of(points: float) -> int:
    """14.98 -> 1498: what `decimal` was given."""
    return round(points * HUNDREDTHS)


def rfc3339(time_ms: int) -> str:
    """Milliseconds since 1970 -> `2026-01-05T10:00:00.000Z`."""
    at = _EPOCH + timedelta(milliseconds=time_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}Z"
