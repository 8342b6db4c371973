"""Leads in Salesforce: what is sent, and which outcome each item gets."""

import json
from dataclasses import replace

import msgspec
import pytest
from hubspot_world import changed, qualified, with_action, without_profile
from salesforce_world import COMPOSITE, QUERY, UPSERT, salesforce_world, with_lead_id

from pql_stream.core.routes import Route
from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.errors import InvalidSettings
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.salesforce_org import OrgRefusal

SCORE_TO_CONTACT = {"PQL_Score__c": "score_after | score"}


@pytest.fixture
async def world():
    async with salesforce_world() as world:
        yield world


def known(number, **fields):
    """A changed score of a lead of whom all is known that Salesforce needs."""
    return changed(number, **{"company": "Engines Ltd", **fields})


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]


async def test_a_changed_score(world):
    """
    One call with the shipped mapping: numbers are numbers, and what is unknown is left out.
    """
    (outcome,) = await world.sink().deliver([known(1, title="Head", phone="+44 20")])

    assert Delivered(world.lead("lead-1")["Id"]) == outcome
    assert [
        {
            "allOrNone": False,
            "records": [
                {
                    "attributes": {"type": "Lead"},
                    "PQL_User_Id__c": "lead-1",
                    "Email": "ada1@customer.example",
                    "FirstName": "Ada",
                    "LastName": "Byron",
                    "Company": "Engines Ltd",
                    "Title": "Head",
                    "Phone": "+44 20",
                    "PQL_Score__c": 78,
                    "Feature_Adoption__c": 7,
                    "Workflow_Count__c": 50,
                    "Compliance_Level__c": "advanced",
                    "Community_Engagement__c": 4,
                }
            ],
        }
    ] == world.bodies(UPSERT)


async def test_a_qualification(world):
    """
    It has what a change has not: sales readiness and the hand-off, with a date and a boolean.
    """
    await world.sink().deliver([qualified(1, action="upsert", company="Engines Ltd")])

    ((record,),) = [body["records"] for body in world.bodies(UPSERT)]
    assert {
        "PQL_Score__c": 82.5,
        "Team_Size__c": 8,
        "Sales_Qualified__c": True,
        "Handoff_Date__c": "2027-01-15",
        "Handoff_Type__c": "standard",
    } == {name: value for name, value in record.items() if name.endswith("__c") and name != "PQL_User_Id__c"}


async def test_the_two_records_complete_each_other(world):
    """
    A later change leaves what only the qualification said, and the other way round.
    """
    sink = world.sink()
    await sink.deliver([qualified(1, action="upsert", company="Engines Ltd")])
    await sink.deliver([known(1)])

    lead = world.lead("lead-1")
    assert (78, True, "standard", 50) == (
        lead["PQL_Score__c"],
        lead["Sales_Qualified__c"],
        lead["Handoff_Type__c"],
        lead["Workflow_Count__c"],
    )


async def test_the_settings_and_the_route_change_the_mapping(world):
    """
    Fields of one's own, another path, and an empty one that takes a field away.
    """
    sink = world.sink(fields={"LeadSource": '"Product"', "Title": ""})

    await sink.deliver([known(1, title="Head", options={"fields": {"PQL_Score__c": "groups.usage"}})])

    lead = world.lead("lead-1")
    assert ("Product", 30, False) == (lead["LeadSource"], lead["PQL_Score__c"], "Title" in lead)


async def test_two_hundred_in_one_call(world):
    """
    A whole batch is one call, and each outcome names its own lead.
    """
    items = [known(number) for number in range(200)]

    outcomes = await world.sink().deliver(items)

    assert [Delivered(world.lead(f"lead-{number}")["Id"]) for number in range(200)] == outcomes
    assert 1 == len(world.paths())


async def test_several_of_one_lead_are_one_record(world):
    """
    Salesforce refuses a key that comes twice: the last values are sent, and all share the outcome.
    """
    items = [known(1, delivery=1, score=60), known(2, delivery=2), known(1, delivery=3, score=90, phone="+44")]

    outcomes = await world.sink().deliver(items)

    assert [Delivered] * 3 == kinds(outcomes)
    assert outcomes[0] == outcomes[2]
    assert (90, "+44") == (world.lead("lead-1")["PQL_Score__c"], world.lead("lead-1")["Phone"])
    assert [2] == [len(body["records"]) for body in world.bodies(UPSERT)]


async def test_a_new_lead_without_a_name_gets_a_placeholder(world):
    """
    Salesforce insists on a last name and a company: after it has said so, they are the known account or a word.
    """
    (outcome,) = await world.sink().deliver([changed(1, last_name=None)])

    assert isinstance(outcome, Delivered)
    assert ("[not provided]", "acme") == (world.lead("lead-1")["LastName"], world.lead("lead-1")["Company"])


