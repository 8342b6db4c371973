"""What is wrong with the settings file, as lines that say where and what to write instead; never a value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pql_stream.errors import InvalidSettings

LISTED_MAX = 20
"""Of what there is so much is told where nothing is near."""


def problems_of(exc: ValidationError, form: type[BaseModel], path: str) -> list[str]:
    """One line for each thing that *form* refuses in the table at *path*."""
    errors = exc.errors(include_url=False, include_input=False)
    return [f"{joined(path, error['loc'])}: {_message(error, form)}" for error in errors]


def problem_of(exc: InvalidSettings, path: str) -> str:
    """What a sink refuses, in one line."""
    told = "; ".join(part for part in (exc.what, exc.why, exc.what_to_do) if part)
    return f"{path}: {told}"


def joined(path: str, steps: Iterable[int | str]) -> str:
    """`sinks.crm` and (`secrets`, 0) -> `sinks.crm.secrets[0]`."""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f"{'.' if path else ''}{step}"
    return path


def unknown(name: str, known: Iterable[str]) -> str:
    """That there is no *name*, and what there is."""
    listed = sorted(known)
    if near := difflib.get_close_matches(name, listed, n=1):
        hint = f"did you mean {near[0]}?"
    else:
        more = f" and {len(listed) - LISTED_MAX} more" if len(listed) > LISTED_MAX else ""
        hint = f"there are {', '.join(listed[:LISTED_MAX]) or 'none'}{more}"
    return f"{name!r} is not known here; {hint}"


def _message(error: ErrorDetails, form: type[BaseModel]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return unknown(str(error["loc"][-1]), _keys_at(form, error["loc"][:-1]))
        case "missing":
            return "is missing"
        case _:
            return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _keys_at(form: type[BaseModel], steps: Iterable[int | str]) -> Iterable[str]:
    """The keys of the table in *form* that *steps* lead to."""
    for step in steps:
        field = form.model_fields.get(str(step))
        inner = None if field is None else _form_in(field.annotation)
        if inner is None:
            return ()
        form = inner
    return form.model_fields


def _form_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - an annotation
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if (found := _form_in(part)) is not None:
            return found
    return None


def wrong_type(value: object, wanted: str) -> str:
    """That *value*, which is not shown, is not what is *wanted*."""
    return f"is {_NAMES.get(type(value), 'something else')}, not {wanted}"


_NAMES: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
