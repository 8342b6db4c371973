"""Tasks of Salesforce: the lead and its task in one request that does both or neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from pql_stream.core.routes import RecordKind, Scalar
from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused, Unknown
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.salesforce_answers import errors_in
from pql_stream.sinks.salesforce_api import UNREADABLE, Api, Reply, soql_lists
from pql_stream.sinks.salesforce_leads import NO_CONTACT, LeadWriter, Result, asks_for_more, is_converted, sink_wide
from pql_stream.sinks.salesforce_records import (
    LeadRecord,
    Values,
    fields_of_contact,
    lead_record,
    task_fields,
)
from pql_stream.sinks.salesforce_settings import SalesforceSettings
from pql_stream.sinks.templates import RenderFailed, Template, Templates

TIME_S_MAX = 60.0
"""
After so long no further task of an attempt is begun. Each is a request of its own, and two hundred that get no answer
would take hours.
"""
_OUT_OF_TIME = Later("unavailable", "sink", detail="the tasks before took too long")
_SEVERAL = Refused("conflict", "several leads have this external id")

TEMPLATE_OPTION = "template"
"""The route's option that names the template of a task's text."""

HELD = Later("busy", "item", detail="behind an earlier delivery of its lead")


class TaskWriter:
    """Makes tasks. *now_s* is the Unix time."""

    def __init__(
        self,
        api: Api,
        leads: LeadWriter,
        settings: SalesforceSettings,
        *,
        templates: Templates,
        now_s: Callable[[], float],
    ) -> None:
        self._api = api
        self._leads = leads
        self._settings = settings
        self._templates = templates
        self._now_s = now_s

    def check_options(self, options: Mapping[str, object], of: RecordKind) -> None:
        """
        Look at a route's options.

        Raises:
            InvalidSettings: its template is of no use.
        """
        self._template(options, of)

    async def create(self, items: Sequence[Item]) -> list[Outcome]:
        """An outcome for each of *items*, made one after the other."""
        there = await self._already_there([item.delivery.delivery_id for item in items if item.is_repeat])
        stop = None if isinstance(there, dict) else sink_wide([there])
        until_s = self._now_s() + TIME_S_MAX
        held: set[str] = set()
        outcomes: list[Outcome] = []
        for item in items:
            outcome = _known(item, there)
            if outcome is None and item.delivery.lead_id in held:
                outcome = HELD
            outcome = outcome or stop or await self._create(item)
            outcomes.append(outcome)
            if isinstance(outcome, Later | Unknown):
                held.add(item.delivery.lead_id)
            stop = stop or sink_wide([outcome]) or (_OUT_OF_TIME if self._now_s() >= until_s else None)
        return outcomes

    async def _already_there(self, delivery_ids: Sequence[str]) -> dict[str, str] | Outcome:
        """Delivery id -> the task that was made of it."""
        name = self._settings.delivery_id_field
        tasks: dict[str, str] = {}
        for ids in soql_lists(delivery_ids):
            found = await self._api.query(f"SELECT Id, {name} FROM Task WHERE {name} IN {ids}")  # noqa: S608 - quoted
            if not isinstance(found, list):
                return found
            tasks |= {str(task.get(name)): str(task.get("Id")) for task in found}
        return tasks

    def _template(self, options: Mapping[str, object], of: RecordKind) -> Template:
        name = options.get(TEMPLATE_OPTION, self._settings.task_template)
        return self._templates.get(str(name), "text", of)

    async def _create(self, item: Item) -> Outcome:
        settings, delivery = self._settings, item.delivery
        try:
            text = self._template(delivery.options, delivery.of).render(item)
            record = lead_record(item, settings.lead_fields(delivery.of))
            contact = fields_of_contact(item, settings.contact_fields)
        except (RenderFailed, InvalidSettings) as exc:
            return Refused("invalid", str(exc))
        task = task_fields(item, text, owner_id=settings.owner_id, delivery_id_field=settings.delivery_id_field)
        result = await self._for_lead(record, task)
        if asks_for_more(result, record):
            result = await self._for_lead(record.with_placeholders(), task)
        if is_converted(result):
            result = await self._for_contact(record.lead_id, contact, task)
        return self._leads.settled(result)

    async def _for_lead(self, record: LeadRecord, task: Values) -> Result:
        settings = self._settings
        lead: dict[str, object] = {
            "method": "PATCH",
            "url": f"{self._api.root}/sobjects/Lead/{settings.external_id_field}/{quote(record.lead_id, safe='')}",
            "referenceId": "lead",
            # The key stands in the path; in the body too it is an error.
            "body": _plain({k: v for k, v in record.fields.items() if k != settings.external_id_field}),
        }
        if headers := settings.lead_headers():
            lead["httpHeaders"] = headers  # a part inherits none but those of authorisation and form
        return await self._together([lead, self._task(task, who="@{lead.id}")])

    async def _for_contact(self, lead_id: str, contact: Values, task: Values) -> Result:
        contacts = await self._leads.contacts_of([lead_id])
        if not isinstance(contacts, dict):
            return contacts
        id_ = contacts.get(lead_id)
        if id_ is None:
            return NO_CONTACT
        parts: list[Mapping[str, object]] = [self._task(task, who=id_)]
        if contact:
            url = f"{self._api.root}/sobjects/Contact/{quote(id_, safe='')}"
            parts.insert(0, {"method": "PATCH", "url": url, "referenceId": "contact", "body": _plain(contact)})
        return await self._together(parts)

    def _task(self, task: Values, *, who: str) -> dict[str, object]:
        url = f"{self._api.root}/sobjects/Task"
        return {"method": "POST", "url": url, "referenceId": "task", "body": {**_plain(task), "WhoId": who}}

    async def _together(self, parts: Sequence[Mapping[str, object]]) -> Result:
        reply = await self._api.call("POST", "/composite", body={"allOrNone": True, "compositeRequest": parts})
        return _result(reply.body, len(parts)) if isinstance(reply, Reply) else reply


def _known(item: Item, there: dict[str, str] | Outcome) -> Outcome | None:
    """What is known of a repeat without sending it; None for what has to be sent."""
    if not item.is_repeat:
        return None
    if not isinstance(there, dict):
        return there
    task_id = there.get(item.delivery.delivery_id)
    return None if task_id is None else Delivered(task_id, was_there=True)


def _plain(values: Values) -> dict[str, Scalar]:
    """*values* without what a composite request would take for a reference to another part."""
    return {k: v.replace("@{", "@ {") if isinstance(v, str) else v for k, v in values.items()}


def _result(said: object, count: int) -> Result:
    """What became of the task in the answer to a composite request of *count* parts."""
    parts = said.get("compositeResponse") if isinstance(said, dict) else None
    if not isinstance(parts, list) or len(parts) != count:
        return UNREADABLE
    statuses = [status for part in parts if isinstance(status := _status(part), int)]
    if len(statuses) != count:
        return UNREADABLE
    if all(200 <= status <= 299 for status in statuses):
        match parts[-1].get("body"):
            case {"success": True, "id": str(id_)}:
                return Delivered(id_)
            case _:
                return UNREADABLE
    if 300 in statuses:
        return _SEVERAL
    return tuple(error for part in parts for error in errors_in(part.get("body")))


def _status(part: object) -> object:
    return part.get("httpStatusCode") if isinstance(part, dict) else None
