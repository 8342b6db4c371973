"""A whole pack, read from YAML: every problem of its form and of its meaning at once, each with its line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pql_stream.core.features import Feature
from pql_stream.core.pack_checks import Gaps, pack_problems
from pql_stream.core.packs import Group, ModelPack, Tier
from pql_stream.core.rules import Rule
from pql_stream.errors import InvalidPack, PackProblem
from pql_stream.wire.packs.features import read_feature
from pql_stream.wire.packs.rules import read_rule
from pql_stream.wire.packs.sheet import Entry, open_sheet

_FIELDS = ("pack", "version", "title", "features", "groups", "rules", "tiers")
_Read = TypeVar("_Read")
PACK_BYTES_MAX = 1 << 20
"""A shipped pack has 6 KiB. The limit keeps an export or a core dump from being parsed."""


def parse_pack(text: str | bytes, name_for_errors: str) -> ModelPack:
    """
    The pack that *text* describes; *name_for_errors* is what people call it, a file or a shipped name.

    Raises:
        InvalidPack: it describes none that can be used. Nothing else is ever raised, whatever the text.
    """
    sheet, document = open_sheet(_decoded(text, name_for_errors))
    pack, gaps = _read_pack(document)
    for path, message in pack_problems(pack, gaps):
        sheet.note(path, message)
    if sheet.problems:
        raise InvalidPack(name_for_errors, tuple(sorted(sheet.problems, key=lambda problem: problem.line)))
    return pack


def _decoded(text: str | bytes, name: str) -> str:
    if len(text) > PACK_BYTES_MAX:
        message = f"over {PACK_BYTES_MAX >> 20} MiB: a pack has some kilobytes; is this the right file?"
        raise InvalidPack(name, (PackProblem(0, "file", message),))
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as exc:
        line = text.count(b"\n", 0, exc.start) + 1
        raise InvalidPack(name, (PackProblem(line, "file", "not UTF-8: save it as UTF-8 text"),)) from exc


def _read_pack(document: Entry) -> tuple[ModelPack, Gaps]:
    fields = document.fields(_FIELDS, ("profile",))
    gaps: set[str] = set()

    def section(name: str, read: Callable[[Entry], _Read]) -> _Read:
        """What stands under *name*; what could not be read in full, is a gap."""
        entry = fields[name]
        holes_before = entry.sheet.holes
        value = read(entry)
        if entry.sheet.holes > holes_before or (name in _FIELDS and entry.node is None):
            gaps.add(name)
        return value

    features, unread = _read_features(fields["features"])
    pack = ModelPack(
        name=section("pack", Entry.text),
        version=section("version", Entry.whole),
        title=section("title", Entry.text),
        features=features,
        groups=section("groups", _read_groups),
        rules=section("rules", _read_rules),
        tiers=section("tiers", _read_tiers),
        profile=section("profile", _read_profile),
    )
    return pack, Gaps(frozenset(gaps), None if fields.get("features") is None else unread)


def _read_features(entry: Entry) -> tuple[tuple[Feature, ...], frozenset[str]]:
    """The features that could be read, and the names of those that could not."""
    features, unread = [], set()
    for name, item in entry.named("feature"):
        holes_before = entry.sheet.holes
        feature = read_feature(name, item)
        if entry.sheet.holes > holes_before:
            unread.add(name)
        else:
            features.append(feature)
    return tuple(features), frozenset(unread)


def _read_groups(entry: Entry) -> tuple[Group, ...]:
    return tuple(Group(name, item.fields(("max",))["max"].points()) for name, item in entry.named("group"))


def _read_rules(entry: Entry) -> tuple[Rule, ...]:
    """The rules that could be read."""
    rules = []
    for name, item in entry.named("rule"):
        holes_before = entry.sheet.holes
        rule = read_rule(name, item)
        if rule is not None and entry.sheet.holes == holes_before:
            rules.append(rule)
    return tuple(rules)


def _read_tiers(entry: Entry) -> tuple[Tier, ...]:
    return tuple(_read_tier(item) for item in entry.items())


def _read_tier(entry: Entry) -> Tier:
    fields = entry.fields(("name", "from"), ("handoff", "sales_ready"))
    handoff = fields.get("handoff")
    return Tier(
        name=fields["name"].text(),
        score_from=fields["from"].points(),
        handoff=None if handoff is None else handoff.text(),
        sales_ready=fields["sales_ready"].flag(),
    )


def _read_profile(entry: Entry) -> tuple[str, ...]:
    return tuple(item.text() for item in entry.one_or_many())
