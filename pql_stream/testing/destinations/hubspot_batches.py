"""The batch calls of a fake HubSpot on contacts and tasks, and the search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from aiohttp import web

from pql_stream.testing.destinations.hubspot_records import Account, Json, Objects, Problem, Record
from pql_stream.testing.destinations.journal import Effect, Journal

BATCH_MAX = 100
TASK_TO_CONTACT = 204

_STATUS = {"VALIDATION_ERROR": 400, "CONFLICT": 409, "OBJECT_NOT_FOUND": 404}
_CONTACT_NEEDS = ("email", "firstname", "lastname")

Plan = tuple[Json, Record | None, Problem | None]
"""An input, the record it is about if there is one, and what is wrong with it."""


class Batches:
    """
    Carries out batches on an account; what it accepts it notes in the journal.

    *partial*, *silent*: as `FakeHubSpot` says. *unsearchable*: ids of records that the search does not show, as it
    does with records of the last seconds. *traces_results* False: trace ids come back with errors only.
    """

    def __init__(self, account: Account, journal: Journal) -> None:
        self.partial = True
        self.silent: set[str] = set()
        self.unsearchable: set[str] = set()
        self.traces_results = True
        self._account = account
        self._journal = journal

    def answer(self, step: tuple[str, str], object_type: str, objects: Objects, asked: Json) -> web.Response | None:
        """The answer to a call below an object type's path; None if there is no such call."""
        match step, object_type:
            case ("POST", "/search"), _:
                return self._search(objects, asked)
            case ("POST", "/batch/read"), _:
                return self._read(objects, asked)
            case ("POST", "/batch/upsert"), "contacts":
                return self._batch(objects, asked, self._plan_upsert, self._write_contact)
            case ("POST", "/batch/update"), "contacts":
                return self._batch(objects, asked, self._plan_update, self._write_contact)
            case ("POST", "/batch/create"), "tasks":
                return self._batch(objects, asked, self._plan_task, self._write_task)
            case _:
                return None

    def _batch(
        self,
        objects: Objects,
        asked: Json,
        plan: Callable[[Objects, Json], Plan],
        write: Callable[[Objects, Json, Record | None], Json],
    ) -> web.Response:
        inputs = _inputs(asked)
        if inputs is None:
            # As connectors report: a batch that is none is answered kindly, and nothing happens.
            return web.json_response({"status": "COMPLETE", "results": []})
        whole = _whole_problem(objects, inputs)
        if whole is not None:
            return web.json_response(whole.json(), status=400)
        plans = [plan(objects, one) for one in inputs if one.get("objectWriteTraceId") not in self.silent]
        first = next((problem for _, _, problem in plans if problem is not None), None)
        all_traced = all("objectWriteTraceId" in one for one in inputs)
        if first is not None and not (self.partial and all_traced):
            return web.json_response(first.json(), status=_STATUS[first.category])
        results = [write(objects, one, record) for one, record, problem in plans if problem is None]
        return _multi_status(results, plans)

    def _plan_upsert(self, objects: Objects, one: Json) -> Plan:
        key = str(one["idProperty"])
        record = objects.by_property(key, str(one["id"]))
        values = {key: one["id"], **_properties(one)}
        problem = objects.problem_with(values, record.id if record else None)
        if problem is None and record is None and not any(values.get(name) for name in _CONTACT_NEEDS):
            problem = Problem("VALIDATION_ERROR", "MISSING_REQUIRED", "no e-mail and no name", _CONTACT_NEEDS)
        return {**one, "properties": values}, record, problem

    def _plan_update(self, objects: Objects, one: Json) -> Plan:
        record = objects.records.get(str(one["id"]))
        if record is None:
            return one, None, Problem("OBJECT_NOT_FOUND", "OBJECT_NOT_FOUND", "no such record")
        return one, record, objects.problem_with(_properties(one), record.id)

    def _plan_task(self, objects: Objects, one: Json) -> Plan:
        problem = objects.problem_with(_properties(one), None)
        if problem is None and not _properties(one).get("hs_timestamp"):
            problem = Problem("VALIDATION_ERROR", "MISSING_REQUIRED", "hs_timestamp is required", ("hs_timestamp",))
        for contact_id, kind in _links(one):
            if kind != TASK_TO_CONTACT:
                problem = Problem("VALIDATION_ERROR", "INVALID_ASSOCIATION", "no such association")
            elif contact_id not in self._account.contacts.records:
                problem = Problem("OBJECT_NOT_FOUND", "OBJECT_NOT_FOUND", "no such contact")
        return one, None, problem

    def _write_contact(self, objects: Objects, one: Json, record: Record | None) -> Json:
        values = cast("dict[str, str]", _properties(one))
        is_new = record is None
        if record is None:
            record = Record(self._account.new_id(), {})
            objects.records[record.id] = record
        same = not is_new and all(record.properties.get(name) == value for name, value in values.items())
        record.properties.update(values)
        self._note("contact", one, record, was_there=same)
        return self._result(one, record) | {"new": is_new}

    def _write_task(self, objects: Objects, one: Json, record: Record | None) -> Json:
        values = cast("dict[str, str]", _properties(one))
        record = Record(self._account.new_id(), dict(values), tuple(_links(one)))
        objects.records[record.id] = record
        self._note("task", one, record, was_there=False)
        return self._result(one, record)

    def _note(self, kind: str, one: Json, record: Record, *, was_there: bool) -> None:
        about = self._account.contacts.records[record.linked[0][0]] if record.linked else record
        self._journal.accept(
            Effect(
                destination="hubspot",
                kind=kind,
                delivery_id=str(one.get("objectWriteTraceId", "")),
                lead_id=about.properties.get("pql_user_id", ""),
                content=dict(record.properties),
                was_there=was_there,
            )
        )

    def _result(self, one: Json, record: Record) -> Json:
        result: Json = {"id": record.id, "properties": dict(record.properties), "archived": False}
        if self.traces_results and "objectWriteTraceId" in one:
            result["objectWriteTraceId"] = one["objectWriteTraceId"]
        return result

    def _read(self, objects: Objects, asked: Json) -> web.Response:
        key = str(asked["idProperty"])
        wanted: Any = asked["properties"]  # a JSON array of names
        found = [objects.by_property(key, str(one["id"])) for one in _inputs(asked) or ()]
        results = [
            {"id": one.id, "properties": {name: one.properties.get(name) for name in [*wanted, key]}}
            for one in found
            if one is not None
        ]
        return web.json_response({"status": "COMPLETE", "results": results}, status=200 if all(found) else 207)

    def _search(self, objects: Objects, asked: Json) -> web.Response:
        groups: Any = asked["filterGroups"]  # JSON arrays of filters: any group, all of its filters
        found = [
            record
            for record in objects.records.values()
            if record.id not in self.unsearchable
            and any(all(_holds(one, record) for one in group["filters"]) for group in groups)
        ]
        limit = cast("int", asked.get("limit", 10))
        results = [{"id": record.id, "properties": record.properties} for record in found[:limit]]
        return web.json_response({"total": len(found), "results": results})


