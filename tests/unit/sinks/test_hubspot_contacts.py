"""Contacts in HubSpot: what is sent, and which outcome each item gets."""

import pytest
from hubspot_world import changed, hubspot_world, qualified, with_action, without_profile

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.hubspot_contacts import text_of
from pql_stream.testing.destinations.faults import Fault


@pytest.fixture
async def world():
    async with hubspot_world() as world:
        yield world


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]


async def test_a_contact_has_score_and_person(world):
    """
    A changed score arrives with the shipped mapping: every value a string, what is unknown left out.
    """
    outcomes = await world.sink().deliver([changed(1, company="Engines Ltd", phone="+44 20", title="Head")])

    assert [Delivered] == kinds(outcomes)
    assert {
        "pql_user_id": "lead-1",
        "email": "ada1@customer.example",
        "firstname": "Ada",
        "lastname": "Byron",
        "jobtitle": "Head",
        "company": "Engines Ltd",
        "phone": "+44 20",
        "lead_score": "78",
        "score_category": "silver",
        "last_score_update": "2027-01-15T07:59:58.000Z",
        "last_activity": "2027-01-15T07:59:58.000Z",
        "total_workflows": "50",
        "features_used": "7",
        "compliance_level": "advanced",
    } == world.contact("lead-1")


async def test_the_outcome_names_the_record(world):
    """
    What HubSpot calls the contact is in the outcome.
    """
    (outcome,) = await world.sink().deliver([changed(1)])

    assert Delivered(world.fake.account.contacts.by_property("pql_user_id", "lead-1").id) == outcome


async def test_a_qualification_as_a_contact(world):
    """
    A record of pql-qualified fills the same properties, as far as it goes.
    """
    await world.sink().deliver([qualified(1, action="upsert")])

    assert ("82.5", "gold") == (world.contact("lead-1")["lead_score"], world.contact("lead-1")["score_category"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (5, "5"), (5.0, "5"), (60.25, "60.25"), (20_000_000.0, "20000000"), ("x", "x")],
)
def test_values_are_strings(value, text):
    """
    HubSpot wants every value as a string.
    """
    assert text == text_of(value)


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("2026-09", "/crm/objects/2026-09/contacts/batch/upsert"),
        ("2026-03", "/crm/objects/2026-03/contacts/batch/upsert"),
        ("v3", "/crm/v3/objects/contacts/batch/upsert"),
    ],
)
async def test_api_versions(version, path, world):
    """
    The API version changes the path and nothing else.
    """
    outcomes = await world.sink(version=version).deliver([changed(1)])

    assert [Delivered] == kinds(outcomes)
    assert [path] == [call.path for call in world.fake.calls]


async def test_an_e_mail_change_is_no_new_contact(world):
    """
    Contacts are found by our own id.
    """
    sink = world.sink()
    await sink.deliver([changed(1)])
    await sink.deliver([changed(1, email="countess@customer.example")])

    assert 1 == len(world.fake.account.contacts.records)
    assert "countess@customer.example" == world.contact("lead-1")["email"]


async def test_one_input_for_each_lead(world):
    """
    Several changes of one lead are one input with the last values, and all of them are delivered.
    """
    items = [
        changed(1, delivery=1, score=60, tier="bronze", options={"fields": {"company": '"Engines"'}}),
        changed(2, delivery=2),
        changed(1, delivery=3, score=85, tier="gold"),
    ]

    outcomes = await world.sink().deliver(items)

    (body,) = world.calls("/batch/upsert")
    assert [("lead-1", f"{3:032x}"), ("lead-2", f"{2:032x}")] == [
        (one["id"], one["objectWriteTraceId"]) for one in body["inputs"]
    ]
    assert [Delivered] * 3 == kinds(outcomes)
    assert outcomes[0] == outcomes[2] != outcomes[1]
    contact = world.contact("lead-1")
    assert ("85", "gold", "Engines") == (contact["lead_score"], contact["score_category"], contact["company"])


async def test_a_partial_answer_is_of_the_right_items(world):
    """
    In a 207, errors find their items by trace id, wherever those stood; the detail names codes and no values.
    """
    items = [
        changed(1, email="one"),
        changed(2),
        changed(3, score=99, tier="diamond"),
        changed(4),
        changed(5, email="five"),
    ]

    outcomes = await world.sink().deliver(items)

    bad_address = Refused("invalid", "VALIDATION_ERROR INVALID_EMAIL email")
    assert [bad_address, Refused("invalid", "VALIDATION_ERROR INVALID_OPTION score_category"), bad_address] == [
        outcomes[0],
        outcomes[2],
        outcomes[4],
    ]
    assert [Delivered] * 2 == kinds([outcomes[1], outcomes[3]])
    assert 1 == len(world.fake.calls)


async def test_results_without_trace_ids(world):
    """
    Results that do not give the trace id back are told by our own property in them.
    """
    world.fake.batches.traces_results = False

    outcomes = await world.sink().deliver([changed(1), changed(2, email="two"), changed(3)])

    ids = [world.fake.account.contacts.by_property("pql_user_id", f"lead-{number}").id for number in (1, 3)]
    assert [ids[0], ids[1]] == [outcomes[0].remote_id, outcomes[2].remote_id]
    assert [Delivered, Refused, Delivered] == kinds(outcomes)


