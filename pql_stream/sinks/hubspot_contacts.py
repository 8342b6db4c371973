"""
Contacts in HubSpot, kept by a unique property of our own, so that a lead that changes its e-mail address stays one
contact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pql_stream.core.routes import Scalar
from pql_stream.delivery.outcomes import Refused
from pql_stream.delivery.sink import Item
from pql_stream.sinks.hubspot_api import HubSpotApi, Reply, objects_of
from pql_stream.sinks.hubspot_batches import Input, Outcomes, send
from pql_stream.sinks.mapping import contact_fields, fields_of_item, mapping_for

ID_PROPERTY = "pql_user_id"

SHIPPED_FIELDS: Mapping[str, str] = {
    "email": "profile.email",
    "firstname": "profile.first_name",
    "lastname": "profile.last_name",
    "jobtitle": "profile.title",
    "company": "profile.company",
    "phone": "profile.phone",
    "lead_score": "score_after | score",
    "score_category": "tier_after | tier",
    "last_score_update": "occurred_at",
    "last_activity": "occurred_at",
    "total_workflows": "input.workflow_success",
    "features_used": "input.feature_adoption",
    "compliance_level": "input.compliance",
    "time_to_first_workflow": "input.time_to_first_value",
}
"""
HubSpot's property <- our field. Counts stop at the highest band of their rule: 50 workflows are "50 or more".
`last_activity` is the last activity that moved the score.
"""


@dataclass(frozen=True, slots=True)
class Contact:
    """What is to be written of one lead; *trace_id* is the id of the last delivery that it is written for."""

    lead_id: str
    trace_id: str
    properties: Mapping[str, str]


def contacts_of(items: Sequence[Item], shipped: Mapping[str, str]) -> dict[str, Contact]:
    """
    One contact for each lead of *items*, by lead id: two inputs for one record would make HubSpot reject the batch.

    Of two values of a property that of the later item counts. An item that is no upsert adds who the lead is and
    nothing of its score: a task that was held up must not bring back an old one.

    Raises:
        InvalidSettings: a route's own mapping cannot be read.
    """
    contacts: dict[str, Contact] = {}
    for item in items:
        delivery = item.delivery
        fields = fields_of_item(item) if delivery.action == "upsert" else contact_fields(item)
        values = mapping_for(item, shipped).values(fields)
        written = {name: text_of(value) for name, value in values.items()}
        before = contacts.get(delivery.lead_id)
        known = before.properties if before else {}
        contacts[delivery.lead_id] = Contact(delivery.lead_id, delivery.delivery_id, {**known, **written})
    return contacts


def text_of(value: Scalar) -> str:
    """*value* as HubSpot wants every value, as a string."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


class Contacts:
    """Writes contacts. *id_property* is unique, and holds the lead's id."""

    def __init__(self, api: HubSpotApi, id_property: str) -> None:
        self._api = api
        self._id_property = id_property

    async def write(self, contacts: Sequence[Contact]) -> Outcomes:
        """One attempt to upsert *contacts*: outcomes by trace id, that of a contact with its record id."""
        path = self._api.objects_path("contacts", "batch/upsert")
        outcomes = await send(self._api, path, [self._upsert(one) for one in contacts])
        taken = [one for one in contacts if _is_email_taken(one, outcomes)]
        return outcomes | await self._adopt(taken) if taken else outcomes

    def _upsert(self, contact: Contact) -> Input:
        return self._input(contact, {"id": contact.lead_id, "idProperty": self._id_property})

    def _input(self, contact: Contact, address: Mapping[str, str]) -> Input:
        own = (self._id_property, contact.lead_id)
        return Input(contact.trace_id, own, {**contact.properties, self._id_property: contact.lead_id}, address)

    async def _adopt(self, contacts: Sequence[Contact]) -> Outcomes:
        """
        Make the contacts ours that have these e-mail addresses already, as most have who came by a form or by hand.

        One that is another lead's is left alone: two leads with one address would take it from each other for ever.
        """
        asked = {
            "idProperty": "email",
            "inputs": [{"id": one.properties["email"]} for one in contacts],
            "properties": ["email", "hs_additional_emails", self._id_property],
            "propertiesWithHistory": [],
        }
        got = await self._api.ask("POST", self._api.objects_path("contacts", "batch/read"), asked)
        if not isinstance(got, Reply):
            return {one.trace_id: got for one in contacts}
        ids = self._nobodys(got)
        firsts: dict[str, Contact] = {}  # of two leads with one address, the first has it
        for one in contacts:
            if (record_id := ids.get(one.properties["email"].casefold())) is not None:
                firsts.setdefault(record_id, one)
        inputs = [self._input(one, {"id": record_id}) for record_id, one in firsts.items()]
        return await send(self._api, self._api.objects_path("contacts", "batch/update"), inputs)

    def _nobodys(self, reply: Reply) -> dict[str, str]:
        """E-mail address -> record id, of the contacts in *reply* that belong to no lead."""
        found: dict[str, str] = {}
        for result in objects_of(reply.body.get("results")):
            properties = result.get("properties")
            if not isinstance(properties, Mapping) or properties.get(self._id_property):
                continue
            others = str(properties.get("hs_additional_emails") or "").split(";")
            for email in (str(properties.get("email") or ""), *others):
                found[email.strip().casefold()] = str(result.get("id"))
        return found


def _is_email_taken(contact: Contact, outcomes: Outcomes) -> bool:
    """Was *contact* refused because another record has something of it that is unique? That can be the address."""
    outcome = outcomes[contact.trace_id]
    return isinstance(outcome, Refused) and outcome.reason == "conflict" and "email" in contact.properties
