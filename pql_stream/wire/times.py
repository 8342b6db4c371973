"""
The time of an event: text with an offset, or milliseconds, to milliseconds since 1970, UTC (R8).

A text is cut in three, ``2026-01-05T10`` ``:00:00`` ``.123+01:00``, and the milliseconds of the three
add up. Each part is parsed strictly, once: the events of a stream lie close together in time, so the
parts of the next one are mostly known, and three look-ups take a fraction of the time of one regular
expression. What is remembered is only what the strict parser made, so the answer is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final, NoReturn

from pql_stream.errors import InvalidEvent

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00.000Z: what is earlier is a clock that was never set (CONTRACT.md 2)."""

LATEST_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the last one that RFC 3339 can write (R8)."""

AHEAD_MS_MAX: Final = DAY_MS
"""How far an event may be ahead of the Kafka timestamp of its own record (CONTRACT.md 2)."""

BEYOND_INTEGERS: Final = "an integer beyond 64 bits"
"""What is wrong with a number that the parser handed on as a float; whether it was written as one, it did not say."""

NO_TIME: Final = "neither a text nor an integer of milliseconds"

_INTEGERS_END: Final = 2.0**63
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

# [0-9] and not \d, which also takes the digits of other scripts.
_HOUR_PATTERN: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([01][0-9]|2[0-3])")
_SECOND_PATTERN: Final = re.compile(r":([0-5][0-9]):([0-5][0-9])")
_REST_PATTERN: Final = re.compile(r"(?:\.([0-9]{1,3}))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))")


class _Remembered(dict[str, int]):
    """
    Text to milliseconds by *parse*, which raises ValueError; at most *entries_max* are kept.

    A full one starts again. The price is one parse for each text that is still in use; the alternative,
    to stop remembering, would leave a worker that runs for years with the hours of its first one.
    """

    def __init__(self, parse: Callable[[str], int], *, entries_max: int) -> None:
        super().__init__()
        self.parse = parse
        self.entries_max = entries_max

    def __missing__(self, text: str) -> int:
        parsed_ms = self.parse(text)
        if len(self) >= self.entries_max:
            self.clear()
        self[text] = parsed_ms
        return parsed_ms


class _RememberedRests(_Remembered):
    """Fractions with an offset; of a fraction with more than three digits the rest is cut off first."""

    # Cut and not rounded: a rounded .9996 would lie in the next second, perhaps in the year 10000. Long
    # ones are not remembered, because hardly two fractions of six digits are the same.
    def __missing__(self, text: str) -> int:
        zone_start = -1 if text[-1:] in "Zz" else -len("+01:00")
        beyond = text[len(".123") : zone_start]
        if beyond.isascii() and beyond.isdecimal():
            return self[text[: len(".123")] + text[zone_start:]]
        return super().__missing__(text)


def _parse_hour(text: str) -> int:
    year, month, day, hour = _match(_HOUR_PATTERN, text).groups()
    days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    return days * DAY_MS + int(hour) * HOUR_MS


def _parse_second(text: str) -> int:
    minute, second = _match(_SECOND_PATTERN, text).groups()
    return int(minute) * MINUTE_MS + int(second) * SECOND_MS


def _parse_rest(text: str) -> int:
    fraction, sign, hours, minutes = _match(_REST_PATTERN, text).groups("0")
    fraction_ms = int(fraction.ljust(3, "0"))
    offset_ms = int(hours) * HOUR_MS + int(minutes) * MINUTE_MS
    # The clock of a place is ahead of UTC where its offset is positive.
    return fraction_ms + offset_ms if sign == "-" else fraction_ms - offset_ms


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError
    return found


# Where the three parts of a text lie, and what each is worth. Public for the forms whose every event
# passes here; prepared, because to write text[:13] in place builds the slice each time.
HOUR: Final = slice(len("2026-01-05T10"))
SECOND: Final = slice(len("2026-01-05T10"), len("2026-01-05T10:00:00"))
REST: Final = slice(len("2026-01-05T10:00:00"), None)

HOURS_MS: Final = _Remembered(_parse_hour, entries_max=8_192)  # 341 days
SECONDS_MS: Final = _Remembered(_parse_second, entries_max=3_600)  # all there are
RESTS_MS: Final = _RememberedRests(_parse_rest, entries_max=4_096)  # all milliseconds at four offsets


def parse_time_ms(value: object, field: str, latest_ms: int = LATEST_MS) -> int:
    """
    The time in *value*: milliseconds since 1970, UTC, from `EARLIEST_MS` to *latest_ms*.

    A text is RFC 3339 with an offset; an integer is milliseconds already.

    Raises:
        InvalidEvent: missing_field for null and blanks; bad_type for what is neither text nor integer;
            bad_time for any other text, and for a time out of the range.
    """
    if value.__class__ is str:
        try:
            time_ms = HOURS_MS[value[HOUR]] + SECONDS_MS[value[SECOND]] + RESTS_MS[value[REST]]
        except ValueError:
            _refuse(value, field)
    elif value.__class__ is int:
        time_ms = value
    else:
        _refuse(value, field)
    if EARLIEST_MS <= time_ms <= latest_ms:
        return time_ms
    raise InvalidEvent("bad_time", field, _why_not_believed(time_ms))


def _refuse(value: object, field: str) -> NoReturn:
    if isinstance(value, str):
        if value.strip():
            raise InvalidEvent("bad_time", field, "not an RFC 3339 time with an offset") from None
        value = None
    if value is None:
        raise InvalidEvent("missing_field", field, "it is required") from None
    # JSON has no limit on integers; the parser reads those beyond 64 bits as floats.
    if isinstance(value, float) and abs(value) >= _INTEGERS_END:
        raise InvalidEvent("bad_time", field, BEYOND_INTEGERS)
    raise InvalidEvent("bad_type", field, NO_TIME)


def _why_not_believed(time_ms: int) -> str:
    if time_ms < EARLIEST_MS:
        return "earlier than 2000-01-01"
    if time_ms > LATEST_MS:
        return "after the year 9999"
    return "more than 24 hours after the record was written"
