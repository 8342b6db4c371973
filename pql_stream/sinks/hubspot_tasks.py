"""
Tasks in HubSpot, each linked to its lead's contact.

HubSpot does not recognise a repeated task. A task carries its delivery's id in a property of our own, and a repeat
looks for it first. The search lags some seconds behind the writes: a repeat that comes sooner may make a second task.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pql_stream.core.routes import RecordKind
from pql_stream.delivery.outcomes import Delivered, Refused
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.hubspot_api import HubSpotApi, Reply, objects_of
from pql_stream.sinks.hubspot_batches import Input, Outcomes, send
from pql_stream.sinks.templates import RenderFailed, Templates

TASK_TO_CONTACT = 204
"""HubSpot's own association type from a task to a contact."""

BODY_OPTION, SUBJECT_OPTION, OWNER_OPTION, DUE_OPTION = "template", "subject_template", "owner_id", "due_after_s"
"""The route's options: two templates, who is to do it, and by when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """
    What tasks are like where their route does not say.

    *owner_id*: HubSpot's id of who is to do it; empty for nobody. *due_after_s*: seconds from when it was decided, so
    that a repeat is due at the same time. *high_from*: the score from which the priority is HIGH, else MEDIUM.
    *body*, *subject*: templates. *id_property*: the task property with the delivery's id; empty where HubSpot does not
    let one be made: then repeats cannot be found.
    """

    owner_id: str = ""
    due_after_s: float = 86_400.0
    high_from: float = 95.0
    body: str = "task_body.txt"
    subject: str = "task_subject.txt"
    id_property: str = "pql_delivery_id"


class Tasks:
    """Finds and makes tasks."""

    def __init__(self, api: HubSpotApi, settings: TaskSettings, templates: Templates) -> None:
        self._api = api
        self._settings = settings
        self._templates = templates

    def check_options(self, options: Mapping[str, object], of: RecordKind) -> None:
        """
        Look at a route's options.

        Raises:
            InvalidSettings: one of them is of no use.
        """
        self._due_after_s(options)
        self._templates.get(str(options.get(BODY_OPTION, self._settings.body)), "text", of)
        self._templates.get(str(options.get(SUBJECT_OPTION, self._settings.subject)), "line", of)

    async def find(self, items: Sequence[Item]) -> Outcomes:
        """
        Those of *items* that HubSpot has already, as delivered, by delivery id.

        Where it does not say, its refusal to is the outcome: better no task yet than a second one.
        """
        name = self._settings.id_property
        if not items or not name:
            return {}
        wanted = [item.delivery.delivery_id for item in items]
        asked = {
            "filterGroups": [{"filters": [{"propertyName": name, "operator": "IN", "values": wanted}]}],
            "properties": [name],
            "limit": len(wanted),
        }
        got = await self._api.ask("POST", self._api.objects_path("tasks", "search"), asked)
        if not isinstance(got, Reply):
            return dict.fromkeys(wanted, got)
        if not got.is_taken:
            return dict.fromkeys(wanted, got.refused())
        found: Outcomes = {}
        for result in objects_of(got.body.get("results")):
            properties = result.get("properties")
            delivery_id = properties.get(name) if isinstance(properties, Mapping) else None
            if delivery_id in wanted:
                found[str(delivery_id)] = Delivered(str(result.get("id")), was_there=True)
        return found

    async def create(self, contact_ids: Sequence[tuple[Item, str]]) -> Outcomes:
        """One attempt to make the task of each item for the contact beside it: outcomes by delivery id."""
        inputs: list[Input] = []
        outcomes: Outcomes = {}
        for item, contact_id in contact_ids:
            try:
                inputs.append(self._input(item, contact_id))
            except (RenderFailed, InvalidSettings) as exc:
                outcomes[item.delivery.delivery_id] = Refused("invalid", str(exc))
        return outcomes | await send(self._api, self._api.objects_path("tasks", "batch/create"), inputs)

    def _input(self, item: Item, contact_id: str) -> Input:
        delivery_id = item.delivery.delivery_id
        kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TASK_TO_CONTACT}
        link = {"to": {"id": contact_id}, "types": [kind]}
        own = (self._settings.id_property, delivery_id)
        return Input(delivery_id, own, self._properties(item), {"associations": [link]})

    def _properties(self, item: Item) -> dict[str, str]:
        delivery, settings = item.delivery, self._settings
        options = delivery.options
        body = self._templates.get(str(options.get(BODY_OPTION, settings.body)), "text", delivery.of)
        subject = self._templates.get(str(options.get(SUBJECT_OPTION, settings.subject)), "line", delivery.of)
        score = delivery.record.get("score", delivery.record.get("score_after", 0))
        properties = {
            "hs_timestamp": str(delivery.decided_at_ms + int(self._due_after_s(options) * 1000)),
            "hs_task_subject": subject.render(item),
            "hs_task_body": _rich(body.render(item)),
            "hs_task_status": "NOT_STARTED",
            "hs_task_priority": "HIGH" if score >= settings.high_from else "MEDIUM",
            "hs_task_type": "TODO",
        }
        if owner_id := str(options.get(OWNER_OPTION, settings.owner_id)):
            properties["hubspot_owner_id"] = owner_id
        if settings.id_property:
            properties[settings.id_property] = delivery.delivery_id
        return properties

    def _due_after_s(self, options: Mapping[str, object]) -> float:
        written = options.get(DUE_OPTION, self._settings.due_after_s)
        try:
            after_s = float(str(written))
        except ValueError:
            after_s = -1.0
        if not 0 <= after_s < 1e9:
            raise InvalidSettings(f'the option "{DUE_OPTION}" is no number of seconds')
        return after_s


def _rich(text: str) -> str:
    """*text* for HubSpot, which shows a task's body as HTML: lines stay lines, and no value becomes a tag."""
    return html.escape(text, quote=False).replace("\n", "<br>")
