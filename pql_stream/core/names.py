"""Names in a pack: what they may look like, and which known one a misspelt one is near."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Names become metric labels, topic names and keys of JSON objects: plain ASCII is safe in all of them."""
_SHOWN_CHARS_MAX = 40


def is_name(text: str) -> bool:
    """Is *text* fit to name a pack, feature, group, rule or tier?"""
    return NAME_PATTERN.fullmatch(text) is not None


def shown(text: str) -> str:
    """*text* between backquotes, on one line, cut where it is long."""
    plain = "".join(char if char.isprintable() else "?" for char in text[: _SHOWN_CHARS_MAX + 1])
    return f"`{plain}`" if len(plain) <= _SHOWN_CHARS_MAX else f"`{plain[:_SHOWN_CHARS_MAX]}…`"


def one_of(given: str, known: Iterable[str]) -> str:
    """What to write instead of *given*: the known one that it is near, else all of them."""
    choices = tuple(known)
    near = get_close_matches(given, choices, 1)
    if near:
        return f"did you mean {shown(near[0])}?"
    return f"write one of {', '.join(choices)}" if choices else "there is none to name"
