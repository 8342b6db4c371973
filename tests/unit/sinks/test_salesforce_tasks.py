"""Tasks in Salesforce: the lead and its task in one request, repeats, converted leads."""

from dataclasses import replace

import pytest
from hubspot_world import changed, qualified, repeated, with_action
from salesforce_world import COMPOSITE, QUERY, salesforce_world, with_lead_id

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.salesforce_org import OrgRefusal

ROOT = "/services/data/v66.0/sobjects"


@pytest.fixture
async def world():
    async with salesforce_world() as world:
        yield world


def known(number, **fields):
    """A qualification of a lead of whom all is known that Salesforce needs."""
    return qualified(number, **{"company": "Engines Ltd", **fields})


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]


async def test_a_lead_and_its_task_in_one_request(world):
    """
    Both or neither: the lead by its id in the path, the task for whatever id the lead has.
    """
    (outcome,) = await world.sink(owner_id="005000000000001AAA").deliver([known(1)])

    ((body,),) = [world.bodies(COMPOSITE)]
    lead, task = body["compositeRequest"]
    assert body["allOrNone"] is True
    assert ("PATCH", f"{ROOT}/Lead/PQL_User_Id__c/lead-1", "lead") == (lead["method"], lead["url"], lead["referenceId"])
    assert ("POST", f"{ROOT}/Task", "task") == (task["method"], task["url"], task["referenceId"])
    assert ("Byron", 82.5, True) == (
        lead["body"]["LastName"],
        lead["body"]["PQL_Score__c"],
        lead["body"]["Sales_Qualified__c"],
    )
    description = task["body"].pop("Description")
    assert "Ran 12 workflows, <more> than most & growing" in description
    assert {
        "Subject": "PQL - Gold",
        "Status": "Not Started",
        "Priority": "Normal",
        "ActivityDate": "2027-01-16",
        "OwnerId": "005000000000001AAA",
        "WhoId": "@{lead.id}",
        "PQL_Delivery_Id__c": f"{1:032x}",
    } == task["body"]
    assert [Delivered(made["Id"]) for made in world.tasks()] == [outcome]
    assert world.lead("lead-1")["Id"] == world.tasks()[0]["WhoId"]


@pytest.mark.parametrize(
    ("tier", "handoff", "expected"),
    [
        ("platinum", "immediate", ("PQL - Platinum", "High", "2027-01-15")),
        ("silver", "standard", ("PQL - Silver", "Normal", "2027-01-16")),
        ("bronze", "delayed", ("PQL - Bronze", "Low", "2027-01-18")),
        ("hot lead", None, ("PQL - Hot Lead", "Normal", "2027-01-16")),
    ],
)
async def test_subject_priority_and_date(world, tier, handoff, expected):
    """
    By tier and hand-off class; tiers of a pack of one's own are normal.
    """
    item = known(1, tier=tier)
    item.delivery.record["handoff"] = handoff

    await world.sink().deliver([item])

    (task,) = world.tasks()
    assert expected == (task["Subject"], task["Priority"], task["ActivityDate"])
    assert "OwnerId" not in task


async def test_a_task_of_a_changed_score(world):
    """
    Its tier is the one after the change.
    """
    await world.sink().deliver([with_action(changed(1, company="Engines"), "task")])

    assert "PQL - Silver" == world.tasks()[0]["Subject"]


async def test_the_route_names_owner_and_template(world):
    """
    Its options go before the settings.
    """
    options = {"owner_id": "005000000000002AAA", "template": "task_subject.txt"}

    await world.sink(owner_id="005000000000001AAA").deliver([known(1, options=options)])

    (task,) = world.tasks()
    assert "005000000000002AAA" == task["OwnerId"]
    assert "Gold" in task["Description"] or "gold" in task["Description"]


async def test_a_template_that_is_not_there(world):
    """
    The item is refused; another is delivered.
    """
    outcomes = await world.sink().deliver([known(1, options={"template": "none.txt"}), known(2)])

    assert [Refused, Delivered] == kinds(outcomes)


async def test_headers_go_to_the_part_that_writes_the_lead(world):
    """
    A part of a composite request inherits no header of the request.
    """
    await world.sink(auto_assign="TRUE", duplicate_rule="allowSave=true").deliver([known(1)])

    lead, task = world.bodies(COMPOSITE)[0]["compositeRequest"]
    assert {"Sforce-Auto-Assign": "TRUE", "Sforce-Duplicate-Rule-Header": "allowSave=true"} == lead["httpHeaders"]
    assert "httpHeaders" not in task


async def test_a_new_lead_without_a_name(world):
    """
    Nothing was done when Salesforce asks for more: the second request has the placeholders, and makes one task.
    """
    (outcome,) = await world.sink().deliver([qualified(1, last_name=None)])

    assert isinstance(outcome, Delivered)
    assert ("[not provided]", "acme") == (world.lead("lead-1")["LastName"], world.lead("lead-1")["Company"])
    assert 1 == len(world.tasks())


@pytest.mark.parametrize("lead_id", ["a/b", "..", "o'neil", "50% + ü?#", "@{lead.id}"])
async def test_an_odd_id_stays_one_part_of_the_path(world, lead_id):
    """
    The lead that is written is the one that is meant.
    """
    (outcome,) = await world.sink().deliver([with_lead_id(known(1), lead_id)])

    assert isinstance(outcome, Delivered)
    assert world.lead(lead_id)["Id"] == world.tasks()[0]["WhoId"]


async def test_a_name_that_looks_like_a_reference(world):
    """
    What a person is called refers to nothing.
    """
    (outcome,) = await world.sink().deliver([known(1, company="@{lead.id} & Sons")])

    assert isinstance(outcome, Delivered)
    assert "@ {lead.id} & Sons" == world.lead("lead-1")["Company"]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (OrgRefusal("UNABLE_TO_LOCK_ROW", ""), Later("busy", "item", detail="UNABLE_TO_LOCK_ROW")),
        (OrgRefusal("DUPLICATES_DETECTED", ""), Refused("conflict", "DUPLICATES_DETECTED")),
    ],
)
async def test_a_lead_that_is_not_written_has_no_task(world, refusal, expected):
    """
    The error is that of the lead, not that the task was rolled back.
    """
    world.fake.org.broken["lead-1"] = refusal

    assert [expected] == await world.sink().deliver([known(1)])
    assert [] == world.tasks()


async def test_a_task_that_is_not_written_leaves_no_lead(world):
    """
    All or none, the other way round.
    """
    outcomes = await world.sink().deliver([known(1, options={"owner_id": "x" * 30})])

    assert [Refused("invalid", "STRING_TOO_LONG")] == outcomes
    assert [] == world.fake.org.leads("lead-1")
    assert [] == world.fake.journal.effects


async def test_several_leads_with_one_id(world):
    """
    300: somebody has to clear up, and there is no task for either.
    """
    for _ in range(2):
        world.fake.org.add("Lead", {"PQL_User_Id__c": "lead-1", "LastName": "Byron", "Company": "x"})

    outcomes = await world.sink().deliver([known(1)])

    assert [Refused("conflict", "several leads have this external id")] == outcomes
    assert [] == world.tasks()


@pytest.mark.parametrize("contact_fields", [{}, {"PQL_Score__c": "score"}], ids=["not mapped", "mapped"])
async def test_a_converted_lead_s_task_goes_to_its_contact(world, contact_fields):
    """
    With the score, where it is mapped, in the same request.
    """
    sink = world.sink(contact_fields=contact_fields)
    await sink.deliver([known(1)])
    contact = world.fake.org.convert("lead-1")

    (outcome,) = await sink.deliver([known(1, delivery=2, tier="platinum", score=96)])

    task = world.tasks()[-1]
    assert Delivered(task["Id"]) == outcome
    assert ("PQL - Platinum", contact) == (task["Subject"], task["WhoId"])
    assert (96 if contact_fields else None) == world.fake.org.records["Contact"][contact].get("PQL_Score__c")


async def test_a_converted_lead_without_a_contact(world):
    """
    There is nobody to make the task for.
    """
    sink = world.sink()
    await sink.deliver([known(1)])
    world.fake.org.convert("lead-1")
    world.lead("lead-1")["ConvertedContactId"] = None

    outcomes = await sink.deliver([known(1, delivery=2)])

    assert [Refused("conflict", "a converted lead without a contact")] == outcomes


async def test_a_look_for_the_contact_that_fails(world):
    """
    A 503 in the middle of the attempt is the outcome; no task was made.
    """
    sink = world.sink()
    await sink.deliver([known(1)])
    world.fake.org.convert("lead-1")
    world.fake.faults.then(None, Fault("status", status=503))

    assert [Later("unavailable", "sink", detail="status 503")] == await sink.deliver([known(1, delivery=2)])


