"""The records of a fake Salesforce org: leads, contacts and tasks, and what the org refuses to write."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from pql_stream.testing.destinations.journal import Effect

EXTERNAL_ID = "PQL_User_Id__c"
DELIVERY_ID = "PQL_Delivery_Id__c"

Record = dict[str, Any]  # JSON values

_SCORES: dict[str, str | int] = {
    "PQL_Score__c": "number",
    "Feature_Adoption__c": "number",
    "Workflow_Count__c": "number",
    "Compliance_Level__c": 40,
    "Time_to_First_Value__c": "number",
    "Community_Engagement__c": "number",
    "Team_Size__c": "number",
    "Company_Revenue__c": "number",
    "Industry_Vertical__c": 80,
    "Sales_Qualified__c": "boolean",
    "Handoff_Date__c": "date",
    "Handoff_Type__c": 40,
    EXTERNAL_ID: 255,
    DELIVERY_ID: 64,
}
_PERSON: dict[str, str | int] = {"Email": 80, "FirstName": 40, "LastName": 80, "Title": 128, "Phone": 40, "OwnerId": 18}
FIELDS: dict[str, dict[str, str | int]] = {
    "Lead": {**_PERSON, **_SCORES, "Company": 255, "LeadSource": 40},
    "Contact": {**_PERSON, **_SCORES},
    "Task": {
        "Subject": 255,
        "Status": 40,
        "Priority": 40,
        "ActivityDate": "date",
        "OwnerId": 18,
        "WhoId": 18,
        "Description": 32_000,
        DELIVERY_ID: 64,
    },
}
"""Object -> field -> type; a number is the length of a text."""
_READ_ONLY: dict[str, frozenset[str]] = {"Lead": frozenset({"Id", "IsConverted", "ConvertedContactId"})}
_REQUIRED = {"Lead": ("LastName", "Company"), "Contact": ("LastName",), "Task": ()}
_PREFIX = {"Lead": "00Q", "Contact": "003", "Task": "00T"}


class OrgRefusal(Exception):
    """One record is not written. *code* and *fields* as Salesforce names them."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


class OrgMalformed(OrgRefusal):
    """The whole request cannot be read: no record of it is looked at."""


