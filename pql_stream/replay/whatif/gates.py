"""Gates: how much may change before a rule edit is refused, in CI say. Data in, a verdict out."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from pql_stream.replay.whatif.totals import Totals

HOW = "write a number of leads, such as 50, or a share of all leads, such as 2% or 0.5%"

_COUNT = re.compile(r"[0-9]{1,12}")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")

GateName = Literal["max_changed", "max_new_qualified"]


class Limit(NamedTuple):
    """So many leads, or such a share (0 to 1) of them; *text* is how it was written."""

    text: str
    leads: int | None
    share: Fraction | None

    def keeps(self, count: int, leads: int) -> bool:
        """Is *count* of *leads* within it? Exactly on it is."""
        if self.share is not None:
            return count <= self.share * leads
        return count <= (self.leads or 0)


def parse_limit(text: str) -> Limit:
    """
    `50` or `2%`.

    Raises:
        ValueError: it is neither; its text says what to write.
    """
    written = text.strip()
    if _COUNT.fullmatch(written):
        return Limit(written, int(written), None)
    match = _SHARE.fullmatch(written)
    if match is None:
        raise ValueError(f"{text!r} is no limit; {HOW}")
    share = Fraction(match[1]) / 100
    if share > 1:
        raise ValueError(f"{text!r} is more than all leads; {HOW}")
    return Limit(written, None, share)


class Gate(NamedTuple):
    """A limit, and how many *leads* were held against it."""

    name: GateName
    limit: Limit
    leads: int
    passed: bool


def gates_of(totals: Totals, *, max_changed: Limit | None, max_new_qualified: Limit | None) -> tuple[Gate, ...]:
    """
    *totals* held against the limits that are given.

    Where there are no leads at all no gate is passed: a check of nothing would be green for ever.
    """
    asked: tuple[tuple[GateName, Limit | None, int], ...] = (
        ("max_changed", max_changed, totals.changed),
        ("max_new_qualified", max_new_qualified, totals.newly_qualified),
    )
    return tuple(
        Gate(name, limit, count, totals.leads > 0 and limit.keeps(count, totals.leads))
        for name, limit, count in asked
        if limit is not None
    )