async def test_an_input_that_is_left_out(world):
    """
    An input that is among neither results nor errors is not taken for delivered; the others are.
    """
    world.fake.batches.silent = {f"{2:032x}"}

    outcomes = await world.sink().deliver([changed(1), changed(2), changed(3, email="three")])

    assert [Delivered, Unknown, Refused] == kinds(outcomes)


async def test_a_rejected_batch_is_halved(world):
    """
    Where one bad input rejects all hundred, the others arrive, and few calls find it.
    """
    world.fake.batches.partial = False
    items = [changed(number, **({"email": "bad"} if number == 37 else {})) for number in range(1, 101)]

    outcomes = await world.sink().deliver(items)

    assert [37] == [number for number, one in enumerate(outcomes, 1) if not isinstance(one, Delivered)]
    assert Refused("invalid", "VALIDATION_ERROR INVALID_EMAIL email") == outcomes[36]
    assert 99 == len(world.fake.account.contacts.records)
    assert len(world.fake.calls) <= 15


async def test_halving_has_a_bound(world):
    """
    A batch of bad inputs does not use up the account's limit: the rest waits, and is through after a few attempts.
    """
    world.fake.batches.partial = False
    sink = world.sink()
    waiting = [changed(number, email="bad") for number in range(1, 101)]

    outcomes = await sink.deliver(waiting)

    assert 40 == len(world.fake.calls)
    assert {Refused, Later} == set(kinds(outcomes))
    assert {("unavailable", "item")} == {(one.reason, one.scope) for one in outcomes if isinstance(one, Later)}
    for _ in range(10):
        waiting = [item for item, one in zip(waiting, outcomes, strict=True) if isinstance(one, Later)]
        outcomes = await sink.deliver(waiting)
    assert [] == waiting


async def test_no_answer_while_halving(world):
    """
    An answer that is lost in the middle leaves open what was in that call, and only that.
    """
    world.fake.batches.partial = False
    items = [changed(1, email="bad"), changed(2), changed(3), changed(4)]
    world.fake.faults.then(None, Fault("close_after"))

    outcomes = await world.sink().deliver(items)

    assert [Unknown, Unknown, Later, Later] == kinds(outcomes)
    assert ["lead-1", "lead-2"] == [one["id"] for one in world.fake.calls[1].body["inputs"]]


async def test_a_limit_while_halving(world):
    """
    A limit that is reached in the middle is the outcome of everything that was not written by then.
    """
    world.fake.batches.partial = False
    world.fake.limits.ten_secondly = 2
    items = [changed(1), changed(2), changed(3, email="bad"), changed(4)]

    outcomes = await world.sink().deliver(items)

    assert [Delivered, Delivered, Later, Later] == kinds(outcomes)
    assert {"rate_limited"} == {one.reason for one in outcomes[2:]}


@pytest.mark.parametrize("is_partial", [True, False])
async def test_a_property_that_does_not_exist(is_partial, world):
    """
    What is wrong with all inputs alike is not looked for by halving; the refusal names the property.
    """
    world.fake.batches.partial = is_partial
    del world.fake.account.contacts.properties["compliance_level"]

    outcomes = await world.sink().deliver([changed(1), changed(2), qualified(3, action="upsert")])

    refused = Refused("invalid", "VALIDATION_ERROR PROPERTY_DOESNT_EXIST compliance_level")
    assert [refused, refused] == outcomes[:2]
    assert isinstance(outcomes[2], Delivered)
    assert len(world.fake.calls) == (1 if is_partial else 2)


async def test_an_account_that_is_not_set_up():
    """
    Without our unique property no contact can be written, and one call shows it.
    """
    async with hubspot_world(is_set_up=False) as world:
        outcomes = await world.sink().deliver([changed(number) for number in range(1, 101)])

        assert {Refused} == set(kinds(outcomes))
        assert 1 == len(world.fake.calls)


async def test_an_error_in_the_older_form(world):
    """
    HubSpot also writes what is wrong as JSON inside the message; its values stay out of the detail.
    """
    message = (
        b'Property values were not valid: [{\\"isValid\\":false,\\"message\\":\\"ada1@customer.example is bad\\",'
        b'\\"error\\":\\"INVALID_EMAIL\\",\\"name\\":\\"email\\"}]'
    )
    body = b'{"status":"error","category":"VALIDATION_ERROR","message":"' + message + b'"}'
    world.fake.faults.then(Fault("status", status=400, body=body))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Refused("invalid", "VALIDATION_ERROR INVALID_EMAIL email")] == outcomes


async def test_an_error_in_a_broken_form(world):
    """
    A message that only begins like one with JSON is no exception.
    """
    body = b'{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{"}'
    world.fake.faults.then(Fault("status", status=400, body=body))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Refused("invalid", "VALIDATION_ERROR")] == outcomes


async def test_a_batch_that_is_too_large(world):
    """
    A 413 is about the batch: halves go through.
    """
    world.fake.faults.then(Fault("status", status=413))

    outcomes = await world.sink().deliver([changed(1), changed(2)])

    assert [Delivered] * 2 == kinds(outcomes)


