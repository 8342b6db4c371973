"""
The table `where` of a route -> its conditions, each held against what the records of the route have.

A value is what the field must be, a list what it may be, and a table has one_of, at_least or below; a dotted path may
also stand as tables in tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from pql_stream.core.routes import Condition, Scalar
from pql_stream.ops.delivery.problems import joined, unknown, wrong_type
from pql_stream.wire.record_fields import Holds, KnownField

_WORDS = frozenset({"one_of", "at_least", "below"})
_TYPES: Mapping[Holds, tuple[type, ...]] = {"text": (str,), "number": (int, float), "flag": (bool,)}
_NAMES: Mapping[Holds, str] = {"text": "a text", "number": "a number", "flag": "true or false"}


def read_conditions(
    where: Mapping[str, Any], known: Mapping[str, KnownField], path: str
) -> tuple[tuple[Condition, ...], list[str]]:
    """The conditions in *where*, which stands at *path*, and what is wrong with it; *known* are the record's fields."""
    conditions: list[Condition] = []
    problems: list[str] = []
    for name, asked in _flat(where, ""):
        at = joined(path, [name])
        if name not in known:
            problems.append(f"{at}: {unknown(name, known)}")
            continue
        condition, found = _condition(name, asked, at)
        found += [f"{at}: {problem}" for problem in _misfits(condition, known[name])]
        conditions.append(condition)
        problems += found
    return tuple(conditions), problems


def _flat(where: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, asked in where.items():
        if isinstance(asked, Mapping) and asked and not asked.keys() & _WORDS:
            yield from _flat(asked, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", asked


def _condition(name: str, asked: object, at: str) -> tuple[Condition, list[str]]:
    if not isinstance(asked, Mapping):
        values, problems = _values(asked, at)
        return Condition(name, one_of=values), problems
    problems = [f"{at}: {unknown(word, _WORDS)}" for word in sorted(asked.keys() - _WORDS)]
    if not asked:
        problems.append(f"{at}: an empty table; write one_of, at_least or below")
    values, found = _values(asked["one_of"], f"{at}.one_of") if "one_of" in asked else ((), [])
    bounds: dict[str, float | None] = {}
    for word in ("at_least", "below"):
        bound = asked.get(word)
        if bound is not None and not _is_number(bound):
            found.append(f"{at}.{word}: {_unusable(bound, 'a number')}")
            bound = None
        bounds[word] = bound
    at_least, below = bounds["at_least"], bounds["below"]
    if at_least is not None and below is not None and at_least >= below:
        found.append(f"{at}: nothing is at least {at_least} and below {below}")
    return Condition(name, one_of=values, at_least=at_least, below=below), problems + found


def _values(asked: object, at: str) -> tuple[tuple[Scalar, ...], list[str]]:
    listed = asked if isinstance(asked, Sequence) and not isinstance(asked, str) else [asked]
    if not listed:
        return (), [f"{at}: an empty list; write the values that it may have"]
    wrong = [value for value in listed if not isinstance(value, str | bool) and not _is_number(value)]
    if wrong:
        return (), [f"{at}: {_unusable(wrong[0], 'a text, a number, true or false')}"]
    # 60 and 60.0 are told apart where they are compared, and a file may well have one for the other.
    return tuple(same for value in listed for same in _written(value)), []


def _written(value: Any) -> Iterator[Scalar]:  # noqa: ANN401 - a scalar, as the caller has seen
    yield value
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield float(value)


def _misfits(condition: Condition, field: KnownField) -> Iterator[str]:
    """What can never be true of *field*."""
    wanted = _TYPES.get(field.holds)
    if wanted is None:
        return
    if field.holds != "number" and (condition.at_least is not None or condition.below is not None):
        yield f"it is {_NAMES[field.holds]}, and has no at_least or below; write one_of"
    for value in condition.one_of:
        is_right = isinstance(value, wanted) and (field.holds == "flag" or not isinstance(value, bool))
        if not is_right:
            if not (isinstance(value, float) and value.is_integer()):  # the other writing of an int, told of already
                yield f"{value!r} can never be: it is {_NAMES[field.holds]}"
        elif field.words and value not in field.words:
            yield unknown(str(value), field.words)


def _is_number(value: object) -> TypeGuard[float]:
    """A number that compares with others: TOML has nan, inf and integers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _unusable(value: object, wanted: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "is nan, or too large for a number"
    return wrong_type(value, wanted)
