"""On which line of the settings file each of its keys is written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pql_stream.ops.delivery.problems import joined

_LAST_STEP = re.compile(r"(?:\.[^.\[\]]*|\[[0-9]+\])$")


class Lines:
    """The lines of the keys of a TOML file: paths as problems name them, routes by their place and by their name."""

    def __init__(self, text: str) -> None:
        """
        *text* is TOML that can be read.

        The parser keeps no lines. So each statement is read by itself: a table's header, or a key with its value.
        """
        self._lines: dict[str, int] = {}
        self._names: dict[str, str] = {}
        lengths: dict[str, int] = {}
        table = ""
        for line, is_header, found in _statements(text):
            if is_header:
                table = _opened(found, lengths)
                self._lines.setdefault(table, line)
                continue
            for path, value in _paths(found, table):
                self._lines.setdefault(path, line)
                # Problems name a route; they count its place only where it has no name.
                if path == f"{table}.name" and table.startswith("routes[") and isinstance(value, str):
                    self._names[f"routes.{value}"] = table

    def of(self, path: str) -> int | None:
        """The line of what stands at *path*, or of the table that it would stand in; None if there is neither."""
        for name, place in self._names.items():
            if path == name or path.startswith((f"{name}.", f"{name}[")):
                path = place + path[len(name) :]
                break
        while path not in self._lines:
            shorter = _LAST_STEP.sub("", path)
            if shorter == path:
                return None
            path = shorter
        return self._lines[path]

    def placed(self, problem: str) -> str:
        """*problem*, which begins with its path, with its line before it: `line 3: sinks.crm: …`."""
        line = self.of(problem.partition(": ")[0])
        return problem if line is None else f"line {line}: {problem}"


def _statements(text: str) -> Iterator[tuple[int, bool, dict[str, Any]]]:
    """The first line of each statement, whether it is a header, and what it says by itself."""
    statement, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            first = number
        statement += f"{line}\n"
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a text, or a list, that goes on
        if found:
            yield first, statement.lstrip().startswith("["), found
        statement = ""


def _opened(found: Mapping[str, Any], lengths: dict[str, int]) -> str:
    """The path of the table that a header opens; *lengths* are those of the lists of tables until here."""
    path = ""
    inner: Any = found
    while inner:
        [(key, inner)] = inner.items()
        path = joined(path, [key])
        if isinstance(inner, list):
            lengths[path] = lengths.get(path, 0) + 1
            inner = {}
        if path in lengths:
            path = f"{path}[{lengths[path] - 1}]"
    return path


def _paths(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Everything in *value*, which stands at *path*, with its own path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = joined(path, [key])
            yield at, inner
            yield from _paths(inner, at)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            at = joined(path, [place])
            yield at, inner
            yield from _paths(inner, at)
