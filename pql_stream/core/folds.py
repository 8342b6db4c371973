"""
Folds: what one event does to one feature, as functions that are made when a pack is loaded.

`core.features` says what each kind keeps, and why no order and no repetition can change it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from xxhash import xxh3_64_digest

from pql_stream.core.events import ProductEvent
from pql_stream.core.features import (
    DAY_MS,
    MEMBER_BYTES,
    Condition,
    Feature,
    FeatureKind,
    FeatureValue,
    Fold,
    Source,
)
from pql_stream.core.values import READERS, Reader, is_absent
from pql_stream.core.words import word

_EVENT_ID_SEED = 1
"""Sets event ids apart from ids that producers give, so that a run called like an event is another run."""


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


def _extreme(choose: Callable[[FeatureValue, FeatureValue], FeatureValue]) -> Callable[[Feature, Source], Fold]:
    """*choose* is `max` or `min`: of equal ones both keep the first, which is the one that is there."""

    def compiled(_feature: Feature, source: Source) -> Fold:
        readers = _readers(source)

        def fold(value: FeatureValue, event: ProductEvent) -> FeatureValue:
            for name, read in readers:
                given = event.properties.get(name)
                if given is not None and (number := read(given)) is not None:
                    return number if value is None else choose(value, number)
            return value

        return fold

    return compiled


_FOLDS: dict[FeatureKind, Callable[[Feature, Source], Fold]] = {
    "distinct": _distinct,
    "distinct_days": _distinct_days,
    "earliest": _earliest,
    "latest_time": _latest_time,
    "latest": _latest,
    "flag": _flag,
    "maximum": _extreme(max),
    "minimum": _extreme(min),
}
