"""The settings file as `config show` lists it: a path and a value a line, secrets only by where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pql_stream.core.routes import Condition, Route
from pql_stream.ops.delivery.config import DeliveryConfig
from pql_stream.ops.delivery.forms import Form
from pql_stream.ops.delivery.problems import joined
from pql_stream.ops.delivery.secrets import SecretText

MASK = "********"
"""Always as long, so that it does not tell the length of what it hides."""


class Entry(NamedTuple):
    """One value of the settings file, a secret's as `MASK`; *origin* is where it was found, "" for the file itself."""

    path: str
    value: str | int | float | bool
    origin: str = ""


def entries(config: DeliveryConfig) -> Iterator[Entry]:
    """Everything that *config* says, in the order of its file."""
    if config.templates is not None:
        yield from _entries(config.templates, "templates")
    for name, form in config.sinks.items():
        yield from _entries(form, f"sinks.{name}")
    for route in config.routes:
        path = f"routes.{route.name}"
        yield Entry(path, sentence(route))
        yield from _entries(route.options, f"{path}.options")


def sentence(route: Route) -> str:
    """*route* in words: `score-changed to crm as upsert, where score_after is at least 60`."""
    asked = " and ".join(f"{one.path} is {_condition(one)}" for one in route.where)
    return f"{route.of} to {route.sink} as {route.action}{', where ' if asked else ''}{asked}"


def _condition(condition: Condition) -> str:
    # A number stands there in both its writings.
    values = dict.fromkeys(_scalar(value) for value in condition.one_of)
    parts = [" or ".join(values)] if values else []
    if condition.at_least is not None:
        parts.append(f"at least {_scalar(condition.at_least)}")
    if condition.below is not None:
        parts.append(f"below {_scalar(condition.below)}")
    return ", ".join(parts)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _entries(value: Any, path: str) -> Iterator[Entry]:  # noqa: ANN401 - whatever a form holds
    match value:
        case SecretText():
            yield Entry(path, MASK, value.origin)
        case Form():
            yield from _entries(value.given, path)
        case Mapping():
            for name, inner in value.items():
                yield from _entries(inner, joined(path, [name]))
        case list():
            for place, inner in enumerate(value):
                yield from _entries(inner, joined(path, [place]))
        case None:
            return
        case _:
            yield Entry(path, value)
