"""
What Salesforce is sent of a delivery: the fields of a lead, of its contact, and of a task. The mappings are data.

JSON numbers and booleans stay what they are. A lead that Salesforce does not have yet needs a last name and a
company; where we know none, it is made with the words of `PLACEHOLDERS`. They are sent only after Salesforce has said
that the field is missing, so that they never replace what somebody typed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from pql_stream.core.routes import RecordKind, Scalar
from pql_stream.delivery.sink import Item
from pql_stream.sinks.mapping import fields_of_item, mapping_for, parse_mapping

_PERSON = {
    "Email": "profile.email",
    "FirstName": "profile.first_name",
    "LastName": "profile.last_name",
    "Company": "profile.company",
    "Title": "profile.title",
    "Phone": "profile.phone",
}

LEAD_FIELDS: Mapping[RecordKind, Mapping[str, str]] = MappingProxyType(
    {
        "score-changed": {
            **_PERSON,
            "PQL_Score__c": "score_after",
            "Feature_Adoption__c": "input.feature_adoption",
            "Workflow_Count__c": "input.workflow_success",
            "Compliance_Level__c": "input.compliance",
            "Time_to_First_Value__c": "input.time_to_first_value",
            "Community_Engagement__c": "points.community",
            "Team_Size__c": "input.team_size",
            "Company_Revenue__c": "input.company_revenue",
            "Industry_Vertical__c": "input.industry.industry | input.industry",
        },
        "pql-qualified": {
            **_PERSON,
            "PQL_Score__c": "score",
            "Team_Size__c": "profile.team_size",
            "Company_Revenue__c": "profile.company_revenue_usd",
            "Industry_Vertical__c": "profile.industry",
            "Sales_Qualified__c": "sales_ready",
            "Handoff_Date__c": "occurred_on",
            "Handoff_Type__c": "handoff",
        },
    }
)
"""
Kind of record -> field of the lead -> path, for the shipped packs: counts are those that the rules look at, up to
their highest band; the time to first value is in seconds, the revenue in USD, the community in points.
"""

PLACEHOLDERS = parse_mapping({"LastName": '"[not provided]"', "Company": 'account_id | "[not provided]"'})
"""What a new lead has for the fields that Salesforce insists on."""

PRIORITIES: Mapping[str, str] = MappingProxyType({"platinum": "High", "bronze": "Low"})
"""Tier -> priority of the task; "Normal" for the others."""

DUE_DAYS: Mapping[str, int] = MappingProxyType({"immediate": 0, "standard": 1, "delayed": 3})
"""Hand-off class -> days until the task is due; 1 for none."""

CONTACT_OPTION = "contact_fields"
"""The route's option that holds its own mapping for contacts."""
OWNER_OPTION = "owner_id"
"""The route's option that names the owner of its tasks, by Salesforce's id."""

_CHARS_MAX = {"FirstName": 40, "LastName": 80, "Company": 255, "Title": 128}
_DESCRIPTION_CHARS_MAX = 32_000
_SUBJECT_CHARS_MAX = 255

Values = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class LeadRecord:
    """
    What is written of one lead. *placeholders*: what a new lead needs beside *fields*.

    The values are personal data: no repr.
    """

    lead_id: str
    fields: Values = field(repr=False)
    placeholders: Values = field(repr=False)

    def with_placeholders(self) -> LeadRecord:
        """As it is sent once Salesforce has asked for more."""
        return LeadRecord(self.lead_id, {**self.fields, **self.placeholders}, {})

    def then(self, later: LeadRecord) -> LeadRecord:
        """A single write of it and a *later* one of the same lead."""
        fields = {**self.fields, **later.fields}
        missing = {name: word for name, word in later.placeholders.items() if name not in fields}
        return LeadRecord(self.lead_id, fields, missing)


def lead_record(item: Item, fields: Mapping[str, str]) -> LeadRecord:
    """
    The lead of *item* by the mapping *fields* and the route's own.

    Raises:
        InvalidSettings: the route's mapping cannot be read.
    """
    known = fields_of_item(item)
    values = _cut(mapping_for(item, fields).values(known))
    placeholders = {name: word for name, word in PLACEHOLDERS.values(known).items() if not values.get(name)}
    return LeadRecord(item.delivery.lead_id, values, _cut(placeholders))


def fields_of_contact(item: Item, fields: Mapping[str, str]) -> Values:
    """
    What the contact gets that *item*'s lead was converted to, by the mapping *fields* and the route's own; empty
    where nothing is mapped.

    Raises:
        InvalidSettings: the route's mapping cannot be read.
    """
    return _cut(mapping_for(item, fields, option=CONTACT_OPTION).values(fields_of_item(item)))


def task_fields(item: Item, description: str, *, owner_id: str, delivery_id_field: str) -> Values:
    """A task about *item*, without whom it is about. *owner_id* is for routes that name none."""
    record = item.delivery.record
    tier = str(record.get("tier") or record.get("tier_after") or "")
    decided_on = datetime.fromtimestamp(item.delivery.decided_at_ms / 1000, tz=UTC)
    due_on = decided_on + timedelta(days=DUE_DAYS.get(str(record.get("handoff")), 1))
    owner = item.delivery.options.get(OWNER_OPTION) or owner_id
    task: Values = {
        "Subject": f"PQL - {tier.title()}"[:_SUBJECT_CHARS_MAX],
        "Status": "Not Started",
        "Priority": PRIORITIES.get(tier, "Normal"),
        "ActivityDate": due_on.date().isoformat(),
        "Description": description[:_DESCRIPTION_CHARS_MAX],
        delivery_id_field: item.delivery.delivery_id,
    }
    return {**task, "OwnerId": str(owner)} if owner else task


def _cut(values: Values) -> Values:
    """Salesforce refuses a whole lead for one text that is too long."""
    return {
        name: value[: _CHARS_MAX[name]] if isinstance(value, str) and name in _CHARS_MAX else value
        for name, value in values.items()
    }
