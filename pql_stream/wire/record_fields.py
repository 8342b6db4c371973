"""
Which fields a published record has, by the dotted paths of `wire.deliveries.fields_of`, and what they hold.

From the records' own forms, and from the live pack: its groups, its rules and what each of them looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import RecordKind
from pql_stream.core.rules import FlagRule, GreatestRule, LinearRule, Rule, WordsRule, reads_of
from pql_stream.wire.change_models import PqlQualifiedRecord, ScoreChangedRecord

Holds = Literal["text", "number", "flag", "any"]

RECORDS: Mapping[RecordKind, type[BaseModel]] = {
    "score-changed": ScoreChangedRecord,
    "pql-qualified": PqlQualifiedRecord,
}


@dataclass(frozen=True, slots=True)
class KnownField:
    """What a field holds, and, where they are few, which words: () for any."""

    holds: Holds
    words: tuple[str, ...] = ()


def known_fields(kind: RecordKind, pack: ModelPack) -> dict[str, KnownField]:
    """Every path that a record of *kind* can have under *pack*."""
    fields = dict(_of_model(RECORDS[kind], ""))
    tiers = tuple(tier.name for tier in pack.tiers)
    fields |= {name: KnownField("text", tiers) for name in ("tier", "tier_before", "tier_after") if name in fields}
    if kind == "pql-qualified":
        handoffs = tuple(dict.fromkeys(tier.handoff for tier in pack.tiers if tier.handoff is not None))
        profile = {f"profile.{name}": KnownField("any") for name in pack.profile}
        return fields | {"handoff": KnownField("text", handoffs)} | profile
    words = {feature.name: tuple(sorted(feature.words)) for feature in pack.features}
    fields |= {f"groups.{group.name}": KnownField("number") for group in pack.groups}
    for rule in pack.rules:
        fields[f"points.{rule.name}"] = KnownField("number")
        fields |= dict(_inputs(rule, f"input.{rule.name}", words))
    return fields


def _of_model(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, KnownField]]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        annotation = _known(field.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _of_model(annotation, f"{path}.")
        elif get_origin(annotation) is Literal:
            yield path, KnownField("text", get_args(annotation))
        elif annotation in _HOLDS:
            yield path, KnownField(_HOLDS[annotation])


_HOLDS: Mapping[Any, Holds] = {str: "text", int: "number", float: "number", bool: "flag"}


def _known(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    """What *annotation* says of a value that is known."""
    if get_origin(annotation) is UnionType:
        [annotation] = [one for one in get_args(annotation) if one is not NoneType]
    return annotation


def _inputs(rule: Rule, path: str, words: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, KnownField]]:
    """What *rule* looks at, as `core.scoring` shows it; *words*: those that a feature can be, () for any."""
    match rule:
        case GreatestRule():
            for part in rule.of:
                yield from _inputs(part, f"{path}.{'_'.join(reads_of(part))}", words)
        case LinearRule() if len(rule.points_each) > 1:
            for name, _ in rule.points_each:
                yield f"{path}.{name}", KnownField("number")
        case WordsRule():
            yield path, KnownField("text", words[rule.input])
        case FlagRule():
            yield path, KnownField("flag")
        case _:
            yield path, KnownField("number")
