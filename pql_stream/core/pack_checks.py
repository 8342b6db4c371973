"""What is wrong with a pack that has the right form: every problem, with the path of what it is about."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pql_stream.core.packs import ModelPack

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing wrong: where in the pack's document, and what instead."""

    path: Path
    message: str


class Gaps(NamedTuple):
    """
    What of a pack could not be read: nothing is said that would follow from its absence.

    *sections* names top-level fields that are not complete; *features* those that were named and not
    read, None where not even their names are known.
    """

    sections: Collection[str] = ()
    features: Collection[str] | None = ()


def pack_problems(pack: ModelPack, gaps: Gaps = Gaps()) -> list[Problem]:
    """Every problem of *pack*; without one it can be compiled, and scores any events."""
    return []
