"""What is kept about a lead, and what one event did to it."""

from __future__ import annotations

from typing import Any

import msgspec

from pql_stream.core.changes import Qualification, ScoreChange, ShadowDifference
from pql_stream.core.features import FeatureValue
from pql_stream.core.refs import EncodedRef

Stamped = tuple[int, str, Any]
"""(occurred_at_ms, event_id, value): the latest is the greatest."""


class PackState(msgspec.Struct, frozen=True, gc=False):
    """
    What a pack remembers of a lead.

    *points* (hundredths) and *moved_by* are in the order of the pack's rules; *announced* is the place
    of the highest tier announced.
    """

    points: tuple[int, ...]
    moved_by: tuple[EncodedRef, ...]
    sequence: int
    announced: int


class LeadState(msgspec.Struct, frozen=True, gc=False):
    """
    All that is kept about a lead. *features* is in the order of the pack, or of the lineup.

    *pack* is the live pack's; *shadows* has those of the others, in the lineup's order. *incomplete* has a bit, from
    the lowest, for each feature that was not kept since the lead's first event.

    Out of the garbage collector's sight: it has no cycles, and there may be millions to walk through.
    """

    first_seen_at_ms: int
    last_seen_at_ms: int
    account: Stamped | None
    features: tuple[FeatureValue, ...]
    pack: PackState
    incomplete: int = 0
    shadows: tuple[PackState, ...] = ()

    @property
    def account_id(self) -> str | None:
        """The latest account known, if any."""
        return None if self.account is None else self.account[2]


class Step(msgspec.Struct, frozen=True, gc=False):
    """
    What one event did. *state* is the very object that went in where nothing changed.

    *differences* has those of shadow packs that changed (`core.lineups`).
    """

    state: LeadState
    change: ScoreChange | None
    qualification: Qualification | None
    differences: tuple[ShadowDifference, ...] = ()
