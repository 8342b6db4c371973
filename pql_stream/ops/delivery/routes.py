"""`[[routes]]` of the settings file, held against the sinks that they lead to and the records that they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from pql_stream.core.packs import ModelPack
from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Action, RecordKind, Route
from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.conditions import read_conditions
from pql_stream.ops.delivery.forms import Form, SinkForm, Tools
from pql_stream.ops.delivery.names import Name
from pql_stream.ops.delivery.problems import joined, problem_of, problems_of, unknown, wrong_type
from pql_stream.sinks.mapping import FieldMapping, parse_mapping
from pql_stream.wire.record_fields import RECORDS, KnownField, known_fields

_BESIDE_THE_RECORD = frozenset(
    {f"profile.{name}" for name in LeadProfile.__struct_fields__} | {"delivery_id", "occurred_on"}
)
"""What a mapping can name beside the fields of a record (`sinks.mapping`)."""

Options = dict[str, str | Mapping[str, str]]


class RouteForm(Form):
    """One route. *where* and *options* are read on by what its records have and its sink can do."""

    name: Name
    of: RecordKind
    sink: str
    action: Action
    where: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Records:
    """What records have under the live pack."""

    fields: Mapping[RecordKind, Mapping[str, KnownField]]

    @classmethod
    def of(cls, pack: ModelPack) -> Records:
        """Those of *pack*."""
        return cls({kind: known_fields(kind, pack) for kind in RECORDS})

    def mapping_problems(self, written: Mapping[str, str], path: str, of: RecordKind | None = None) -> Iterator[str]:
        """What of the mapping *written* at *path* names nothing that records have; *of*: those alone that it is for."""
        try:
            mapping = parse_mapping(written)
        except InvalidSettings as exc:
            yield problem_of(exc, path)
            return
        every = {name for fields in self.fields.values() for name in fields} | _BESIDE_THE_RECORD
        kinds = tuple(self.fields) if of is None else (of,)
        here = {name for kind in kinds for name in self.fields[kind]} | _BESIDE_THE_RECORD
        yield from _strange_paths(mapping, path, every, here)


def _strange_paths(mapping: FieldMapping, path: str, every: set[str], here: set[str]) -> Iterator[str]:
    for field, source in mapping.sources.items():
        at = joined(path, [field])
        strange = [one for one in source.paths if one not in every]
        for one in strange:
            yield f"{at}: {unknown(one, every)}"
        if source.word is None and not strange and not here.intersection(source.paths):
            yield f"{at}: {' | '.join(source.paths)}: this route's records have no such field"


@dataclass(frozen=True, slots=True)
class RouteReader:
    """
    Reads one route after the other.

    *sinks*: name -> form; None for one that has problems of its own.
    """

    sinks: Mapping[str, SinkForm | None]
    records: Records
    tools: Tools | None

    def read_all(self, tables: Iterable[object]) -> tuple[tuple[Route, ...], list[str]]:
        """The routes in *tables*, a section `routes`, and what is wrong with them."""
        routes: list[Route] = []
        problems: list[str] = []
        for place, table in enumerate(tables):
            route, found = self.read(table, f"routes[{place}]")
            problems += found
            if route is not None:
                routes.append(route)
        counts = Counter(route.name for route in routes)
        twice = {name: count for name, count in counts.items() if count > 1}
        problems += [
            f"routes.{name}: {count} routes have this name; give each its own" for name, count in twice.items()
        ]
        return tuple(routes), problems

    def read(self, table: object, path: str) -> tuple[Route | None, list[str]]:
        """The route in *table*, which stands at *path*, and what is wrong with it."""
        if not isinstance(table, Mapping):
            return None, [f"{path}: {wrong_type(table, 'a table')}"]
        try:
            form = RouteForm.model_validate(table)
        except ValidationError as exc:
            return None, problems_of(exc, RouteForm, path)
        path = f"routes.{form.name}"
        where, problems = read_conditions(form.where, self.records.fields[form.of], f"{path}.where")
        options, found = _options(form.options, f"{path}.options")
        problems += found
        route = Route(form.name, form.of, form.sink, form.action, where, options)
        if form.sink not in self.sinks:
            problems.append(f"{path}.sink: {unknown(form.sink, self.sinks)}; write a table [sinks.{form.sink}]")
        elif (sink := self.sinks[form.sink]) is not None:
            problems += self._misfits(route, sink, path)
        return route, problems

    def _misfits(self, route: Route, sink: SinkForm, path: str) -> list[str]:
        """What *route* asks of *sink* that it cannot do."""
        if route.action not in sink.OPTIONS:
            can = " or ".join(sorted(sink.OPTIONS))
            return [f"{path}.action: {sink.type} has no action {route.action}; write {can}"]
        known = sink.OPTIONS[route.action]
        problems = [f"{path}.options: {unknown(name, known)}" for name in sorted(route.options.keys() - known)]
        for name in sorted(route.options.keys() & known):
            value, at = route.options[name], f"{path}.options.{name}"
            if (name in sink.MAPPING_OPTIONS) != isinstance(value, Mapping):
                is_mapping = name in sink.MAPPING_OPTIONS
                problems.append(f"{at}: write {'a table of field to path' if is_mapping else 'a text'}")
            elif isinstance(value, Mapping):
                problems += self.records.mapping_problems(value, at, route.of)
        if problems or self.tools is None:
            return problems
        try:
            sink.check_route(route, self.tools)
        except InvalidSettings as exc:
            return [problem_of(exc, path)]
        return []


def _options(given: Mapping[str, Any], path: str) -> tuple[Options, list[str]]:
    """Options as they travel with deliveries: texts, and tables of texts."""
    options: Options = {}
    problems: list[str] = []
    for name, value in given.items():
        if isinstance(value, Mapping):
            options[name] = {key: inner for key, inner in value.items() if isinstance(inner, str)}
            wrong = [key for key, inner in value.items() if not isinstance(inner, str)]
            problems += [f"{path}.{name}.{key}: {wrong_type(value[key], 'a text')}" for key in wrong]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            options[name] = str(value)
        else:
            problems.append(f"{path}.{name}: {wrong_type(value, 'a text, a number or a table of texts')}")
    return options, problems
