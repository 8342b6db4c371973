"""
What events say about a lead, and what a set of them says: sections 3 and 9 of the contract.

No folds, no limits, no early ends: every question is put to all events again.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.decode import Event, id_or_none, is_absent

Fact = tuple[str, Any]
Said = list[tuple[Event, list[Fact]]]

# --- values: words (R14), ids (R15), numbers (R16), bands (R17) ---


def word(value: str) -> str:
    """R14: case-folded, `_` and `-` to spaces, runs of spaces to one, trimmed."""
    spaced = value.casefold().replace("_", " ").replace("-", " ")
    return re.sub(" +", " ", spaced).strip()


def _word_or_none(value: Any) -> str | None:
    """An open word; None when absent, of another type, or made of nothing but separators."""
    return (word(value) or None) if isinstance(value, str) else None


def _feature_or_none(value: Any) -> str | None:
    identifier = id_or_none(value)  # R15: integers are their decimals
    return _word_or_none(identifier)


def _team_size_or_none(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 and value == int(value) else None


def _number_or_none(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return Fraction(Decimal(repr(value)))  # the decimal that was written, not its nearest binary


def _number_or_band_or_none(value: Any) -> Fraction | None:
    return revenue_band(value) if isinstance(value, str) else _number_or_none(value)


ABOVE_ZERO = Fraction(1, 100)
DOUBLE_MAX = Fraction(sys.float_info.max)
UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
AMOUNT = r"(?:\$\s*)?([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)\s*([kmbKMB]?)"
BELOW = re.compile(rf"<\s*{AMOUNT}")
ABOVE = re.compile(rf">\s*{AMOUNT}|{AMOUNT}\s*\+")
BETWEEN = re.compile(rf"{AMOUNT}\s*-\s*{AMOUNT}")
MINUS_SIGN = "\u2212"


def revenue_band(text: str) -> Fraction | None:
    """The lower bound of a band of yearly revenue in USD; 0.01 stands for "above 0" (R17)."""
    dashed = "".join("-" if unicodedata.category(c) == "Pd" or c == MINUS_SIGN else c for c in text).strip()
    lower = None
    if match := BELOW.fullmatch(dashed):
        lower = ABOVE_ZERO if _amount(*match.groups()) > 0 else None
    elif match := ABOVE.fullmatch(dashed):
        lower = _amount(*(group for group in match.groups() if group is not None)) or ABOVE_ZERO
    elif match := BETWEEN.fullmatch(dashed):
        lower = _between(*match.groups())
    return None if lower is None or lower > DOUBLE_MAX else lower  # as R3: no number beyond a double


def _amount(digits: str, unit: str) -> Fraction:
    return Fraction(Decimal(digits.replace(",", ""))) * UNITS[unit.lower()]


def _between(low: str, low_unit: str, high: str, high_unit: str) -> Fraction | None:
    lower, upper = _amount(low, low_unit), _amount(high, high_unit)
    if low_unit == "" and _amount(low, high_unit) <= upper:
        lower = _amount(low, high_unit)  # `10-50M` is 10M-50M where that is in order
    if upper < lower:
        return None
    return lower or ABOVE_ZERO


# --- what one event says (section 3); the name decides, not the form (R22) ---

LEVELS = ("none", "basic", "advanced")


def facts_of(event: Event) -> list[Fact]:
    """What *event* says about its lead: (kind, value) pairs; an event of another name says nothing."""
    reading = READINGS.get(word(event.name))
    return reading(event) if reading else []


def _feature_facts(event: Event) -> list[Fact]:
    return _first_known(
        "feature",
        (
            _feature_or_none(event.properties.get("feature")),
            _feature_or_none(event.properties.get("feature_name")),
        ),
    )


def _first_known(kind: str, candidates: Iterable[Any]) -> list[Fact]:
    """R16: of two names the first *known* value counts, not the first present one."""
    known = [value for value in candidates if value is not None]
    return [(kind, known[0])] if known else []


def _own_id(value: Any, event: Event) -> tuple[str, str]:
    """R15: the id given, else the event's, in a namespace of its own."""
    given = id_or_none(value)
    return ("event", event.event_id) if given is None else ("given", given)