class Org:
    """
    Records by object and id.

    *broken*: external id of a lead -> what its writes are refused with. *effects* are those since they were last
    taken away. *refuses_duplicates*: a duplicate rule over the e-mail of leads.
    """

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Record]] = {name: {} for name in FIELDS}
        self.broken: dict[str, OrgRefusal] = {}
        self.effects: list[Effect] = []
        self.refuses_duplicates = False
        self._count = 0

    def snapshot(self) -> object:
        """What `restore` goes back to."""
        return copy.deepcopy((self.records, self.effects))

    def restore(self, snapshot: Any) -> None:  # noqa: ANN401 - what snapshot gave
        """Take back all writes since *snapshot*."""
        self.records, self.effects = snapshot

    def leads(self, external_id: str) -> list[Record]:
        """All leads with this id of ours."""
        return [lead for lead in self.records["Lead"].values() if lead.get(EXTERNAL_ID) == external_id]

    def add(self, name: str, fields: Mapping[str, Any]) -> str:
        """A record that is there from before: nothing is checked. Returns its id."""
        self._count += 1
        id_ = f"{_PREFIX[name]}{self._count:012d}AAA"
        self.records[name][id_] = {"Id": id_, **fields}
        if name == "Lead":
            self.records[name][id_].setdefault("IsConverted", False)
        return id_

    def convert(self, external_id: str) -> str:
        """Somebody made a contact of the lead. Returns the contact's id."""
        [lead] = self.leads(external_id)
        person = {name: value for name, value in lead.items() if name in _PERSON}
        lead["ConvertedContactId"] = self.add("Contact", person)
        lead["IsConverted"] = True
        return str(lead["ConvertedContactId"])

    def insert(self, name: str, fields: Record, *, allow_duplicates: bool = False) -> str:
        """
        A new record; returns its id.

        Raises:
            OrgRefusal: it is not written.
        """
        self._check_values(name, fields)
        missing = tuple(field for field in _REQUIRED[name] if not fields.get(field))
        if missing:
            raise OrgRefusal("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
        if name == "Lead" and self.refuses_duplicates and not allow_duplicates:
            self._check_duplicate(fields)
        self._check_who(name, fields)
        id_ = self.add(name, fields)
        self._note(name, self.records[name][id_], fields, was_there=False)
        return id_

    def update(self, name: str, id_: str, fields: Record) -> None:
        """
        Change a record.

        Raises:
            OrgRefusal: it is not written.
        """
        record = self.records[name].get(id_)
        if record is None:
            raise OrgRefusal("NOT_FOUND", "The requested resource does not exist")
        if record.get("IsConverted"):
            raise OrgRefusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        self._check_values(name, fields)
        was_there = all(record.get(field) == value for field, value in fields.items())
        record.update(fields)
        self._note(name, record, fields, was_there=was_there)

    def upsert_lead(self, external_id: str, fields: Record, *, allow_duplicates: bool = False) -> tuple[str, bool]:
        """
        Insert or update by `PQL_User_Id__c`; returns its id, and whether it is new.

        Raises:
            OrgRefusal: it is not written.
        """
        if external_id in self.broken:
            raise self.broken[external_id]
        found = self.leads(external_id)
        if len(found) > 1:
            raise OrgRefusal("DUPLICATE_EXTERNAL_ID", f"{EXTERNAL_ID}: more than one record found", (EXTERNAL_ID,))
        if found:
            self.update("Lead", found[0]["Id"], fields)
            return str(found[0]["Id"]), False
        return self.insert("Lead", {EXTERNAL_ID: external_id, **fields}, allow_duplicates=allow_duplicates), True

    def check_fields(self, name: str, fields: Mapping[str, Any]) -> None:
        """
        Do the fields exist, with values of their types?

        Raises:
            OrgMalformed: one does not.
        """
        for field, value in fields.items():
            kind = FIELDS[name].get(field)
            if kind is None or field in _READ_ONLY.get(name, ()):
                raise OrgMalformed("INVALID_FIELD", f"No such column '{field}' on sobject of type {name}")
            if value is not None and not _fits(kind, value):
                raise OrgMalformed("JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind} from {value!r}")

    def _check_values(self, name: str, fields: Record) -> None:
        for field, value in fields.items():
            length = FIELDS[name][field]
            if isinstance(length, int) and value is not None and len(value) > length:
                raise OrgRefusal("STRING_TOO_LONG", f"{field}: data value too large (max length={length})", (field,))
        if "@" not in (fields.get("Email") or "@"):
            raise OrgRefusal("INVALID_EMAIL_ADDRESS", f"Email: invalid email address: {fields['Email']}", ("Email",))

    def _check_duplicate(self, fields: Record) -> None:
        email = fields.get("Email")
        if email and any(lead.get("Email") == email for lead in self.records["Lead"].values()):
            raise OrgRefusal("DUPLICATES_DETECTED", "Use one of these records?")

    def _check_who(self, name: str, fields: Record) -> None:
        who = fields.get("WhoId")
        if name != "Task" or who is None:
            return
        if who not in self.records["Lead"] and who not in self.records["Contact"]:
            raise OrgRefusal("MALFORMED_ID", f"Name ID: id value of incorrect type: {who}", ("WhoId",))
        if self.records["Lead"].get(who, {}).get("IsConverted"):
            raise OrgRefusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ("WhoId",))

    def _note(self, name: str, record: Record, fields: Record, *, was_there: bool) -> None:
        kind = "task" if name == "Task" else "contact"
        lead_id = str(record.get(EXTERNAL_ID) or self._external_id_of(record.get("WhoId") or record["Id"]))
        delivery_id = str(fields.get(DELIVERY_ID) or "")
        self.effects.append(Effect("salesforce", kind, delivery_id, lead_id, {**fields, "Id": record["Id"]}, was_there))

    def _external_id_of(self, id_: str) -> str:
        for lead in self.records["Lead"].values():
            if id_ in {lead["Id"], lead.get("ConvertedContactId")}:
                return str(lead.get(EXTERNAL_ID, ""))
        return ""


def _fits(kind: str | int, value: object) -> bool:
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "date":
        return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None
    return isinstance(value, str)
