"""The rules of a pack, read from its sheet."""

from __future__ import annotations

from collections.abc import Callable

from pql_stream.core.rules import (
    AtLeastRule,
    Band,
    BelowRule,
    FlagRule,
    GreatestRule,
    LinearRule,
    Rule,
    SecondsBetween,
    WordsRule,
)
from pql_stream.wire.packs.sheet import Entry, Fields

REASON_CHARS_MAX = 200
PartRule = AtLeastRule | BelowRule | LinearRule | WordsRule | FlagRule

_OWN_FIELDS = {
    "at_least": ("input", "bands"),
    "below": ("input", "bands"),
    "linear": ("points_each",),
    "words": ("input", "points"),
    "flag": ("input", "points"),
}
_GREATEST = "greatest"
_ANY_FIELD = ("max", "reason", "of", *dict.fromkeys(name for names in _OWN_FIELDS.values() for name in names))


def read_rule(name: str, entry: Entry) -> Rule | None:
    """One rule; None where its kind is not known. Its holes, if any, are counted by the sheet."""
    kind = entry.kind().choice((*_OWN_FIELDS, _GREATEST))
    if not kind:
        entry.fields(("kind", "group"), _ANY_FIELD)
        return None
    if kind == _GREATEST:
        fields = entry.fields(("group", "kind", "max", "of"))
        parts = [_read_part(name, item) for item in fields["of"].items()]
        return GreatestRule(
            name=name,
            group=fields["group"].text(),
            points_max=fields["max"].points(),
            reason="",
            of=tuple(part for part in parts if part is not None),
        )
    fields = entry.fields(("group", "kind", "max", *_OWN_FIELDS[kind], "reason"))
    return _READERS[kind](name, fields["group"].text(), fields["max"].points(), fields)


def _read_part(name: str, entry: Entry) -> PartRule | None:
    """A part of a `greatest` rule: it belongs to no group, and only a linear one needs a maximum."""
    kind = entry.kind().choice(tuple(_OWN_FIELDS))
    if not kind:
        entry.fields(("kind",), _ANY_FIELD)
        return None
    capped = ("max",) if kind == "linear" else ()
    fields = entry.fields(("kind", *capped, *_OWN_FIELDS[kind], "reason"))
    return _READERS[kind](name, "", fields["max"].points(), fields)


def _reason(fields: Fields) -> str:
    return fields["reason"].text(REASON_CHARS_MAX)


def _read_at_least(name: str, group: str, points_max: int, fields: Fields) -> PartRule:
    bands = tuple(_read_at_least_band(item) for item in fields["bands"].items())
    return AtLeastRule(name, group, points_max, _reason(fields), _read_input(fields["input"]), bands)


def _read_below(name: str, group: str, points_max: int, fields: Fields) -> PartRule:
    bands = tuple(_read_below_band(item) for item in fields["bands"].items())
    return BelowRule(name, group, points_max, _reason(fields), _read_input(fields["input"]), bands)


def _read_linear(name: str, group: str, points_max: int, fields: Fields) -> PartRule:
    each = tuple((feature, item.points()) for feature, item in fields["points_each"].named("feature"))
    return LinearRule(name, group, points_max, _reason(fields), each)


def _read_words(name: str, group: str, points_max: int, fields: Fields) -> PartRule:
    points: dict[str, int] = {}
    for text, item in fields["points"].named("word"):
        compared = item.compared(text)
        if compared in points:
            item.note(f"the same word as one above it, `{compared}`: keep one of them")
        points.setdefault(compared, item.points())
    return WordsRule(name, group, points_max, _reason(fields), fields["input"].text(), tuple(points.items()))


def _read_flag(name: str, group: str, points_max: int, fields: Fields) -> PartRule:
    return FlagRule(name, group, points_max, _reason(fields), fields["input"].text(), fields["points"].points())


_READERS: dict[str, Callable[[str, str, int, Fields], PartRule]] = {
    "at_least": _read_at_least,
    "below": _read_below,
    "linear": _read_linear,
    "words": _read_words,
    "flag": _read_flag,
}


def _read_input(entry: Entry) -> str | SecondsBetween:
    if not entry.is_mapping():
        return entry.text()
    fields = entry.fields(("seconds_from", "to"))
    return SecondsBetween(fields["seconds_from"].text(), fields["to"].text())


def _read_at_least_band(entry: Entry) -> Band:
    fields = entry.fields(("points",), ("at_least", "above", "reason"))
    at_least, above = fields.get("at_least"), fields.get("above")
    if entry.is_mapping() and (at_least is None) == (above is None):
        entry.refuse("write one of `at_least` (the bound belongs to the band) and `above` (it does not)")
    bound = (at_least or fields["above"]).number()
    return Band(bound, fields["points"].points(), at_least is None, _reason(fields))


def _read_below_band(entry: Entry) -> Band:
    fields = entry.fields(("below", "points"), ("reason",))
    return Band(fields["below"].number(), fields["points"].points(), reason=_reason(fields))
