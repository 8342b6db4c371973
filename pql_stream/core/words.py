"""How words are compared: event names, features, levels, kinds, statuses, industries (CONTRACT.md R14)."""

from __future__ import annotations

from functools import lru_cache

_CACHED_CHARS_MAX = 64
"""Longer text is not cached, so the cache stays under a megabyte whatever producers send."""


def word(text: str) -> str:
    """Case-folded, `_` and `-` as spaces, runs of spaces as one, trimmed; "" where nothing is left."""
    return _cached(text) if len(text) <= _CACHED_CHARS_MAX else _normalise(text)


def _normalise(text: str) -> str:
    spaced = text.casefold().replace("_", " ").replace("-", " ").strip()
    while "  " in spaced:
        spaced = spaced.replace("  ", " ")
    return spaced


_cached = lru_cache(maxsize=8192)(_normalise)
