"""Reads the settings file `pql.toml` as a whole: every problem at once, a line each. Knows every destination."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import Route
from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.config import DeliveryConfig
from pql_stream.ops.delivery.files import name_problems, read_tables, section_of, unusable_file
from pql_stream.ops.delivery.form_email import EmailForm
from pql_stream.ops.delivery.form_hubspot import HubSpotForm
from pql_stream.ops.delivery.form_salesforce import SalesforceForm
from pql_stream.ops.delivery.form_slack import SlackForm
from pql_stream.ops.delivery.form_webhook import WebhookForm
from pql_stream.ops.delivery.forms import Form, SinkForm, Tools
from pql_stream.ops.delivery.problems import problem_of, problems_of, unknown, wrong_type
from pql_stream.ops.delivery.routes import Records, RouteReader
from pql_stream.ops.delivery.secrets import Reading
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.sinks.templates import Templates

SINK_FORMS: Mapping[str, type[SinkForm]] = {
    "hubspot": HubSpotForm,
    "salesforce": SalesforceForm,
    "slack": SlackForm,
    "email": EmailForm,
    "webhook": WebhookForm,
}
"""`type` -> what its table may say."""

_SECTIONS = frozenset({"settings", "sinks", "routes", "templates"})


def _crm_url(url: str) -> str:
    try:
        TemplateSettings(crm_url=url)
    except InvalidSettings as exc:
        raise ValueError(f"{exc.why}; {exc.what_to_do}") from exc
    return url


class TemplatesForm(Form):
    """`[templates]`: what all templates share; *directory* is found from where the settings file is."""

    directory: str | None = None
    crm_url: Annotated[str, AfterValidator(_crm_url)] = ""
    next_steps: dict[str, str] | None = None


def read_config(path: Path, pack: ModelPack, environ: Mapping[str, str]) -> DeliveryConfig:
    """
    What the file at *path* says, held against *pack*; secrets come from *environ*.

    Raises:
        InvalidSettings: `why` has every problem, one a line, and no secret.
    """
    reader = _Reader(path, pack, environ)
    config = reader.read(read_tables(path))
    if reader.problems:
        raise unusable_file(path, reader.problems)
    return config


class _Reader:
    """Reads the sections of one file, and collects what is wrong with them."""

    def __init__(self, path: Path, pack: ModelPack, environ: Mapping[str, str]) -> None:
        self._path = path
        self._pack = pack
        self._reading = Reading(environ, path.parent)
        self._records = Records.of(pack)
        self.problems: list[str] = []

    def read(self, tables: Mapping[str, Any]) -> DeliveryConfig:
        """What *tables* say; of use only where `problems` stays empty."""
        self.problems += [f"{name}: {unknown(name, _SECTIONS)}" for name in sorted(tables.keys() - _SECTIONS)]
        templates = self._templates(self._section(tables, "templates", dict) or {})
        tools = self._tools(templates)
        # Sinks are opened to find what is wrong with them, whatever is wrong with the templates.
        sinks = self._sinks(self._section(tables, "sinks", dict) or {}, tools or self._tools_with(TemplateSettings()))
        routes = self._routes(self._section(tables, "routes", list) or [], sinks, tools)
        led_to = {route.sink for route in routes}
        return DeliveryConfig(
            path=self._path,
            sinks={name: form for name, form in sinks.items() if form is not None},
            routes=routes,
            templates=templates,
            tools=tools,
            warnings=tuple(f"sinks.{name}: no route leads to it" for name in sinks if name not in led_to),
        )

    def _section(self, tables: Mapping[str, Any], name: str, kind: type[Any]) -> Any:  # noqa: ANN401 - a table, or a list
        section, problems = section_of(tables, name, kind)
        self.problems += problems
        return section

    def _templates(self, table: Mapping[str, Any]) -> TemplatesForm:
        try:
            return TemplatesForm.model_validate(table)
        except ValidationError as exc:
            self.problems += problems_of(exc, TemplatesForm, "templates")
            return TemplatesForm()

    def _tools(self, form: TemplatesForm) -> Tools | None:
        directory = None if form.directory is None else self._reading.directory / form.directory
        given = {} if form.next_steps is None else {"next_steps": form.next_steps}
        try:
            settings = TemplateSettings(directory=directory, crm_url=form.crm_url, **given)
        except InvalidSettings as exc:
            self.problems.append(problem_of(exc, "templates"))
            return None
        return self._tools_with(settings)

    def _tools_with(self, settings: TemplateSettings) -> Tools:
        return Tools(Templates(settings), tuple(tier.name for tier in self._pack.tiers), time.time)

    def _sinks(self, tables: Mapping[str, Any], tools: Tools) -> dict[str, SinkForm | None]:
        self.problems += name_problems(tables)
        return {name: self._sink(table, f"sinks.{name}", tools) for name, table in tables.items()}

    def _sink(self, table: object, path: str, tools: Tools) -> SinkForm | None:
        """The form of one sink, None if it cannot be read."""
        if not isinstance(table, Mapping):
            self.problems.append(f"{path}: {wrong_type(table, 'a table')}")
            return None
        kind = table.get("type")
        if not isinstance(kind, str) or kind not in SINK_FORMS:
            told = "is missing" if kind is None else "is none of ours"
            self.problems.append(f"{path}.type: {told}; write {', '.join(sorted(SINK_FORMS))}")
            return None
        form = SINK_FORMS[kind]
        try:
            sink = form.model_validate(table, context=self._reading)
        except ValidationError as exc:
            self.problems += problems_of(exc, form, path)
            return None
        before = len(self.problems)
        for name, mapping in sink.mappings().items():
            self.problems += self._records.mapping_problems(mapping, f"{path}.{name}")
        if len(self.problems) == before:
            try:
                sink.open(tools)
            except InvalidSettings as exc:
                self.problems.append(problem_of(exc, path))
        # A route to a sink that cannot be opened has its own problems, but not this one once more.
        return sink if len(self.problems) == before else None

    def _routes(
        self, tables: list[Any], sinks: Mapping[str, SinkForm | None], tools: Tools | None
    ) -> tuple[Route, ...]:
        routes, problems = RouteReader(sinks, self._records, tools).read_all(tables)
        self.problems += problems
        return routes
