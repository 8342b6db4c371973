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

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from xxhash import xxh3_64_digest

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import READERS, Reader, ReaderName, is_absent
from pql_stream.core.words import word

FeatureKind = Literal["distinct", "distinct_days", "earliest", "latest_time", "latest", "flag", "maximum", "minimum"]
FeatureValue = Any
"""See the table above; the kind of the feature decides."""
Fold = Callable[[FeatureValue, ProductEvent], FeatureValue]
"""(value before, event) -> value after; the same object where the event changes nothing."""

DAY_MS = 86_400_000
_EVENT_ID_SEED = 1
"""Sets event ids apart from ids that producers give, so that a run called like an event is another run."""
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


def compile_fold(feature: Feature, source: Source) -> Fold:
    """One flat function for *source* of *feature*: what can be decided at load is not asked per event."""
    fold = _FOLDS[feature.kind](feature, source)
    return _conditional(fold, source.where) if source.where else fold


def _conditional(fold: Fold, where: tuple[Condition, ...]) -> Fold:
    conditions = tuple((part.property, part.words) for part in where)

    def conditional(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        for name, words in conditions:
            given = event.properties.get(name)
            # Most producers leave it out, or write the word as it is compared, which the pack's words are.
            if (given.__class__ is str or given is None) and given in words:
                continue
            if not _holds(given, words):
                return value
        return fold(value, event)

    return conditional


def _holds(given: Any, words: frozenset[str | None]) -> bool:  # noqa: ANN401 - a JSON value
    if is_absent(given):
        return None in words
    return given.__class__ is str and word(given) in words


def _readers(source: Source) -> tuple[tuple[str, Reader], ...]:
    """
    The properties of *source* and how each is read.

    The folds go through them in place, though they do it all alike: a function for it would be called
    for each feature that an event might say something of, and would mostly find nothing.
    """
    return tuple((part.property, READERS[part.read_as]) for part in source.properties)


def _distinct(feature: Feature, source: Source) -> Fold:
    readers = _readers(source)
    places, or_event_id = _places(feature.at_most), source.or_event_id

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        if value.__class__ is int:
            return value
        for name, read in readers:
            given = event.properties.get(name)
            if given is not None and (id_ := read(given)) is not None:
                return _added(value, xxh3_64_digest(id_.encode()), places)
        if or_event_id:
            return _added(value, xxh3_64_digest(event.event_id.encode(), _EVENT_ID_SEED), places)
        return value

    return fold


def _distinct_days(feature: Feature, _source: Source) -> Fold:
    places = _places(feature.at_most)

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        if value.__class__ is int:
            return value
        return _added(value, (event.occurred_at_ms // DAY_MS).to_bytes(MEMBER_BYTES), places)

    return fold


def _places(at_most: int) -> tuple[slice, ...]:
    """Where each member lies, up to *at_most* of them."""
    return tuple(slice(place * MEMBER_BYTES, (place + 1) * MEMBER_BYTES) for place in range(at_most))


def _added(members: bytes, member: bytes, places: tuple[slice, ...]) -> bytes | int:
    found = members.find(member)
    # Nearly always this settles what is there already; it may also find the end of one and the start of the next.
    if found >= 0 and found % MEMBER_BYTES == 0:
        return members
    count = len(members) // MEMBER_BYTES
    place = bisect_left(places, member, 0, count, key=members.__getitem__)
    start = place * MEMBER_BYTES
    if found >= 0 and members.startswith(member, start):
        return members
    return len(places) if count + 1 >= len(places) else members[:start] + member + members[start:]


def _earliest(_feature: Feature, _source: Source) -> Fold:
    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        return event.occurred_at_ms if value is None or event.occurred_at_ms < value else value

    return fold


def _latest_time(_feature: Feature, _source: Source) -> Fold:
    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        return event.occurred_at_ms if value is None or event.occurred_at_ms > value else value

    return fold


def _latest(feature: Feature, source: Source) -> Fold:
    readers = _readers(source)
    words = feature.words

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        for name, read in readers:
            given = event.properties.get(name)
            if given is not None and (known := read(given)) is not None:
                if words and known not in words:
                    return value
                stamped = (event.occurred_at_ms, event.event_id, known)
                return stamped if value is None or stamped > value else value
        return value

    return fold


def _flag(_feature: Feature, _source: Source) -> Fold:
    def fold(_value: FeatureValue, _event: ProductEvent) -> FeatureValue:
        return True

    return fold


def _maximum(_feature: Feature, source: Source) -> Fold:
    readers = _readers(source)

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        for name, read in readers:
            given = event.properties.get(name)
            if given is not None and (number := read(given)) is not None:
                return number if value is None or number > value else value
        return value

    return fold


def _minimum(_feature: Feature, source: Source) -> Fold:
    readers = _readers(source)

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        for name, read in readers:
            given = event.properties.get(name)
            if given is not None and (number := read(given)) is not None:
                return number if value is None or number < value else value
        return value

    return fold


_FOLDS: dict[FeatureKind, Callable[[Feature, Source], Fold]] = {
    "distinct": _distinct,
    "distinct_days": _distinct_days,
    "earliest": _earliest,
    "latest_time": _latest_time,
    "latest": _latest,
    "flag": _flag,
    "maximum": _maximum,
    "minimum": _minimum,
}