async def test_a_placeholder_replaces_nothing(world):
    """
    What somebody typed in stays: the second score of a lead without a name brings no placeholder.
    """
    sink = world.sink()
    await sink.deliver([changed(1, last_name=None)])
    world.lead("lead-1").update(LastName="Lovelace", Company="Engines Ltd")

    await sink.deliver([changed(1, last_name=None, score=90)])

    lead = world.lead("lead-1")
    assert ("Lovelace", "Engines Ltd", 90) == (lead["LastName"], lead["Company"], lead["PQL_Score__c"])


async def test_only_who_needs_them_is_sent_again_with_placeholders(world):
    """
    The second call has the incomplete ones alone.
    """
    outcomes = await world.sink().deliver([known(1), changed(2), known(3)])

    assert [Delivered] * 3 == kinds(outcomes)
    assert [["lead-1", "lead-2", "lead-3"], ["lead-2"]] == [
        [record["PQL_User_Id__c"] for record in body["records"]] for body in world.bodies(UPSERT)
    ]


async def test_a_field_that_the_org_insists_on_and_nobody_knows(world):
    """
    Where placeholders do not help, the lead is refused, after one more try at most.
    """
    world.fake.org.broken["lead-1"] = OrgRefusal("REQUIRED_FIELD_MISSING", "Required fields are missing: [Budget__c]")

    outcomes = await world.sink().deliver([changed(1)])

    assert [Refused("invalid", "REQUIRED_FIELD_MISSING")] == outcomes
    assert 2 == len(world.paths())


async def test_a_long_name_is_cut(world):
    """
    One text that is too long would cost the whole lead.
    """
    await world.sink().deliver([known(1, last_name="x" * 90, first_name="y" * 50)])

    assert ("x" * 80, "y" * 40) == (world.lead("lead-1")["LastName"], world.lead("lead-1")["FirstName"])


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (
            OrgRefusal("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"),
            Later("busy", "item", detail="UNABLE_TO_LOCK_ROW"),
        ),
        (
            OrgRefusal("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No!"),
            Refused("invalid", "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
        ),
    ],
    ids=["locked", "validation"],
)
async def test_one_record_is_not_written(world, refusal, expected):
    """
    A 200 with a "no" in it: the others are delivered.
    """
    world.fake.org.broken["lead-2"] = refusal

    outcomes = await world.sink().deliver([known(1), known(2), known(3)])

    assert [Delivered, type(expected), Delivered] == kinds(outcomes)
    assert expected == outcomes[1]


async def test_several_leads_with_one_id(world):
    """
    A duplicate external id is somebody's to clear up.
    """
    for _ in range(2):
        world.fake.org.add("Lead", {"PQL_User_Id__c": "lead-1", "LastName": "Byron", "Company": "x"})

    outcomes = await world.sink().deliver([known(1), known(2)])

    assert [Refused("conflict", "DUPLICATE_EXTERNAL_ID"), outcomes[1]] == outcomes
    assert isinstance(outcomes[1], Delivered)


async def test_values_of_a_wrong_type_are_found_by_halves(world):
    """
    Salesforce refuses the whole call for one value that is no number: the others of eight get through.
    """
    bad = {"fields": {"PQL_Score__c": "tier_after"}}
    items = [known(number, options=bad if number in {2, 7} else None) for number in range(8)]

    outcomes = await world.sink().deliver(items)

    assert [2, 7] == [
        place for place, outcome in enumerate(outcomes) if outcome == Refused("invalid", "JSON_PARSER_ERROR")
    ]
    assert 6 == kinds(outcomes).count(Delivered)


async def test_halving_stops_when_the_destination_does(world):
    """
    A 503 amid the halves: those that were not asked for wait with it.
    """
    bad = {"fields": {"PQL_Score__c": "tier_after"}}
    world.fake.faults.then(None, Fault("status", status=503))

    outcomes = await world.sink().deliver([known(0, options=bad), known(1), known(2), known(3)])

    assert [Later("unavailable", "sink", detail="status 503")] * 4 == outcomes
    assert 2 == len(world.paths())


async def test_a_mapping_that_cannot_be_read(world):
    """
    A route's broken mapping is its items' fault alone.
    """
    broken = known(1, options={"fields": {"PQL_Score__c": "score after"}})

    outcomes = await world.sink().deliver([broken, known(2)])

    assert [Refused, Delivered] == kinds(outcomes)
    assert "invalid" == outcomes[0].reason


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b'[{"success": true}]', b'[{"id": "00Q", "success": true}, {"id": "00Q", "success": true}]', b"[3]"],
    ids=["object", "none", "no id", "too many", "number"],
)
async def test_a_friendly_answer_that_does_not_count(world, body):
    """
    As many results as records, each with an id: else nobody knows.
    """
    world.fake.faults.always = Fault("no_op", body=body)

    outcomes = await world.sink().deliver([known(1)])

    assert [Unknown("an answer that cannot be read")] == outcomes


