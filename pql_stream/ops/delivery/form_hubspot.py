"""HubSpot in the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pql_stream.core.routes import Action, Route
from pql_stream.ops.delivery.forms import Form, Seconds, SinkForm, Tools
from pql_stream.ops.delivery.secrets import Secret
from pql_stream.sinks.hubspot import HubSpotSettings, HubSpotSink, open_hubspot
from pql_stream.sinks.hubspot_api import BASE_URL, ApiVersion
from pql_stream.sinks.hubspot_contacts import ID_PROPERTY
from pql_stream.sinks.hubspot_tasks import BODY_OPTION, DUE_OPTION, OWNER_OPTION, SUBJECT_OPTION, TaskSettings
from pql_stream.sinks.mapping import OPTION

_TASKS = TaskSettings()


class HubSpotTasksForm(Form):
    """`[sinks.x.tasks]`: what tasks are like where their route does not say."""

    owner_id: str = _TASKS.owner_id
    due_after_s: Seconds = _TASKS.due_after_s
    high_from: Annotated[float, Field(ge=0, le=100)] = _TASKS.high_from
    body: str = _TASKS.body
    subject: str = _TASKS.subject
    id_property: str = _TASKS.id_property


class HubSpotForm(SinkForm):
    """One account."""

    OPTIONS: ClassVar[Mapping[Action, frozenset[str]]] = {
        "upsert": frozenset({OPTION}),
        "task": frozenset({OPTION, BODY_OPTION, SUBJECT_OPTION, OWNER_OPTION, DUE_OPTION}),
    }

    type: Literal["hubspot"]
    service_key: Secret
    base_url: str = BASE_URL
    api_version: ApiVersion = "2026-09"
    id_property: str = ID_PROPERTY
    fields: dict[str, str] = Field(default_factory=dict)
    tasks: HubSpotTasksForm = HubSpotTasksForm()

    def open(self, tools: Tools) -> HubSpotSink:
        """As `SinkForm` says."""
        settings = HubSpotSettings(
            service_key=self.service_key.reveal(),
            base_url=self.base_url,
            version=self.api_version,
            id_property=self.id_property,
            fields=self.fields,
            tiers=tools.tiers,
            tasks=TaskSettings(**self.tasks.model_dump()),
        )
        return open_hubspot(settings, tools.templates, now_s=tools.now_s, total_timeout_s=self.timeout_s)

    def check_route(self, route: Route, tools: Tools) -> None:
        """As `SinkForm` says."""
        self.open(tools).check_route(route)

    def mappings(self) -> Mapping[str, Mapping[str, str]]:
        """As `SinkForm` says."""
        return {"fields": self.fields}
