"""What a fake HubSpot account holds: its properties, contacts and tasks, and which values it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an object type, as its definition travels."""

    name: str
    type: str = "string"
    field_type: str = "text"
    group: str = "contactinformation"
    label: str = ""
    unique: bool = False
    options: tuple[str, ...] = ()

    def json(self) -> Json:
        """The definition as HubSpot answers it."""
        return {
            "name": self.name,
            "label": self.label or self.name,
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": self.group,
            "hasUniqueValue": self.unique,
            "options": [{"label": option, "value": option, "hidden": False} for option in self.options],
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an input is not taken. *properties* are those it is about."""

    category: str
    code: str
    message: str
    properties: tuple[str, ...] = ()

    def json(self, trace_ids: Sequence[str] = ()) -> Json:
        """The error as HubSpot writes it, of a whole call or, with *trace_ids*, of some of its inputs."""
        inner: Json = {"message": self.message, "code": self.code, "context": {"propertyName": list(self.properties)}}
        context = {"objectWriteTraceId": list(trace_ids)} if trace_ids else {}
        return {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": context,
            "errors": [inner],
        }


@dataclass(slots=True)
class Record:
    """A contact or a task. *linked* are the records it is associated with: (id, association type)."""

    id: str
    properties: dict[str, str]
    linked: tuple[tuple[str, int], ...] = ()

    def values_of(self, name: str) -> list[str]:
        """The value of a property, and of an e-mail address the others that the contact has, in lower case."""
        others = self.properties.get("hs_additional_emails", "").split(";") if name == "email" else []
        return [value.casefold() for value in (self.properties.get(name, ""), *others)]


@dataclass(slots=True)
class Objects:
    """The records of one object type, their properties and property groups."""

    properties: dict[str, Property]
    groups: dict[str, str] = field(default_factory=lambda: {"contactinformation": "Contact information"})
    records: dict[str, Record] = field(default_factory=dict)

    def by_property(self, name: str, value: str) -> Record | None:
        """The record whose unique property *name* is *value*; HubSpot compares without case."""
        wanted = value.casefold()
        return next((record for record in self.records.values() if wanted in record.values_of(name)), None)

    def add(self, record_id: str, properties: dict[str, str]) -> Record:
        """Put a record there."""
        record = self.records[record_id] = Record(record_id, properties)
        return record

    def problem_with(self, values: Mapping[str, object], record_id: str | None) -> Problem | None:
        """What is wrong with writing *values* to the record *record_id* (None: a new one)."""
        for name, value in values.items():
            problem = self._problem_with_value(name, value) or self._taken(name, value, record_id)
            if problem is not None:
                return problem
        return None

    def _problem_with_value(self, name: str, value: object) -> Problem | None:
        known = self.properties.get(name)
        if known is None:
            message = f'Property "{name}" does not exist'
            return Problem("VALIDATION_ERROR", "PROPERTY_DOESNT_EXIST", message, (name,))
        if not isinstance(value, str):
            return Problem("VALIDATION_ERROR", "INVALID_TYPE", f"{name} is no string", (name,))
        code = _wrong_code(known, value) if value else None
        return None if code is None else Problem("VALIDATION_ERROR", code, f"{name} was not valid", (name,))

    def _taken(self, name: str, value: object, record_id: str | None) -> Problem | None:
        if not self.properties[name].unique or not isinstance(value, str) or not value:
            return None
        other = self.by_property(name, value)
        if other is None or other.id == record_id:
            return None
        return Problem("CONFLICT", "CONFLICT", f"Contact already exists. Existing ID: {other.id}", (name,))


def _wrong_code(known: Property, value: str) -> str | None:
    match known.type:
        case "number" if not _NUMBER.fullmatch(value):
            return "INVALID_LONG"
        case "enumeration" if value not in known.options:
            return "INVALID_OPTION"
        case "datetime" if not _is_time(value):
            return "INVALID_DATE"
        case "string" if known.name == "email" and not _EMAIL.fullmatch(value):
            return "INVALID_EMAIL"
        case _:
            return None


def _is_time(value: str) -> bool:
    if value.isdigit():
        return True
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _shipped(*properties: Property) -> dict[str, Property]:
    return {one.name: one for one in properties}


class Account:
    """A new account: what HubSpot ships, and nothing of ours. Record ids are digits."""

    def __init__(self, owners: frozenset[str]) -> None:
        self._ids = count(101)
        self.contacts = Objects(
            _shipped(
                Property("email", unique=True),
                Property("firstname"),
                Property("lastname"),
                Property("company"),
                Property("jobtitle"),
                Property("phone"),
                Property("hs_additional_emails"),
            )
        )
        self.tasks = Objects(
            _shipped(
                Property("hs_timestamp", "datetime", "date"),
                Property("hs_task_subject"),
                Property("hs_task_body", field_type="textarea"),
                Property("hs_task_status", "enumeration", "select", options=("NOT_STARTED", "COMPLETED")),
                Property("hs_task_priority", "enumeration", "select", options=("LOW", "MEDIUM", "HIGH")),
                Property("hs_task_type", "enumeration", "select", options=("TODO", "CALL", "EMAIL")),
                Property("hubspot_owner_id", "enumeration", "select", options=tuple(sorted(owners))),
            )
        )

    def objects(self, object_type: str) -> Objects | None:
        """The records of an object type; None if this fake has none."""
        return {"contacts": self.contacts, "tasks": self.tasks}.get(object_type)

    def new_id(self) -> str:
        """The id of the next record."""
        return str(next(self._ids))
