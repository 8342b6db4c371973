"""
Is every record that one JSON Schema allows also allowed by another?

Who writes records may only narrow them, and who reads may only widen what it takes: both are this question. The
answer is on the safe side: what is not understood counts as a difference. Known are the keywords that our models
make; `$ref` must not lead round in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.drafts import validator_of

Schema = Mapping[str, Any]

_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_SAYS_NOTHING = frozenset({"$defs", "$id", "$schema", "$ref", "default", "description", "examples", "title"})
_AT_LEAST = ("minimum", "minLength", "minItems")
_AT_MOST = ("maximum", "maxLength", "maxItems")
_COMPARED = frozenset(
    {*_SAYS_NOTHING, *_AT_LEAST, *_AT_MOST, "additionalProperties", "anyOf", "const", "enum", "items", "properties"}
    | {"required", "type"}
)


def beyond(inner: Schema, outer: Schema, *, closed: bool = False) -> list[str]:
    """
    Where *inner* may allow what *outer* does not, a sentence each; empty when all of it is allowed.

    *closed*: records of *inner* have no fields but those that it names, whatever it would let pass.
    """
    return list(_Comparison(inner, outer, closed=closed).beyond(inner, outer, ""))


class _Comparison:
    def __init__(self, inner_root: Schema, outer_root: Schema, *, closed: bool) -> None:
        self._inner_root = inner_root
        self._outer_root = outer_root
        self._closed = closed

    def beyond(self, inner: Schema | bool, outer: Schema | bool, at: str) -> Iterator[str]:  # noqa: FBT001 - JSON Schema has booleans
        """Where *inner* goes beyond *outer*; *at* is the path of both."""
        inner, outer = _plain(inner, self._inner_root), _plain(outer, self._outer_root)
        if not set(outer) - _SAYS_NOTHING or inner.get("enum") == []:
            return
        if "enum" in inner:
            yield from self._values(inner["enum"], outer, at)
        elif "allOf" in inner:
            # What fits all parts is within whatever one of them is within.
            yield from min((list(self.beyond(part, outer, at)) for part in inner["allOf"]), key=len)
        elif "anyOf" in inner:
            rest = {key: value for key, value in inner.items() if key != "anyOf"}
            for choice in inner["anyOf"]:
                yield from self.beyond(_both(rest, _plain(choice, self._inner_root)), outer, at)
        elif "anyOf" in outer:
            yield from self.beyond(inner, {key: value for key, value in outer.items() if key != "anyOf"}, at)
            yield from self._any_of(inner, outer["anyOf"], at)
        else:
            yield from self._one(inner, outer, at)

    def _values(self, values: list[Any], outer: Schema, at: str) -> Iterator[str]:
        whole = validator_of({**outer, "$defs": self._outer_root.get("$defs", {})})
        for value in values:
            if not whole.is_valid(value):
                yield f"{at or '/'}: the value {value!r} is new"

    def _any_of(self, inner: Schema, choices: list[Schema], at: str) -> Iterator[str]:
        for type_ in sorted(_types(inner)):
            one = {**inner, "type": type_}
            if not any(not list(self.beyond(one, choice, at)) for choice in choices):
                yield f"{at or '/'}: {type_} fits none of the alternatives"

    def _one(self, inner: Schema, outer: Schema, at: str) -> Iterator[str]:
        yield from _of_values(inner, outer, at)
        types = _types(inner)
        if "object" in types:
            yield from self._of_objects(inner, outer, at)
        if "array" in types and "items" in outer:
            yield from self.beyond(inner.get("items", True), outer["items"], f"{at}/*")

    def _of_objects(self, inner: Schema, outer: Schema, at: str) -> Iterator[str]:
        mine, theirs = inner.get("properties", {}), outer.get("properties", {})
        for name in sorted(set(outer.get("required", ())) - set(inner.get("required", ()))):
            yield f"{at}/{name}: may be missing"
        unnamed = False if self._closed and mine else inner.get("additionalProperties", True)
        for name, schema in theirs.items():
            yield from self.beyond(mine.get(name, unnamed), schema, f"{at}/{name}")
        others = outer.get("additionalProperties", True)
        for name in sorted(set(mine) - set(theirs)):
            yield from self.beyond(mine[name], others, f"{at}/{name}")
        yield from self.beyond(unnamed, others, f"{at}/…")


def _of_values(inner: Schema, outer: Schema, at: str) -> Iterator[str]:
    if more := sorted(_types(inner) - _types(outer)):
        yield f"{at or '/'}: may be {', '.join(more)}"
    if "enum" in outer:
        yield f"{at or '/'}: may be other values than {outer['enum']}"
    for key in _AT_LEAST:
        if key in outer and inner.get(key, float("-inf")) < outer[key]:
            yield f"{at or '/'}: may be below the {key} of {outer[key]}"
    for key in _AT_MOST:
        if key in outer and inner.get(key, float("inf")) > outer[key]:
            yield f"{at or '/'}: may be above the {key} of {outer[key]}"
    for key in sorted(set(outer) - _COMPARED):
        if inner.get(key) != outer[key]:
            yield f"{at or '/'}: {key} is not the same"


def _types(schema: Schema) -> frozenset[str]:
    given = schema.get("type", _TYPES)
    named = frozenset({given} if isinstance(given, str) else given)
    return named | {"integer"} if "number" in named else named


def _plain(schema: Schema | bool, root: Schema) -> Schema:  # noqa: FBT001 - JSON Schema has booleans
    """*schema* without `$ref` and `const`, and as a mapping: `enum: []` is what nothing fits."""
    if isinstance(schema, bool):
        return {} if schema else {"enum": []}
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return _plain(_both({key: value for key, value in schema.items() if key != "$ref"}, target), root)
    if "const" in schema:
        return {**{key: value for key, value in schema.items() if key != "const"}, "enum": [schema["const"]]}
    return schema


def _both(one: Schema, other: Schema) -> Schema:
    """What fits both. Of a keyword that both have, and say differently, the first counts: that allows too much."""
    joined = {**other, **one}
    if "properties" in one and "properties" in other:
        joined["properties"] = {**other["properties"], **one["properties"]}
        for name in set(one["properties"]) & set(other["properties"]):
            joined["properties"][name] = {"allOf": [one["properties"][name], other["properties"][name]]}
    if "required" in one and "required" in other:
        joined["required"] = [*one["required"], *other["required"]]
    return joined