async def test_an_input_that_is_too_large(world):
    """
    One input that is too large by itself is refused as that.
    """
    world.fake.faults.then(Fault("status", status=413))

    outcomes = await world.sink().deliver([changed(1)])

    assert ["too_large"] == [one.reason for one in outcomes]


@pytest.mark.parametrize("is_partial", [True, False])
async def test_a_contact_that_came_without_us(is_partial, world):
    """
    A contact that has the address already, from a form or by hand, becomes ours instead of a refusal.
    """
    world.fake.batches.partial = is_partial
    known = world.fake.account.contacts.add("7", {"email": "Ada1@customer.example", "company": "Engines Ltd"})

    outcomes = await world.sink().deliver([changed(1), changed(2)])

    assert Delivered("7") == outcomes[0]
    assert isinstance(outcomes[1], Delivered)
    assert ("lead-1", "78", "Engines Ltd") == tuple(
        known.properties[name] for name in ("pql_user_id", "lead_score", "company")
    )
    assert 2 == len(world.fake.account.contacts.records)


async def test_a_second_address_of_a_contact(world):
    """
    The address may be another one of that contact's.
    """
    known = world.fake.account.contacts.add(
        "7", {"email": "ada@home.example", "hs_additional_emails": "x@y.example;ada1@customer.example"}
    )

    outcomes = await world.sink().deliver([changed(1)])

    assert [Delivered("7")] == outcomes
    assert "lead-1" == known.properties["pql_user_id"]


async def test_a_contact_of_another_lead(world):
    """
    An address that another lead has stays with that lead: the two would take it from each other for ever.
    """
    sink = world.sink()
    await sink.deliver([changed(1)])

    outcomes = await sink.deliver([changed(2, email="ada1@customer.example"), changed(3)])

    assert ("conflict", Delivered) == (outcomes[0].reason, type(outcomes[1]))
    assert "78" == world.contact("lead-1")["lead_score"]
    assert world.contact("lead-2") is None


async def test_two_leads_with_one_address(world):
    """
    Of two leads with one address, which make HubSpot reject the batch, the first becomes the contact.
    """
    outcomes = await world.sink().deliver([changed(1), changed(2, email="ada1@customer.example"), changed(3)])

    assert [Delivered, Refused, Delivered] == kinds(outcomes)
    assert "conflict" == outcomes[1].reason


async def test_two_leads_for_one_contact_that_is_there(world):
    """
    The same where the contact came without us: one lead gets it, and one answer says so.
    """
    world.fake.account.contacts.add("7", {"email": "a@b.example", "hs_additional_emails": "c@d.example"})

    outcomes = await world.sink().deliver([changed(1, email="a@b.example"), changed(2, email="c@d.example")])

    assert [Delivered("7"), "conflict"] == [outcomes[0], outcomes[1].reason]


async def test_nobody_says_whose_the_address_is(world):
    """
    Where the look at the address comes to nothing, the item waits: nothing was written.
    """
    world.fake.account.contacts.add("7", {"email": "ada1@customer.example"})
    world.fake.faults.then(None, Fault("close_before"))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("unavailable", "sink", detail="no answer to a question")] == outcomes


@pytest.mark.parametrize(
    ("item", "refused"),
    [
        (without_profile(changed(1)), Refused("no_profile")),
        (
            changed(1, email=None, first_name=None, last_name=None, phone="+44 20"),
            Refused("no_address", "a contact needs an e-mail address or a name"),
        ),
        (with_action(changed(1), "mail"), Refused("invalid", "HubSpot has no action mail")),
        (
            changed(1, options={"fields": {"lead_score": "score after"}}),
            Refused("invalid", "field lead_score: 'score after' is no path"),
        ),
    ],
    ids=["no profile", "nobody", "action", "mapping"],
)
async def test_what_is_not_sent(item, refused, world):
    """
    What cannot be a contact is refused without a call, and holds up no other.
    """
    outcomes = await world.sink().deliver([item, changed(2)])

    assert refused == outcomes[0]
    assert isinstance(outcomes[1], Delivered)
    assert 1 == len(world.calls("/batch/upsert")[0]["inputs"])


async def test_own_fields(world):
    """
    The operator's mapping adds to the shipped one, and takes from it; so does a route's.
    """
    sink = world.sink(fields={"jobtitle": "groups.usage", "lastname": ""})

    await sink.deliver([changed(1, options={"fields": {"firstname": ""}})])

    contact = world.contact("lead-1")
    assert "30" == contact["jobtitle"]
    assert not {"firstname", "lastname"} & contact.keys()


def test_a_mapping_that_cannot_be_read(world):
    """
    A bad mapping stops the start.
    """
    with pytest.raises(InvalidSettings):
        world.sink(fields={"company": "profile company"})


def test_settings_do_not_show_the_key(world):
    """
    The service key is in no text that settings or sinks make of themselves.
    """
    sink = world.sink(service_key="pat-na1-secret")

    assert "secret" not in repr(sink) + repr(sink._settings) + repr(sink._api)
