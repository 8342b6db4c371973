"""Problems of a model pack: what one is, and the words to say it in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

from pql_stream.core.rules import HUNDREDTHS

Path = tuple[str | int, ...]
"""Keys and places (from 0) from the top of the pack's document down."""
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Names become metric labels, topic names and keys of JSON objects: plain ASCII is safe in all of them."""
_SHOWN_CHARS_MAX = 40
_LISTED_MAX = 20
_COMPARED_MAX = 200
"""Comparing takes some 20 microseconds a name, and a broken pack may name thousands thousands of times."""
_NEAR = 0.55
"""difflib's ratio; its own default of 0.6 does not see `tutorial_completed` in `tutorials`."""


class Problem(NamedTuple):
    """One thing wrong: where in the pack's document, and what to write instead."""

    path: Path
    message: str


def name_problems(path: Path, name: str) -> list[Problem]:
    """Is *name* unfit to name a pack, feature, group, rule, tier or hand-off class?"""
    if NAME_PATTERN.fullmatch(name):
        return []
    rule = "a-z, 0-9, _ and -, beginning with a letter or digit, at most 64"
    return [Problem(path, f"{shown(name)} is no name: use {rule}")]


def repeated_problems(path: Path, names: Iterable[str]) -> list[Problem]:
    """Names of the list at *path* that stand there already."""
    seen: set[str] = set()
    problems = []
    for place, name in enumerate(names):
        if name in seen:
            problems.append(Problem((*path, place), f"{shown(name)} stands there twice: keep one of them"))
        seen.add(name)
    return problems


def shown(text: str) -> str:
    """*text* between backquotes, on one line, cut where it is long."""
    plain = "".join(char if char.isprintable() else "?" for char in text[: _SHOWN_CHARS_MAX + 1])
    return f"`{plain}`" if len(plain) <= _SHOWN_CHARS_MAX else f"`{plain[:_SHOWN_CHARS_MAX]}…`"


def near(given: str, known: Iterable[str]) -> str:
    """The question "did you mean …?", or nothing where *given* is near none of the known."""
    nearest = get_close_matches(given, tuple(islice(known, _COMPARED_MAX)), 1, _NEAR)
    return f"did you mean {shown(nearest[0])}?" if nearest else ""


def one_of(given: str, known: Collection[str]) -> str:
    """What to write instead of *given*: the known one that it is near, else any of them."""
    if not known:
        return "there is none to name yet"
    more = ", …" if len(known) > _LISTED_MAX else ""
    return near(given, known) or f"write one of {', '.join(islice(known, _LISTED_MAX))}{more}"


def points_text(hundredths: int) -> str:
    """Hundredths as points: "5", "2.14"."""
    return f"{Decimal(hundredths) / HUNDREDTHS:f}"