async def test_headers_of_assignment_and_duplicates(world):
    """
    As settings, on every call that writes leads; without them there are none.
    """
    await world.sink().deliver([known(1)])
    await world.sink(auto_assign="FALSE", duplicate_rule="allowSave=true").deliver([known(2)])

    names = ("Sforce-Auto-Assign", "Sforce-Duplicate-Rule-Header")
    sent = [[one.headers.get(name) for name in names] for one in world.fake.received if one.path == UPSERT]
    assert [[None, None], ["FALSE", "allowSave=true"]] == sent


async def test_the_duplicate_rule_is_what_the_header_says(world):
    """
    An org that refuses a second lead with the same e-mail takes it with the header.
    """
    world.fake.org.refuses_duplicates = True
    world.fake.org.add("Lead", {"Email": "ada1@customer.example", "LastName": "Byron", "Company": "x"})

    refused = await world.sink().deliver([known(1)])
    taken = await world.sink(duplicate_rule="allowSave=true").deliver([known(1)])

    assert [Refused("conflict", "DUPLICATES_DETECTED")] == refused
    assert [Delivered] == kinds(taken)


async def test_a_converted_lead_goes_to_its_contact(world):
    """
    A lead that was made a contact is read-only: the fields mapped for contacts go there, in one call for all.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    await sink.deliver([known(1), known(2), known(3)])
    contacts = [world.fake.org.convert(f"lead-{number}") for number in (1, 3)]
    world.forget()

    outcomes = await sink.deliver([known(number, score=91) for number in (1, 2, 3)])

    assert [Delivered(contacts[0]), Delivered(world.lead("lead-2")["Id"]), Delivered(contacts[1])] == outcomes
    assert [91, 91] == [world.fake.org.records["Contact"][contact]["PQL_Score__c"] for contact in contacts]
    assert [("PATCH", UPSERT), ("GET", QUERY), ("PATCH", f"{COMPOSITE}/sobjects")] == world.paths()


@pytest.mark.parametrize("lead_id", ["o'neil\\", 'a"b', "50% + & = ü/?#", "line\nbreak"])
async def test_a_converted_lead_with_an_odd_id(world, lead_id):
    """
    Ids are escaped in the query, so that none finds another's contact.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    item = with_lead_id(known(1), lead_id)
    await sink.deliver([item])
    contact = world.fake.org.convert(lead_id)

    assert [Delivered(contact)] == await sink.deliver([item])


async def test_a_converted_lead_whose_id_differs_by_case(world):
    """
    SOQL compares without case and finds both: only the contact that is meant is written.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    lower, upper = with_lead_id(known(1, score=91), "ada"), with_lead_id(known(1), "ADA")
    await sink.deliver([lower, upper])
    contacts = [world.fake.org.convert(lead_id) for lead_id in ("ada", "ADA")]

    assert [Delivered(contacts[0])] == await sink.deliver([lower])
    assert [91, None] == [world.fake.org.records["Contact"][contact].get("PQL_Score__c") for contact in contacts]


async def test_two_leads_of_one_contact(world):
    """
    They were merged: one write, for an id must not come twice, and both are delivered.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    await sink.deliver([known(1), known(2)])
    contact = world.fake.org.convert("lead-1")
    world.fake.org.convert("lead-2")
    world.lead("lead-2")["ConvertedContactId"] = contact

    outcomes = await sink.deliver([known(1, score=91), known(2, score=92)])

    assert [Delivered(contact)] * 2 == outcomes
    assert 92 == world.fake.org.records["Contact"][contact]["PQL_Score__c"]


async def test_a_converted_lead_without_a_mapping_for_contacts(world):
    """
    It is refused with the reason, and the org is asked no more.
    """
    sink = world.sink()
    await sink.deliver([known(1)])
    world.fake.org.convert("lead-1")
    world.forget()

    outcomes = await sink.deliver([known(1, score=91)])

    assert [Refused("conflict", "a converted lead, and no field of its contact is mapped")] == outcomes
    assert [("PATCH", UPSERT)] == world.paths()


async def test_a_converted_lead_whose_contact_is_gone(world):
    """
    Refused, too.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    await sink.deliver([known(1)])
    world.fake.org.convert("lead-1")
    world.lead("lead-1")["ConvertedContactId"] = None

    assert [Refused("conflict", "a converted lead without a contact")] == await sink.deliver([known(1)])


async def test_a_look_for_contacts_that_gets_no_answer(world):
    """
    Nothing was written for the converted lead: it is tried later; the other lead is delivered.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    await sink.deliver([known(1)])
    world.fake.org.convert("lead-1")
    world.fake.faults.then(None, Fault("close_after"))

    outcomes = await sink.deliver([known(1), known(2)])

    assert [Later, Delivered] == kinds(outcomes)
    assert ("unavailable", "sink") == (outcomes[0].reason, outcomes[0].scope)


