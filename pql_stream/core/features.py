"""
Features: what is kept about a lead, as folds over its events.

Every fold depends neither on the order of the events nor on their repetition: a bounded distinct
set, a minimum, a maximum, or the latest by (occurred_at, event_id, value). So redelivery and
disorder cannot change a score.

kind            value kept                                                 unset
distinct        hashes, as members (see below); the bound once reached     no members
distinct_days   days since 1970, as members; likewise                      no members
earliest        milliseconds since 1970                                    None
latest_time     milliseconds since 1970                                    None
latest          (occurred_at_ms, event_id, value)                          None
flag            True                                                       None
maximum         number                                                     None
minimum         number                                                     None

The members of a distinct set lie one behind the other in one bytes object, eight bytes each, rising.
A set of Python objects would take ten times the memory, and half as much time again to read a row and
write it. The price: a member that is new takes its place at half a microsecond more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import ReaderName

FeatureKind = Literal["distinct", "distinct_days", "earliest", "latest_time", "latest", "flag", "maximum", "minimum"]
FeatureValue = Any
"""See the table above; the kind of the feature decides."""
Fold = Callable[[FeatureValue, ProductEvent], FeatureValue]
"""(value before, event) -> value after; the same object where the event changes nothing."""

DAY_MS = 86_400_000
MEMBER_BYTES = 8
NO_MEMBERS = b""


class Condition(msgspec.Struct, frozen=True):
    """The event counts where *property* is one of *words*; None among them stands for "absent"."""

    property: str
    words: frozenset[str | None]


class PropertyReader(msgspec.Struct, frozen=True):
    """A property and how its value is read."""

    property: str
    read_as: ReaderName


class Source(msgspec.Struct, frozen=True):
    """
    Events that a feature is made from.

    *events* are names in their compared form (`core.words.word`). Of *properties* the first known
    value counts; *or_event_id* says that without one the event itself is counted, by its id.
    """

    events: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    properties: tuple[PropertyReader, ...] = ()
    or_event_id: bool = False


class Feature(msgspec.Struct, frozen=True):
    """
    One counter or fact about a lead.

    *at_most* bounds a distinct kind: there it stops counting and forgets the ids, so the memory of a
    lead is bounded and what is forgotten could not have earned a point. The price: a pack with a
    higher band needs a rebuild by replay. *words*, if any, are the only values that are known.
    """

    name: str
    kind: FeatureKind
    sources: tuple[Source, ...]
    at_most: int = 0
    words: frozenset[str] = frozenset()

    @property
    def unset(self) -> FeatureValue:
        """The value before any event."""
        return NO_MEMBERS if self.kind in {"distinct", "distinct_days"} else None

    @property
    def is_count(self) -> bool:
        """Is the feature's number a count of distinct things?"""
        return self.kind in {"distinct", "distinct_days"}
