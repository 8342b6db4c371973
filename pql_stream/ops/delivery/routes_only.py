"""
The routes of the settings file without its sinks: what they would take can be asked where no secret is at hand.

Which options a sink knows, and whether its templates work, is not looked at here (`ops.delivery.config` does).
"""

from __future__ import annotations

from pathlib import Path

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import Route
from pql_stream.ops.delivery.files import name_problems, read_tables, section_of
from pql_stream.ops.delivery.routes import Records, RouteReader


def read_routes(path: Path, pack: ModelPack) -> tuple[tuple[Route, ...], list[str]]:
    """
    The routes in the settings file at *path*, held against *pack*, and what is wrong with them.

    Raises:
        InvalidSettings: the file cannot be read, or is no TOML.
    """
    tables = read_tables(path)
    sinks, problems = section_of(tables, "sinks", dict)
    routes, found = section_of(tables, "routes", list)
    problems += found + name_problems(sinks or {})
    read, found = RouteReader(dict.fromkeys(sinks or {}), Records.of(pack), None).read_all(routes or [])
    return read, problems + found
