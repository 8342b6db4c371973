"""Times on the command line: points in time, in the forms that events take (CONTRACT.md 2), and how long to wait."""

from __future__ import annotations

import math
from typing import Any

import click

from pql_stream.errors import InvalidEvent
from pql_stream.wire.times import parse_time_ms

_DIGITS_MAX = 20
"""No time has so many, and Python refuses to read thousands of them."""


class Time(click.ParamType):
    """RFC 3339 with an offset, or milliseconds since 1970; to milliseconds."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """*value* in milliseconds, or wrong usage."""
        is_number = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _DIGITS_MAX
        try:
            return parse_time_ms(int(value) if is_number else value, "")
        except InvalidEvent as exc:
            self.fail(f"{value!r}: {exc.detail}; such as 2026-01-05T10:00:00Z, or 1767607200000", param, ctx)


class Patience(click.FloatRange):
    """Seconds to wait, from 1. "nan" is a number to Python, and no wait would ever be longer."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as the base class has it
        """*value* in seconds, or wrong usage."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds
