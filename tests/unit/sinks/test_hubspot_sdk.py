"""HubSpot's official client, pointed at the same fake, makes the same request for the same job."""

import asyncio

import hubspot
import pytest
from hubspot.crm import contacts, properties
from hubspot.crm.objects import tasks
from hubspot_world import changed, hubspot_world, qualified, repeated

from pql_stream.testing.destinations.hubspot import SERVICE_KEY


@pytest.fixture
async def world():
    async with hubspot_world() as world:
        yield world


def official(api, world):
    """One of the official client's interfaces, at the fake."""
    api.api_client.configuration.host = world.fake.url
    return api


async def by_official_client(world, call, *args):
    """The request that the official client makes of *call*, as the fake saw it."""
    before = len(world.fake.calls)
    await asyncio.to_thread(call, *args)
    (made,) = world.fake.calls[before:]
    return made


@pytest.fixture
def client():
    return hubspot.HubSpot(access_token=SERVICE_KEY)


async def test_upsert_of_contacts(world, client):
    """
    A batch of two contacts by our own property: path, body and authorization are the official ones.
    """
    sink = world.sink(version="v3")
    await sink.deliver([changed(1), changed(2, score=60.25)])
    (ours,) = world.fake.calls
    inputs = [
        contacts.SimplePublicObjectBatchInputUpsert(
            id=f"lead-{number}",
            id_property="pql_user_id",
            object_write_trace_id=f"{number:032x}",
            properties={
                "email": f"ada{number}@customer.example",
                "firstname": "Ada",
                "lastname": "Byron",
                "lead_score": score,
                "score_category": "silver",
                "last_score_update": "2027-01-15T07:59:58.000Z",
                "last_activity": "2027-01-15T07:59:58.000Z",
                "total_workflows": "50",
                "features_used": "7",
                "compliance_level": "advanced",
                "pql_user_id": f"lead-{number}",
            },
        )
        for number, score in [(1, "78"), (2, "60.25")]
    ]

    theirs = await by_official_client(
        world,
        official(client.crm.contacts.batch_api, world).upsert,
        contacts.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs),
    )

    assert theirs == ours


async def test_look_at_contacts_with_an_address(world, client):
    """
    Reading who has an e-mail address, and giving that contact our id.
    """
    await _existing_contact(world, "ada1@customer.example")
    sink = world.sink(version="v3")
    await sink.deliver([changed(1)])
    _, read, update = world.fake.calls

    theirs_read = await by_official_client(
        world,
        official(client.crm.contacts.batch_api, world).read,
        contacts.BatchReadInputSimplePublicObjectId(
            id_property="email",
            inputs=[contacts.SimplePublicObjectId(id="ada1@customer.example")],
            properties=["email", "hs_additional_emails", "pql_user_id"],
            properties_with_history=[],
        ),
    )
    theirs_update = await by_official_client(
        world,
        official(client.crm.contacts.batch_api, world).update,
        contacts.BatchInputSimplePublicObjectBatchInput(
            inputs=[
                contacts.SimplePublicObjectBatchInput(
                    id=update.body["inputs"][0]["id"],
                    object_write_trace_id=f"{1:032x}",
                    properties=update.body["inputs"][0]["properties"],
                )
            ]
        ),
    )

    assert [theirs_read, theirs_update] == [read, update]


async def test_task(world, client):
    """
    A task with its owner, its due time and its link to the contact.
    """
    sink = world.sink(version="v3")
    await sink.deliver([qualified(1, options={"owner_id": "71", "due_after_s": "3600"})])
    _, ours = world.fake.calls
    (made,) = world.tasks()
    one = tasks.SimplePublicObjectBatchInputForCreate(
        object_write_trace_id=f"{1:032x}",
        properties=made.properties,
        associations=[
            tasks.PublicAssociationsForObject(
                to=tasks.PublicObjectId(id=made.linked[0][0]),
                types=[tasks.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=204)],
            )
        ],
    )

    theirs = await by_official_client(
        world,
        official(client.crm.objects.tasks.batch_api, world).create,
        tasks.BatchInputSimplePublicObjectBatchInputForCreate(inputs=[one]),
    )

    assert theirs == ours


async def test_search_of_a_task(world, client):
    """
    The look for tasks that are there already.
    """
    sink = world.sink(version="v3")
    await sink.deliver([repeated(qualified(1))])
    ours = world.fake.calls[0]

    theirs = await by_official_client(
        world,
        official(client.crm.objects.tasks.search_api, world).do_search,
        tasks.PublicObjectSearchRequest(
            filter_groups=[
                tasks.FilterGroup(
                    filters=[tasks.Filter(property_name="pql_delivery_id", operator="IN", values=[f"{1:032x}"])]
                )
            ],
            properties=["pql_delivery_id"],
            limit=1,
        ),
    )

    assert theirs == ours


async def test_definitions(client):
    """
    The group and the properties of the set-up.
    """
    async with hubspot_world(is_set_up=False) as ours, hubspot_world(is_set_up=False) as other:
        await ours.sink(version="v3").set_up_properties()
        wanted = [call for call in ours.fake.calls if call.method == "POST" and "contacts" in call.path]
        group, batch = (call.body for call in wanted)
        theirs_group = await by_official_client(
            other,
            official(client.crm.properties.groups_api, other).create,
            "contacts",
            properties.PropertyGroupCreate(
                name=group["name"], label=group["label"], display_order=group["displayOrder"]
            ),
        )
        theirs_batch = await by_official_client(
            other,
            official(client.crm.properties.batch_api, other).create,
            "contacts",
            properties.BatchInputPropertyCreate(inputs=[_definition(one) for one in batch["inputs"]]),
        )

    assert [theirs_group, theirs_batch] == wanted


def _definition(one):
    options = [
        properties.OptionInput(
            label=option["label"],
            value=option["value"],
            display_order=option["displayOrder"],
            hidden=option["hidden"],
        )
        for option in one.get("options", [])
    ]
    return properties.PropertyCreate(
        name=one["name"],
        label=one["label"],
        type=one["type"],
        field_type=one["fieldType"],
        group_name=one["groupName"],
        description=one["description"],
        **({"has_unique_value": True} if "hasUniqueValue" in one else {}),
        **({"options": options} if options else {}),
    )


async def _existing_contact(world, email):
    """A contact that came without us."""
    record_id = world.fake.account.new_id()
    world.fake.account.contacts.add(record_id, {"email": email})
