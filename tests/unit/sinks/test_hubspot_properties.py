"""The set-up of HubSpot's properties."""

import pytest
from hubspot_world import changed, hubspot_world, qualified

from pql_stream.delivery.outcomes import Delivered, Later, Refused
from pql_stream.sinks.hubspot_properties import SetUp
from pql_stream.sinks.hubspot_tasks import TaskSettings
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.hubspot_records import Property

OURS = (
    "contacts.pql_user_id",
    "contacts.lead_score",
    "contacts.score_category",
    "contacts.last_score_update",
    "contacts.last_activity",
    "contacts.total_workflows",
    "contacts.features_used",
    "contacts.compliance_level",
    "contacts.time_to_first_workflow",
    "tasks.pql_delivery_id",
)


@pytest.fixture
async def world():
    async with hubspot_world(is_set_up=False) as world:
        yield world


async def test_a_new_account(world):
    """
    A new account gets all of it, in a group of its own, and then takes what we send.
    """
    sink = world.sink()

    done = await sink.set_up_properties()

    assert SetUp(OURS, (), {}) == done
    contacts = world.fake.account.contacts
    assert contacts.properties["pql_user_id"].unique
    assert ("unqualified", "bronze", "silver", "gold", "platinum") == contacts.properties["score_category"].options
    assert {"pql_stream"} == {contacts.properties[name.partition(".")[2]].group for name in OURS[:-1]}
    assert Delivered() == await sink.check()
    outcomes = await sink.deliver([changed(1), qualified(2)])
    assert [Delivered] * 2 == [type(outcome) for outcome in outcomes]


async def test_a_second_run_makes_nothing(world):
    """
    What is there is found, and nothing is written.
    """
    sink = world.sink()
    await sink.set_up_properties()
    world.fake.calls.clear()

    done = await sink.set_up_properties()

    assert SetUp((), OURS, {}) == done
    assert {"GET"} == {call.method for call in world.fake.calls}


async def test_what_is_different_stays(world):
    """
    A property that is there otherwise is reported with what differs, and never changed; the rest is made.
    """
    there = {
        "lead_score": Property("lead_score", "string", "text"),
        "pql_user_id": Property("pql_user_id"),
        "score_category": Property("score_category", "enumeration", "select", options=("gold", "silver", "lead")),
        "compliance_level": Property(
            "compliance_level", "enumeration", "radio", label="Own", options=("none", "basic", "advanced", "iso")
        ),
    }
    world.fake.account.contacts.properties.update(there)

    done = await world.sink().set_up_properties()

    assert {
        "contacts.pql_user_id": "its values need not be unique",
        "contacts.lead_score": "its type is string, not number",
        "contacts.score_category": "it has no option unqualified, bronze, platinum",
    } == done.different
    assert ("contacts.compliance_level",) == done.found
    assert set(OURS) - {f"contacts.{name}" for name in there} == set(done.made)
    assert there == {name: world.fake.account.contacts.properties[name] for name in there}


async def test_the_group_is_made_once(world):
    """
    A group that is there is used.
    """
    world.fake.account.contacts.groups["pql_stream"] = "Ours already"

    await world.sink().set_up_properties()

    assert "Ours already" == world.fake.account.contacts.groups["pql_stream"]
    assert "pql_stream" == world.fake.account.contacts.properties["lead_score"].group


async def test_other_names(world):
    """
    The unique property and the tiers are settings, and tasks may do without.
    """
    sink = world.sink(id_property="app_user", tiers=("cold", "hot"), tasks=TaskSettings(id_property=""))

    done = await sink.set_up_properties()

    assert "contacts.app_user" in done.made
    assert ("cold", "hot") == world.fake.account.contacts.properties["score_category"].options
    assert [] == [name for name in done.made if name.startswith("tasks.")]
    outcomes = await sink.deliver([changed(1, tier="hot")])
    assert [Delivered] == [type(outcome) for outcome in outcomes]
    assert "lead-1" == next(iter(world.fake.account.contacts.records.values())).properties["app_user"]


@pytest.mark.parametrize("after", range(4), ids=["list", "groups", "new group", "new properties"])
async def test_a_set_up_that_fails(after, world):
    """
    Whichever call fails, the answer says why; a second run finishes the work.
    """
    sink = world.sink()
    world.fake.faults.then(*[None] * after, Fault("status", status=503))

    failed = await sink.set_up_properties()

    assert Later("unavailable", "sink", detail="status 503") == failed
    again = await sink.set_up_properties()
    assert set(OURS) == {*again.made, *again.found}


@pytest.mark.parametrize("after", [0, 2, 3])
async def test_a_set_up_that_is_refused(after, world):
    """
    A refusal is given as one.
    """
    world.fake.faults.then(*[None] * after, Fault("status", status=400, body=b'{"category": "VALIDATION_ERROR"}'))

    assert Refused("invalid", "VALIDATION_ERROR") == await world.sink().set_up_properties()


async def test_properties_that_are_refused_in_part(world):
    """
    A 207 with errors is no success.
    """
    body = b'{"results": [], "errors": [{"category": "VALIDATION_ERROR", "errors": [{"code": "LIMIT"}]}]}'
    world.fake.faults.then(None, None, None, Fault("status", status=207, body=body))

    assert Refused("invalid", "VALIDATION_ERROR LIMIT") == await world.sink().set_up_properties()
