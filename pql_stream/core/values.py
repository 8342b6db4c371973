"""
Readers: a property's JSON value to the value that a feature keeps, or None where it is unknown.

Unknown is never an error of the event: it earns nothing and replaces nothing (CONTRACT.md 3 and R14-R17).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import MAX_EMAX, Context, Decimal
from functools import lru_cache
from typing import Any, Literal

from pql_stream.core.words import word

Number = int | float
Reader = Callable[[Any], Any]
ReaderName = Literal["id", "label", "word", "whole", "number", "amount"]

ID_CHARS_MAX = 256
"""Of an id, or an event name, in code points, after trimming (CONTRACT.md 2)."""
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_CACHED_CHARS_MAX = 64
"""Of an amount in words: longer text is read anew each time, so the cache stays small whatever producers send."""
ABOVE_ZERO = 0.01
"""What "some, but we know no lower bound" is stored as: the smallest amount with two decimals."""


def is_absent(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    """Null, "" and blanks are absent everywhere (R5)."""
    return value is None or (value.__class__ is str and not value.strip())


def read_id(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    """1-256 characters after trimming; a signed 64 bit integer as its decimals (R7, R15)."""
    if value.__class__ is str:
        trimmed: str = value.strip()
        return trimmed if 0 < len(trimmed) <= ID_CHARS_MAX else None
    if value.__class__ is int and INT64_MIN <= value <= INT64_MAX:
        return str(value)
    return None


def read_word(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    """A word in its compared form. One longer than an id is unknown: it would lie in the lead's row for good."""
    if value.__class__ is not str or (len(value) > ID_CHARS_MAX and len(value.strip()) > ID_CHARS_MAX):
        return None
    return word(value) or None


def read_label(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    """A word; an integer is the word of its decimals, for a feature may be named by its number (R15)."""
    if value.__class__ is str:
        if len(value) > ID_CHARS_MAX and len(value.strip()) > ID_CHARS_MAX:  # as read_word, without another call
            return None
        return word(value) or None
    return read_word(read_id(value))


def read_number(value: Any) -> Number | None:  # noqa: ANN401 - a JSON value
    """
    A number from 0.

    Equal numbers become one value, whichever way they were written: a whole number up to 64 bit is an
    int (5.0 is 5), any other a float. Else which of two equal ones is kept would depend on their order.
    """
    if value.__class__ is int:
        if value < 0:
            return None
        return value if value <= INT64_MAX else float(value)
    if value.__class__ is float and value >= 0:
        return int(value) if value <= INT64_MAX and value.is_integer() else value
    return None


def read_whole(value: Any) -> Number | None:  # noqa: ANN401 - a JSON value
    """A whole number from 0 (R16)."""
    number = read_number(value)
    return None if number.__class__ is float and not number.is_integer() else number


# Blanks are those of every script, for a typesetter writes no-break ones around a dash. Digits and units are ASCII, so
# neither \d nor IGNORECASE, which takes the sign of Kelvin for a k. Dashes: Unicode's class Pd, and the minus sign.
# Blanks are possessive (*+): where two parts may both take them, a text of some thousand blanks that is no band would
# be tried in every way to share them out, which takes days.
_AMOUNT = r"\$?\s*+([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)\s*+([kmbKMB]?)"
_DASH = (
    r"[-\u058a\u05be\u1400\u1806\u2010-\u2015\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d"
    r"\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d\U00010ead]"
)
_UNDER = re.compile(rf"<\s*+{_AMOUNT}")
_FROM = re.compile(rf"(?:>\s*+{_AMOUNT}|{_AMOUNT}\s*+\+)")
_BETWEEN = re.compile(rf"{_AMOUNT}\s*+{_DASH}\s*+{_AMOUNT}")
_UNITS = {"": Decimal(1), "k": Decimal(10**3), "m": Decimal(10**6), "b": Decimal(10**9)}
_LARGE = Context(Emax=MAX_EMAX)
"""A million digits fit into a record, and the default's exponent ends there with an exception."""


def read_amount(value: Any) -> Number | None:  # noqa: ANN401 - a JSON value
    """
    A number from 0, or a band such as `<1M`, `$10M-$100M`, `100M+`: its lower bound counts (R17).

    A band from 0, and `<X`, is "above 0".
    """
    if value.__class__ is not str:
        return read_number(value)
    return _banded(value) if len(value) <= _CACHED_CHARS_MAX else _read_band(value)


def _read_band(value: str) -> Number | None:
    text = value.strip()
    if match := _UNDER.fullmatch(text):
        return ABOVE_ZERO if _amount(match[1], match[2]) else None
    if match := _FROM.fullmatch(text):
        return _lower_bound(_amount(match[1] or match[3], match[2] or match[4] or ""))
    if match := _BETWEEN.fullmatch(text):
        high = _amount(match[3], match[4])
        low = _amount(match[1], match[2])
        if not match[2] and (shared := _amount(match[1], match[4])) <= high:
            low = shared  # `10-50M` is 10M-50M
        return _lower_bound(low) if low <= high else None
    return None


_banded = lru_cache(maxsize=4096)(_read_band)
"""Bands are few, and each is said of many leads."""


def _amount(digits: str, unit: str) -> Decimal:
    return _LARGE.multiply(Decimal(digits.replace(",", "")), _UNITS[unit.lower()])


def _lower_bound(amount: Decimal) -> Number | None:
    if not amount:
        return ABOVE_ZERO
    nearest = float(amount)
    return None if nearest == float("inf") else read_number(nearest)


READERS: dict[ReaderName, Reader] = {
    "id": read_id,
    "label": read_label,
    "word": read_word,
    "whole": read_whole,
    "number": read_number,
    "amount": read_amount,
}
