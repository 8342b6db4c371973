"""The settings file as TOML: where it is, its sections and lines, and the names of its sinks. Knows no destination."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.lines import Lines
from pql_stream.ops.delivery.names import check_sink_name

if TYPE_CHECKING:
    from pql_stream.ops.settings import Settings

DEFAULT_FILE = Path("pql.toml")


def config_file(settings: Settings) -> Path | None:
    """Where the settings file is; None if none is given and there is none by default."""
    if settings.config_file is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    return settings.config_file


def load_sink_names(settings: Settings) -> tuple[str, ...]:
    """
    The names of the sinks alone, sorted: who makes topics need not have their secrets.

    Raises:
        InvalidSettings: the file cannot be read, or a name is none.
    """
    path = config_file(settings)
    if path is None:
        return ()
    sinks, problems = section_of(read_tables(path), "sinks", dict)
    names = sorted(sinks or {})
    problems += name_problems(names)
    if problems:
        raise unusable_file(path, problems)
    return tuple(names)


def read_tables(path: Path) -> dict[str, Any]:
    """
    What stands in the file.

    Raises:
        InvalidSettings: it cannot be read, or is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:  # no permission; not UTF-8
        raise InvalidSettings(
            f"{path} cannot be read",
            why=getattr(exc, "strerror", None) or "it is not UTF-8 text",
            what_to_do="set PQL_CONFIG to a file that this user may read",
        ) from exc
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # also a number of more digits than Python reads
        raise _unusable(path, [f"no TOML: {exc}"]) from exc


def lines_of(path: Path) -> Lines:
    """The lines of what stands in the file; none if it cannot be read."""
    try:
        return Lines(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Lines("")


def section_of(tables: Mapping[str, Any], name: str, kind: type[Any]) -> tuple[Any, list[str]]:
    """The section *name*, None if it is not there or not of its *kind*, and what is wrong with it."""
    section = tables.get(name)
    if section is None or isinstance(section, kind):
        return section, []
    wanted = "[[routes]], a list of tables" if kind is list else f"[{name}...], a table"
    return None, [f"{name}: write {wanted}"]


def name_problems(names: Iterable[str]) -> list[str]:
    """What is wrong with *names* of sinks."""
    problems = []
    for name in names:
        try:
            check_sink_name(name)
        except ValueError as exc:
            problems.append(f"sinks.{name}: {exc}")
    return problems


def unusable_file(path: Path, problems: list[str]) -> InvalidSettings:
    """All *problems* of the file at once, one a line, each with its place."""
    return _unusable(path, list(map(lines_of(path).placed, problems)))


def _unusable(path: Path, problems: list[str]) -> InvalidSettings:
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    return InvalidSettings(
        f"{path} cannot be used: {count}",
        why="\n".join(problems),
        what_to_do="mend the file; `pql-stream config check` tells what is left",
    )