async def test_a_repeat_is_looked_for_and_found(world):
    """
    One question for all repeats of the attempt; what is there is not made again, and the outcome says so.
    """
    sink = world.sink()
    made = await sink.deliver([known(1), known(2)])
    world.forget()

    outcomes = await sink.deliver([repeated(known(1)), repeated(known(2)), repeated(known(3)), known(4)])

    assert [replace(outcome, was_there=True) for outcome in made] == outcomes[:2]
    assert [Delivered, Delivered] == kinds(outcomes[2:])
    assert [("GET", QUERY), ("POST", COMPOSITE), ("POST", COMPOSITE)] == world.paths()
    assert 4 == len(world.tasks())


async def test_a_whole_batch_of_repeats(world):
    """
    Two hundred ids do not fit in one URL: two questions, and no task is made.
    """
    items = [known(number) for number in range(200)]
    sink = world.sink()
    await sink.deliver(items)
    world.forget()

    outcomes = await sink.deliver([repeated(item) for item in items])

    assert [Delivered(task["Id"], was_there=True) for task in world.tasks()] == outcomes
    assert [("GET", QUERY)] * 2 == world.paths()


async def test_what_is_no_repeat_is_not_looked_for(world):
    """
    The question costs a call.
    """
    await world.sink().deliver([known(1)])

    assert [("POST", COMPOSITE)] == world.paths()


@pytest.mark.parametrize("fault", [Fault("close_after"), Fault("garbage"), Fault("status", status=503)])
async def test_a_look_that_fails_makes_no_task(world, fault):
    """
    Better no task yet than a second one.
    """
    world.fake.faults.then(fault)

    (outcome,) = await world.sink().deliver([repeated(known(1))])

    assert ("unavailable", "sink") == (outcome.reason, outcome.scope)
    assert [] == world.tasks()


async def test_the_second_task_of_a_lead_waits_for_the_first(world):
    """
    An unknown outcome holds back what comes after it for the same lead, and no other.
    """
    world.fake.faults.then(Fault("close_before"))

    outcomes = await world.sink().deliver([known(1, delivery=1), known(1, delivery=2), known(2, delivery=3)])

    assert [Unknown, Later, Delivered] == kinds(outcomes)
    assert ("busy", "item") == (outcomes[1].reason, outcomes[1].scope)


async def test_one_answer_stops_the_rest(world):
    """
    After a 429 no further task is tried in this attempt.
    """
    world.fake.faults.then(None, Fault("status", status=429, headers={"Retry-After": "9"}))

    outcomes = await world.sink().deliver([known(number) for number in range(4)])

    assert [Delivered, Later, Later, Later] == kinds(outcomes)
    assert 1 == len(set(outcomes[1:]))
    assert 2 == len(world.paths())


async def test_an_attempt_ends_in_time(world):
    """
    Tasks that take long leave the rest for the next attempt, which is surely not done.
    """
    sink = world.sink()
    await sink.deliver([known(0)])
    world.forget()
    world.step_s = 16.0

    outcomes = await sink.deliver([known(number) for number in (1, 2, 3, 4)])

    assert [Delivered, Delivered, Later, Later] == kinds(outcomes)
    assert ("unavailable", "the tasks before took too long") == (outcomes[2].reason, outcomes[2].detail)
    assert 2 == len(world.paths())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", Unknown("an answer that cannot be read")),
        (b'{"compositeResponse": [1, 2]}', Unknown("an answer that cannot be read")),
        (
            b'{"compositeResponse": [{"httpStatusCode": 200}, {"httpStatusCode": 201, "body": {"success": true}}]}',
            Unknown("an answer that cannot be read"),
        ),
        (
            b'{"compositeResponse": [{"httpStatusCode": 400, "body": null}, {"httpStatusCode": 400}]}',
            Refused("invalid", "an error without a code"),
        ),
    ],
    ids=["empty", "numbers", "no id", "no code"],
)
async def test_a_composite_answer_that_does_not_add_up(world, body, expected):
    """
    A task without an id may be there or not.
    """
    world.fake.faults.always = Fault("no_op", body=body)

    assert [expected] == await world.sink().deliver([known(1)])
