"""JSON and nothing but, as R1 to R4 have it: the standard library with its leniencies shut."""

import json
from typing import Any


def depth_of(text: str) -> int:
    """The most arrays and objects open at once, outside strings (R1); *text* need not be JSON."""
    deepest = depth = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth = max(0, depth - 1)  # a closer with nothing open closes nothing
    return deepest


def parse_json(text: str) -> Any:
    """
    JSON and nothing but: R2 to R4.

    Raises:
        ValueError: *text* is not JSON as the contract has it.
    """
    root = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_parse_float,
        parse_int=_parse_int,
        object_pairs_hook=_object_of_pairs,
    )
    _refuse_surrogates(root)
    return root


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("beyond a double")  # R3
    return number


def _parse_int(digits: str) -> int:
    _parse_float(digits)
    return int(digits)


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Looked at pair by pair: a duplicate that is overwritten (R4) is still part of the text (R2).
    for key, value in pairs:
        _refuse_surrogates(key)
        _refuse_surrogates(value)
    return dict(pairs)


def _refuse_surrogates(value: Any) -> None:
    """Objects inside *value* were looked at when they were built."""
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("a lone surrogate")
    if isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)
