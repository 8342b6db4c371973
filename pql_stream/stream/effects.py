"""What a batch does: what is sent, what is stored, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pql_stream.core.changes import MODES, ModeName
from pql_stream.core.profiles import ProfileState
from pql_stream.core.states import LeadState
from pql_stream.stream.metrics import PackTier, Rejection, ShadowNote
from pql_stream.wire.records import OutRecord


@dataclass(slots=True)
class Counts:
    """What became of a batch's records of one mode. *timestamps_ms* has the Kafka timestamp of each accepted event."""

    accepted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[Rejection] = field(default_factory=Counter)
    rekeyed: int = 0
    skipped: int = 0
    changed: Counter[PackTier] = field(default_factory=Counter)
    qualified: Counter[PackTier] = field(default_factory=Counter)
    shadows: Counter[ShadowNote] = field(default_factory=Counter)
    leads_evaluated: int = 0
    timestamps_ms: Sequence[int] = ()

    @property
    def records(self) -> int:
        """All of them."""
        return len(self.timestamps_ms) + self.rejected.total() + self.rekeyed + self.skipped


@dataclass(slots=True)
class Effects:
    """
    What a batch does. Everything but *states* and *profiles* is sent, and acknowledged, before those are stored.

    *rekeyed* is by partition; *differences* are those of shadow packs. *states* has the leads that the batch changed,
    *profiles* those of whose contact data it says something new. *counts* has all that was read, by its mode. *bugs*
    has the traceback of each record that our own code failed on, for the log. *caught_up* has the leads whose rows now
    know everything that is published of them. *skew_ms* is the last event's Kafka timestamp less the time that the
    event itself names: a sample, for one an event would cost more than it tells.
    """

    changes: list[OutRecord] = field(default_factory=list)
    qualifications: list[OutRecord] = field(default_factory=list)
    differences: list[OutRecord] = field(default_factory=list)
    dead_letters: list[OutRecord] = field(default_factory=list)
    rekeyed: dict[int, list[OutRecord]] = field(default_factory=dict)
    states: dict[str, LeadState] = field(default_factory=dict)
    profiles: dict[str, ProfileState] = field(default_factory=dict)
    counts: dict[ModeName, Counts] = field(default_factory=lambda: {mode: Counts() for mode in MODES})
    bugs: list[str] = field(default_factory=list)
    caught_up: set[str] = field(default_factory=set)
    skew_ms: int | None = None
