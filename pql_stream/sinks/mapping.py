"""
Which of a destination's fields gets what of a delivery. A mapping is data: field -> path.

A path names a field of the published record (`wire.deliveries.fields_of`: `score_after`, `input.workflow_success`,
`groups.usage`), of the lead's contact data (`profile.email`), or `delivery_id`; `occurred_on` is the day of
`occurred_at`, in UTC. `a | b` takes the first that is
known; a last part in double quotes is a word to fall back to: `profile.company | "[not known]"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from pql_stream.core.routes import Fields, Scalar
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.wire.deliveries import fields_of

_PART = re.compile(r'(?P<path>[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\- ]+)*)|"(?P<word>[^"]*)"')

OPTION = "fields"
"""The route's option that holds its own mapping."""


@dataclass(frozen=True, slots=True)
class _Source:
    paths: tuple[str, ...]
    word: str | None

    def value(self, fields: Fields) -> Scalar:
        for path in self.paths:
            if (known := fields.get(path)) is not None:
                return known
        return self.word


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A checked mapping."""

    sources: Mapping[str, _Source]

    def values(self, fields: Fields) -> dict[str, Scalar]:
        """
        The destination's fields with their values.

        What is unknown is left out: a destination keeps what it has, rather than lose it to our not knowing.
        """
        found = {name: source.value(fields) for name, source in self.sources.items()}
        return {name: value for name, value in found.items() if value is not None}


def parse_mapping(written: Mapping[str, str]) -> FieldMapping:
    """
    The mapping that is *written*; a field with an empty path is not sent.

    Raises:
        InvalidSettings: a path cannot be read; it names the field.
    """
    return FieldMapping({name: _source(name, path) for name, path in written.items() if path})


def mapping_for(item: Item, shipped: Mapping[str, str], *, option: str = OPTION) -> FieldMapping:
    """
    The mapping of *item*: the *shipped* one, with what the route's *option* adds, changes or, by an empty path,
    takes away.

    Raises:
        InvalidSettings: the route's own mapping cannot be read.
    """
    own = item.delivery.options.get(option, {})
    if not isinstance(own, Mapping) or not all(isinstance(path, str) for path in own.values()):
        raise InvalidSettings(f'the option "{option}" of route {item.delivery.route} is no mapping of field to path')
    return _parsed(tuple({**shipped, **own}.items()))


def fields_of_item(item: Item) -> Fields:
    """
    All that a path can name: the record's fields, the lead's contact data as `profile.*`, `occurred_on`, and
    `delivery_id`.
    """
    fields: dict[str, Scalar] = {**fields_of(item.delivery.record), "delivery_id": item.delivery.delivery_id}
    if isinstance(occurred_at := fields.get("occurred_at"), str):
        fields["occurred_on"] = occurred_at.partition("T")[0]
    return {**fields, **contact_fields(item)}


def contact_fields(item: Item) -> Fields:
    """Only who the lead is, and nothing of its score: `lead_id` and `profile.*`."""
    fields: dict[str, Scalar] = {"lead_id": item.delivery.lead_id}
    if item.profile is not None:
        for name, value in msgspec.structs.asdict(item.profile).items():
            fields[f"profile.{name}"] = value
    return fields


@lru_cache(maxsize=256)
def _parsed(written: tuple[tuple[str, str], ...]) -> FieldMapping:
    """Routes are few, deliveries many."""
    return parse_mapping(dict(written))


def _source(name: str, path: str) -> _Source:
    paths: list[str] = []
    parts = [part.strip() for part in path.split("|")]
    for place, part in enumerate(parts):
        match = _PART.fullmatch(part)
        if match is None or (match["word"] is not None and place < len(parts) - 1):
            raise InvalidSettings(
                f"field {name}: {path!r} is no path",
                why='a path is like score_after, profile.email, or profile.company | "none"',
            )
        if match["word"] is not None:
            return _Source(tuple(paths), match["word"])
        paths.append(part)
    return _Source(tuple(paths), None)