def _multi_status(results: list[Json], plans: list[Plan]) -> web.Response:
    grouped: dict[Problem, list[str]] = {}
    for one, _, problem in plans:
        if problem is not None:
            grouped.setdefault(problem, []).append(str(one["objectWriteTraceId"]))
    if not grouped:
        return web.json_response({"status": "COMPLETE", "results": results})
    errors = [problem.json(trace_ids) for problem, trace_ids in grouped.items()]
    body = {"status": "COMPLETE", "results": results, "numErrors": len(errors), "errors": errors}
    return web.json_response(body, status=207)


def _whole_problem(objects: Objects, inputs: list[Json]) -> Problem | None:
    if len(inputs) > BATCH_MAX:
        return Problem("VALIDATION_ERROR", "TOO_MANY", f"at most {BATCH_MAX} inputs")
    keys = [key for one in inputs for key in _keys(objects, one)]
    if len(set(keys)) < len(keys):
        return Problem("VALIDATION_ERROR", "DUPLICATE", "Duplicate IDs found in batch input")
    for name in {str(one["idProperty"]) for one in inputs if "idProperty" in one}:
        if name not in objects.properties or not objects.properties[name].unique:
            message = f"Unable to perform update/upsert by non-unique property {name}"
            return Problem("VALIDATION_ERROR", "NON_UNIQUE", message, (name,))
    return None


def _keys(objects: Objects, one: Json) -> set[tuple[str, str]]:
    """What names a record in an input: two inputs for one record reject the whole batch."""
    values = {str(one.get("idProperty")): one.get("id"), **_properties(one)}
    unique = {name for name, known in objects.properties.items() if known.unique}
    return {(name, str(value).casefold()) for name, value in values.items() if name in unique and value}


def _inputs(asked: Json) -> list[Json] | None:
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or not all("properties" in one or "id" in one for one in inputs):
        return None
    return inputs


def _properties(one: Json) -> Json:
    return cast("Json", one["properties"])


def _links(one: Json) -> Iterable[tuple[str, int]]:
    associations: Any = one["associations"]  # a JSON array
    for association in associations:
        for kind in association["types"]:
            yield association["to"]["id"], kind["associationTypeId"]


def _holds(condition: Json, record: Record) -> bool:
    value = record.properties.get(str(condition["propertyName"]), "").casefold()
    if condition["operator"] == "EQ":
        return value == str(condition["value"]).casefold()
    return value in cast("list[str]", condition["values"])