async def test_a_contact_s_broken_mapping_is_its_route_s_alone(world):
    """
    Another converted lead in the same batch is delivered.
    """
    sink = world.sink(contact_fields=SCORE_TO_CONTACT)
    await sink.deliver([known(1), known(2)])
    for number in (1, 2):
        world.fake.org.convert(f"lead-{number}")

    outcomes = await sink.deliver([known(1, options={"contact_fields": {"Title": "||"}}), known(2)])

    assert [Refused, Delivered] == kinds(outcomes)


async def test_without_contact_data(world):
    """
    A lead that nobody can reach is not made, and an erased one does not come back.
    """
    assert [Refused("no_profile")] == await world.sink().deliver([without_profile(known(1))])


async def test_an_action_that_is_none(world):
    """
    Salesforce sends no messages.
    """
    outcomes = await world.sink().deliver([with_action(known(1), "message"), known(2)])

    assert [Refused, Delivered] == kinds(outcomes)


@pytest.mark.parametrize(
    "route",
    [
        Route("r", "score-changed", "salesforce", "mail"),
        Route("r", "score-changed", "salesforce", "upsert", options={"fields": "score"}),
        Route("r", "score-changed", "salesforce", "upsert", options={"fields": {"A": "b c"}}),
        Route("r", "score-changed", "salesforce", "upsert", options={"contact_fields": {"A": "b c"}}),
        Route("r", "pql-qualified", "salesforce", "task", options={"template": "none.txt"}),
    ],
    ids=["action", "no mapping", "path", "contact path", "template"],
)
async def test_a_route_that_asks_for_the_impossible(world, route):
    """
    It stops the start.
    """
    with pytest.raises(InvalidSettings):
        world.sink().check_route(route)


@pytest.mark.parametrize("action", ["upsert", "task"])
async def test_a_route_that_is_good(world, action):
    """
    The shipped mapping and template do.
    """
    assert world.sink().check_route(Route("r", "pql-qualified", "salesforce", action)) is None


async def test_a_lead_and_its_task_keep_their_order(world):
    """
    Whatever the order in one attempt, the lead's last values are those of its last item.
    """
    items = [
        qualified(1, delivery=1, score=82.5, company="Engines"),
        known(1, delivery=2, score=90),
        known(2, delivery=3, score=50),
        qualified(2, delivery=4, score=70, company="Engines"),
    ]

    outcomes = await world.sink().deliver(items)

    assert [Delivered] * 4 == kinds(outcomes)
    assert (90, 70) == (world.lead("lead-1")["PQL_Score__c"], world.lead("lead-2")["PQL_Score__c"])
    assert 2 == len(world.tasks())


async def test_what_comes_after_a_lead_that_has_to_wait_waits_too(world):
    """
    A locked lead holds its task back, and no other lead's.
    """
    world.fake.org.broken["lead-1"] = OrgRefusal("UNABLE_TO_LOCK_ROW", "")
    tasks = [qualified(1, delivery=2, company="Engines"), qualified(2, delivery=3, company="Engines")]

    outcomes = await world.sink().deliver([known(1), *tasks])

    assert [Later("busy", "item", detail="UNABLE_TO_LOCK_ROW"), Later, Delivered] == [outcomes[0], *kinds(outcomes)[1:]]
    assert "behind an earlier delivery of its lead" == outcomes[1].detail
    assert ["lead-2"] == [effect.lead_id for effect in world.fake.journal.effects if effect.kind == "task"]


async def test_after_the_destination_has_gone_nothing_more_is_tried(world):
    """
    One 503 answers for the tasks, too.
    """
    world.fake.faults.always = Fault("status", status=503)

    outcomes = await world.sink().deliver([known(1), qualified(2)])

    assert [Later("unavailable", "sink", detail="status 503")] * 2 == outcomes
    assert 1 == len(world.paths())


async def test_nothing_personal_is_in_an_outcome(world):
    """
    Salesforce's messages repeat the values that it did not like; outcomes do not.
    """
    item = known(1)
    item = replace(item, profile=msgspec.structs.replace(item.profile, email="not-an-address"))

    outcomes = await world.sink().deliver([item])

    assert [Refused("invalid", "INVALID_EMAIL_ADDRESS")] == outcomes
    assert "not-an-address" not in json.dumps([repr(outcome) for outcome in outcomes])
