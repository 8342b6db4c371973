"""
Features: what is kept about a lead, as folds over its events.

Every fold depends neither on the order of the events nor on their repetition: a bounded distinct
set, a minimum, a maximum, or the latest by (occurred_at, event_id, value). So redelivery and
disorder cannot change a score.

kind            value kept                                          unset
distinct        frozenset of 8-byte hashes; the bound once reached  empty set
distinct_days   frozenset of days since 1970; likewise              empty set
earliest        milliseconds since 1970                             None
latest_time     milliseconds since 1970                             None
latest          (occurred_at_ms, event_id, value)                   None
flag            True                                                None
maximum         number                                              None
minimum         number                                              None
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from xxhash import xxh3_64_intdigest

from pql_stream.core.events import ProductEvent, Properties
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
EMPTY: frozenset[int] = frozenset()


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
        return EMPTY if self.kind in {"distinct", "distinct_days"} else None

    @property
    def is_count(self) -> bool:
        """Is the feature's number a count of distinct things?"""
        return self.kind in {"distinct", "distinct_days"}


def compile_fold(feature: Feature, source: Source) -> Fold:
    """One flat function for *source* of *feature*: what can be decided at load is not asked per event."""
    fold = _FOLDS[feature.kind](feature, source)
    return _conditional(fold, source.where) if source.where else fold


def _conditional(fold: Fold, where: tuple[Condition, ...]) -> Fold:
    def conditional(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        for condition in where:
            if not _holds(condition, event.properties):
                return value
        return fold(value, event)

    return conditional


def _holds(condition: Condition, properties: Properties) -> bool:
    given = properties.get(condition.property)
    if is_absent(given):
        return None in condition.words
    return given.__class__ is str and word(given) in condition.words


def _property_reader(source: Source) -> Callable[[Properties], Any]:
    readers: tuple[tuple[str, Reader], ...] = tuple(
        (part.property, READERS[part.read_as]) for part in source.properties
    )
    if len(readers) == 1:
        return _single_reader(*readers[0])

    def read(properties: Properties) -> Any:  # noqa: ANN401 - what the reader gives
        for name, read_value in readers:
            given = properties.get(name)
            if given is not None:
                value = read_value(given)
                if value is not None:
                    return value
        return None

    return read


def _single_reader(name: str, read_value: Reader) -> Callable[[Properties], Any]:
    """What most sources have, without the loop."""

    def read(properties: Properties) -> Any:  # noqa: ANN401 - what the reader gives
        given = properties.get(name)
        return None if given is None else read_value(given)

    return read


def _distinct(feature: Feature, source: Source) -> Fold:
    read = _property_reader(source)
    at_most, or_event_id = feature.at_most, source.or_event_id

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        if value.__class__ is int:
            return value
        id_ = read(event.properties)
        if id_ is not None:
            hash_ = xxh3_64_intdigest(id_.encode())
        elif or_event_id:
            hash_ = xxh3_64_intdigest(event.event_id.encode(), _EVENT_ID_SEED)
        else:
            return value
        return _added(value, hash_, at_most)

    return fold


def _distinct_days(feature: Feature, _source: Source) -> Fold:
    at_most = feature.at_most

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        if value.__class__ is int:
            return value
        return _added(value, event.occurred_at_ms // DAY_MS, at_most)

    return fold


def _added(value: frozenset[int], member: int, at_most: int) -> FeatureValue:
    if member in value:
        return value
    return at_most if len(value) + 1 >= at_most else value | {member}


def _earliest(_feature: Feature, _source: Source) -> Fold:
    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        return event.occurred_at_ms if value is None or event.occurred_at_ms < value else value

    return fold


def _latest_time(_feature: Feature, _source: Source) -> Fold:
    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        return event.occurred_at_ms if value is None or event.occurred_at_ms > value else value

    return fold


def _latest(feature: Feature, source: Source) -> Fold:
    read = _property_reader(source)
    known = feature.words

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        given = read(event.properties)
        if given is None or (known and given not in known):
            return value
        stamped = (event.occurred_at_ms, event.event_id, given)
        return stamped if value is None or stamped > value else value

    return fold


def _flag(_feature: Feature, _source: Source) -> Fold:
    def fold(_value: FeatureValue, _event: ProductEvent) -> FeatureValue:
        return True

    return fold


def _maximum(_feature: Feature, source: Source) -> Fold:
    read = _property_reader(source)

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        given = read(event.properties)
        return given if given is not None and (value is None or given > value) else value

    return fold


def _minimum(_feature: Feature, source: Source) -> Fold:
    read = _property_reader(source)

    def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
        given = read(event.properties)
        return given if given is not None and (value is None or given < value) else value

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
