"""The properties that HubSpot must have before we can write them: what is missing, and making that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pql_stream.delivery.outcomes import Later, Outcome, Refused
from pql_stream.sinks.hubspot_api import HubSpotApi, Reply, objects_of, refused_by

GROUP = "pql_stream"
GROUP_LABEL = "Product-qualified lead"

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Definition:
    """A property as we need it. *options*: the values of an enumeration, all of which it must have."""

    name: str
    label: str
    type: str
    field_type: str
    is_unique: bool = False
    options: tuple[str, ...] = ()
    description: str = ""

    def json(self) -> Json:
        """As HubSpot takes a definition."""
        options = [
            {"label": value.capitalize(), "value": value, "displayOrder": place, "hidden": False}
            for place, value in enumerate(self.options)
        ]
        definition: Json = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": GROUP,
            "description": self.description,
        }
        return (
            definition
            | ({"hasUniqueValue": True} if self.is_unique else {})
            | ({"options": options} if options else {})
        )

    def differences(self, there: Mapping[str, object]) -> Iterator[str]:
        """How a property that is *there* differs, in what matters to us."""
        if there.get("type") != self.type:
            yield f"its type is {there.get('type')}, not {self.type}"
        if self.is_unique and there.get("hasUniqueValue") is not True:
            yield "its values need not be unique"
        has = {str(option.get("value")) for option in objects_of(there.get("options"))}
        if without := [value for value in self.options if value not in has]:
            yield f"it has no option {', '.join(without)}"


@dataclass(frozen=True, slots=True)
class SetUp:
    """
    What a set-up made, found as we need it, and found different: names such as contacts.lead_score, of the different
    ones with what differs.
    """

    made: tuple[str, ...]
    found: tuple[str, ...]
    different: Mapping[str, str]


def contact_definitions(id_property: str, tiers: Sequence[str]) -> tuple[Definition, ...]:
    """The contact properties of the shipped mapping that HubSpot does not have by itself."""
    counts = "Counts stop at the highest band of the scoring model: 50 may be more."
    return (
        Definition(id_property, "Product user id", "string", "text", is_unique=True),
        Definition("lead_score", "Product lead score", "number", "number", description="0 to 100"),
        Definition("score_category", "Product lead tier", "enumeration", "select", options=tuple(tiers)),
        Definition("last_score_update", "Last change of the score", "datetime", "date"),
        Definition("last_activity", "Last activity that moved the score", "datetime", "date"),
        Definition("total_workflows", "Successful workflows", "number", "number", description=counts),
        Definition("features_used", "Features used", "number", "number", description=counts),
        Definition(
            "compliance_level", "Compliance level", "enumeration", "select", options=("none", "basic", "advanced")
        ),
        Definition("time_to_first_workflow", "Seconds from trial to first workflow", "number", "number"),
    )


def task_definitions(id_property: str) -> tuple[Definition, ...]:
    """The task properties that we need; none where tasks carry no id."""
    return (Definition(id_property, "Delivery id", "string", "text"),) if id_property else ()


async def missing(api: HubSpotApi, object_type: str, names: Sequence[str]) -> list[str] | Later | Refused:
    """Those of *names* that are no properties of *object_type*."""
    there = await _there(api, object_type)
    return [name for name in names if name not in there] if isinstance(there, dict) else there


async def set_up(api: HubSpotApi, wanted: Mapping[str, Sequence[Definition]]) -> SetUp | Outcome:
    """
    Make what is missing of *wanted*, object type -> definitions, and the group that it goes into.

    What is there is never changed: somebody may rely on it. A second run makes nothing.
    """
    made: list[str] = []
    found: list[str] = []
    different: dict[str, str] = {}
    for object_type, definitions in wanted.items():
        there = await _there(api, object_type)
        if not isinstance(there, dict):
            return there
        for one in definitions:
            if one.name in there:
                differences = "; ".join(one.differences(there[one.name]))
                if differences:
                    different[f"{object_type}.{one.name}"] = differences
                else:
                    found.append(f"{object_type}.{one.name}")
        absent = [one for one in definitions if one.name not in there]
        failure = await _make(api, object_type, absent) if absent else None
        if failure is not None:
            return failure
        made += [f"{object_type}.{one.name}" for one in absent]
    return SetUp(tuple(made), tuple(found), different)


async def _there(api: HubSpotApi, object_type: str) -> dict[str, Mapping[str, object]] | Later | Refused:
    """The properties of *object_type* by name."""
    got = await api.ask("GET", api.properties_path(object_type))
    if not isinstance(got, Reply):
        return got
    if not got.is_taken:
        return got.refused()
    return {str(one.get("name")): one for one in objects_of(got.body.get("results"))}


async def _make(api: HubSpotApi, object_type: str, definitions: Sequence[Definition]) -> Outcome | None:
    """Make properties, and their group before them; None if all went well."""
    groups = await api.ask("GET", api.properties_path(object_type, "/groups"))
    if not isinstance(groups, Reply):
        return groups
    steps: list[tuple[str, Json]] = [("/batch/create", {"inputs": [one.json() for one in definitions]})]
    if GROUP not in {one.get("name") for one in objects_of(groups.body.get("results"))}:
        steps.insert(0, ("/groups", {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1}))
    for step, body in steps:
        got = await api.call("POST", api.properties_path(object_type, step), body)
        if not isinstance(got, Reply):
            return got
        if not got.is_taken:
            return got.refused()
        for error in objects_of(got.body.get("errors")):
            return refused_by(error, got.status)
    return None
