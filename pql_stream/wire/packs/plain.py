"""A pack as plain data in the form of its document: as JSON it can be read as a pack again."""

from __future__ import annotations

from typing import Any

from pql_stream.core.features import Condition, Feature, Source
from pql_stream.core.packs import ModelPack, Tier
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
from pql_stream.wire.numbers import decimal

Plain = dict[str, Any]
"""JSON values by field; what has its default is left out."""


def dump_pack(pack: ModelPack) -> Plain:
    """*pack* as its document says it: points as decimals, words and event names in their compared form."""
    plain: Plain = {
        "pack": pack.name,
        "version": pack.version,
        "title": pack.title,
        "features": {feature.name: _feature(feature) for feature in pack.features},
        "groups": {group.name: {"max": decimal(group.points_max)} for group in pack.groups},
        "rules": {rule.name: _rule(rule) for rule in pack.rules},
        "tiers": [_tier(tier) for tier in pack.tiers],
    }
    return plain | ({"profile": list(pack.profile)} if pack.profile else {})


def _feature(feature: Feature) -> Plain:
    plain: Plain = {"kind": feature.kind}
    if feature.is_count:
        plain["at_most"] = feature.at_most
    if feature.words:
        plain["words"] = sorted(feature.words)
    return plain | {"from": [_source(source) for source in feature.sources]}


def _source(source: Source) -> Plain:
    plain: Plain = {"events": list(source.events)}
    if source.where:
        plain["where"] = {condition.property: _words(condition) for condition in source.where}
    if source.properties:
        plain["property"] = [{"name": part.property, "as": part.read_as} for part in source.properties]
    return plain | ({"or_event_id": True} if source.or_event_id else {})


def _words(condition: Condition) -> list[str | None]:
    words: list[str | None] = [*sorted(text for text in condition.words if text is not None)]
    return [*words, None] if None in condition.words else words


def _rule(rule: Rule) -> Plain:
    kind = rule.__struct_config__.tag
    head: Plain = {"group": rule.group, "kind": kind, "max": decimal(rule.points_max)}
    if isinstance(rule, GreatestRule):
        return head | {"of": [_part(part) for part in rule.of]}
    return head | _own_fields(rule) | {"reason": rule.reason}


def _part(rule: AtLeastRule | BelowRule | LinearRule | WordsRule | FlagRule) -> Plain:
    head: Plain = {"kind": rule.__struct_config__.tag}
    if isinstance(rule, LinearRule):
        head["max"] = decimal(rule.points_max)
    return head | _own_fields(rule) | {"reason": rule.reason}


def _own_fields(rule: AtLeastRule | BelowRule | LinearRule | WordsRule | FlagRule) -> Plain:
    match rule:
        case AtLeastRule():
            bands = [_band("above" if band.above else "at_least", band) for band in rule.bands]
            return {"input": _input(rule.input), "bands": bands}
        case BelowRule():
            return {"input": _input(rule.input), "bands": [_band("below", band) for band in rule.bands]}
        case LinearRule():
            return {"points_each": {name: decimal(each) for name, each in rule.points_each}}
        case WordsRule():
            return {"input": rule.input, "points": {text: decimal(points) for text, points in rule.points}}
    return {"input": rule.input, "points": decimal(rule.points)}


def _input(source: str | SecondsBetween) -> str | Plain:
    return source if isinstance(source, str) else {"seconds_from": source.start, "to": source.end}


def _band(side: str, band: Band) -> Plain:
    plain: Plain = {side: band.bound, "points": decimal(band.points)}
    return plain | ({"reason": band.reason} if band.reason else {})


def _tier(tier: Tier) -> Plain:
    plain: Plain = {"name": tier.name, "from": decimal(tier.score_from)}
    if tier.handoff is not None:
        plain["handoff"] = tier.handoff
    return plain | ({"sales_ready": True} if tier.sales_ready else {})
