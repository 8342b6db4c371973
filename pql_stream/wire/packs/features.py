"""The features of a pack, read from its sheet."""

from __future__ import annotations

from typing import cast, get_args

from pql_stream.core.features import Condition, Feature, FeatureKind, PropertyReader, Source
from pql_stream.core.values import READERS, ReaderName
from pql_stream.wire.packs.sheet import Entry, Fields

_KINDS: tuple[str, ...] = get_args(FeatureKind)
_FEATURE_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "distinct": (("kind", "at_most", "from"), ()),
    "distinct_days": (("kind", "at_most", "from"), ()),
    "latest": (("kind", "from"), ("words",)),
}
"""Kind -> (required, optional) fields; those of the kinds that are not here are in `_PLAIN_FEATURE`."""
_PLAIN_FEATURE: tuple[tuple[str, ...], tuple[str, ...]] = (("kind", "from"), ())
_ANY_FEATURE: tuple[tuple[str, ...], tuple[str, ...]] = (("kind", "from"), ("at_most", "words"))
_SOURCE_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "distinct": (("events",), ("where", "property", "as", "or_event_id")),
    "latest": (("events", "property"), ("where", "as")),
    "maximum": (("events", "property"), ("where", "as")),
    "minimum": (("events", "property"), ("where", "as")),
}
_PLAIN_SOURCE: tuple[tuple[str, ...], tuple[str, ...]] = (("events",), ("where",))
_ANY_SOURCE: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("events",),
    ("where", "property", "as", "or_event_id"),
)


def read_feature(name: str, entry: Entry) -> Feature:
    """One feature; its holes, if any, are counted by the sheet."""
    kind = entry.kind().choice(_KINDS)
    fields = entry.fields(*(_FEATURE_FIELDS.get(kind, _PLAIN_FEATURE) if kind else _ANY_FEATURE))
    return Feature(
        name=name,
        kind=cast("FeatureKind", kind),
        sources=tuple(_read_source(kind, item) for item in fields["from"].items()),
        at_most=fields["at_most"].whole(),
        words=frozenset(item.word() for item in fields["words"].one_or_many()),
    )


def _read_source(kind: str, entry: Entry) -> Source:
    fields = entry.fields(*(_SOURCE_FIELDS.get(kind, _PLAIN_SOURCE) if kind else _ANY_SOURCE))
    return Source(
        events=tuple(item.word() for item in fields["events"].one_or_many()),
        where=tuple(_read_condition(name, item) for name, item in _conditions(fields)),
        properties=_read_properties(fields),
        or_event_id=fields["or_event_id"].flag(),
    )


def _conditions(fields: Fields) -> list[tuple[str, Entry]]:
    return fields["where"].named("property")


def _read_condition(name: str, entry: Entry) -> Condition:
    # Unlike elsewhere null is a value here: "the property is absent".
    words = [None if item.is_null() else item.word() for item in entry.one_or_many()]
    return Condition(name, frozenset(words))


def _read_properties(fields: Fields) -> tuple[PropertyReader, ...]:
    readers = tuple(READERS)
    shared = fields["as"].choice(readers)
    properties = []
    needs_shared = False
    for item in fields["property"].one_or_many():
        if item.is_mapping():
            parts = item.fields(("name", "as"))
            name, read_as = parts["name"].text(), parts["as"].choice(readers)
        else:
            name, read_as = item.text(), shared
            needs_shared = True
        properties.append(PropertyReader(name, cast("ReaderName", read_as)))
    if needs_shared and fields.get("as") is None:
        fields["property"].refuse(f"`as` is missing: say how the property is read: {', '.join(readers)}")
    if fields.get("as") is not None and not needs_shared:
        fields["as"].note("nothing is read by this: remove it, or add a property")
    return tuple(properties)