def _run_facts(event: Event) -> list[Fact]:
    status = event.properties.get("status")
    if not is_absent(status) and _word_or_none(status) != "success":
        return []
    return [("run", _own_id(event.properties.get("run_id"), event)), ("success", event.occurred_at_ms)]


def _post_facts(event: Event) -> list[Fact]:
    kind = event.properties.get("kind")
    known = "forum post" if is_absent(kind) else _word_or_none(kind)
    own_id = _own_id(event.properties.get("post_id"), event)
    if known == "forum post":
        return [("post", own_id)]
    return [("request", own_id)] if known == "feature request" else []


def _level_facts(event: Event) -> list[Fact]:
    level = _word_or_none(event.properties.get("level"))
    return [("level", level)] if level in LEVELS else []


def _profile_facts(event: Event) -> list[Fact]:
    given = event.properties.get
    return [
        *_first_known("team_size", (_team_size_or_none(given("team_size")), _team_size_or_none(given("employees")))),
        *_first_known(
            "revenue",
            (
                _number_or_none(given("company_revenue_usd")),  # R16: a string in it is unknown
                _number_or_band_or_none(given("company_revenue")),
            ),
        ),
        *_first_known("industry", (_word_or_none(given("industry")),)),
        *_first_known("segment", (_word_or_none(given("segment")),)),
    ]


READINGS: dict[str, Callable[[Event], list[Fact]]] = {
    "trial created": lambda event: [("trial", event.occurred_at_ms)],
    "feature used": _feature_facts,
    "workflow completed": _run_facts,
    "workflow success": _run_facts,
    "compliance level changed": _level_facts,
    "community post": _post_facts,
    "feature requested": lambda event: [("request", _own_id(event.properties.get("request_id"), event))],
    "tutorial completed": lambda _: [("tutorial", True)],
    "profile completed": _profile_facts,
    "profile updated": _profile_facts,
    "team size changed": _profile_facts,
    "identify": _profile_facts,
    "group": _profile_facts,
}


# --- what a set of events says ---


@dataclass(frozen=True)
class Known:
    """All that is known of one lead."""

    features: int
    runs: int
    posts: int
    requests: int
    tutorial: bool
    level: str | None
    trial_start_ms: int | None
    first_success_ms: int | None
    team_size: int | None
    revenue: Fraction | None
    industry: str | None
    segment: str | None
    account_id: str | None

    @property
    def to_first_value_ms(self) -> int | None:
        if self.trial_start_ms is None or self.first_success_ms is None:
            return None
        return self.first_success_ms - self.trial_start_ms


def known_of(events: Iterable[Event]) -> Known:
    """Everything, from every event of one lead, in no particular order."""
    said = [(event, facts_of(event)) for event in events]
    return known_of_facts(said)


def known_of_facts(said: Said) -> Known:
    stated: dict[str, list[tuple[int, str, Any]]] = {}
    for event, facts in said:
        for kind, value in [*facts, ("account", event.account_id)]:
            stated.setdefault(kind, []).append((event.occurred_at_ms, event.event_id, value))
    return Known(
        features=len(_distinct(stated, "feature")),
        runs=len(_distinct(stated, "run")),
        posts=len(_distinct(stated, "post")),
        requests=len(_distinct(stated, "request")),
        tutorial=bool(_distinct(stated, "tutorial")),
        level=_latest(stated, "level"),
        trial_start_ms=min(_distinct(stated, "trial"), default=None),
        first_success_ms=min(_distinct(stated, "success"), default=None),
        team_size=_latest(stated, "team_size"),
        revenue=_latest(stated, "revenue"),
        industry=_latest(stated, "industry"),
        segment=_latest(stated, "segment"),
        account_id=_latest(stated, "account"),
    )


def _distinct(stated: dict[str, list[tuple[int, str, Any]]], kind: str) -> set[Any]:
    return {value for _, _, value in stated.get(kind, [])}


def _latest(stated: dict[str, list[tuple[int, str, Any]]], kind: str) -> Any:
    """
    The value of the greatest (occurred_at, event id, value): R18, R23.

    Python compares strings by code points, which is what R18 asks for.
    """
    known = [statement for statement in stated.get(kind, []) if statement[2] is not None]
    return max(known)[2] if known else None
