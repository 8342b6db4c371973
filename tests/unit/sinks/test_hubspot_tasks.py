"""Tasks in HubSpot: what they say, whom they are linked to, and that a repeat is not a second one."""

import pytest
from hubspot_world import NOW_S, changed, hubspot_world, qualified, repeated, with_action

from pql_stream.core.routes import Route
from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import AioHttp
from pql_stream.sinks.hubspot_tasks import TaskSettings
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.faults import Fault


@pytest.fixture
async def world():
    async with hubspot_world() as world:
        yield world


def kinds(outcomes):
    return [type(outcome) for outcome in outcomes]


async def test_a_task_for_sales(world):
    """
    A qualification is an open task, due in a day, that says what to do and why, and is linked to its contact.
    """
    (outcome,) = await world.sink().deliver([qualified(1)])

    (task,) = world.tasks()
    contact_id = world.fake.account.contacts.by_property("pql_user_id", "lead-1").id
    body = task.properties.pop("hs_task_body")
    assert Delivered(task.id) == outcome
    assert ((contact_id, 204),) == task.linked
    assert {
        "hs_timestamp": str(int((NOW_S + 86_400) * 1000)),
        "hs_task_subject": "PQL - Gold",
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "MEDIUM",
        "hs_task_type": "TODO",
        "pql_delivery_id": f"{1:032x}",
    } == task.properties
    assert "Score 82.5 of 100, tier gold.<br>" in body


async def test_no_value_becomes_a_tag(world):
    """
    HubSpot shows a task's body as HTML: what a value holds stays text.
    """
    await world.sink().deliver([qualified(1)])

    (task,) = world.tasks()
    assert "Ran 12 workflows, &lt;more&gt; than most &amp; growing" in task.properties["hs_task_body"]


@pytest.mark.parametrize(("score", "priority"), [(94.99, "MEDIUM"), (95, "HIGH"), (100, "HIGH"), (75, "MEDIUM")])
async def test_priority(score, priority, world):
    """
    From 95 the priority is HIGH.
    """
    await world.sink().deliver([qualified(1, score=score), with_action(changed(2, score=score), "task")])

    assert [priority] * 2 == [task.properties["hs_task_priority"] for task in world.tasks()]


async def test_the_bound_of_the_priority_is_a_setting(world):
    """
    A pack with other points has another bound.
    """
    await world.sink(tasks=TaskSettings(high_from=80)).deliver([qualified(1)])

    assert ["HIGH"] == [task.properties["hs_task_priority"] for task in world.tasks()]


async def test_owner_and_due_time(world):
    """
    A route says whose the task is and by when it is due; settings say it for the others.
    """
    sink = world.sink(tasks=TaskSettings(owner_id="72", due_after_s=60))

    await sink.deliver([qualified(1, options={"owner_id": "71", "due_after_s": "3600"}), qualified(2)])

    assert [("71", str(int((NOW_S + 3600) * 1000))), ("72", str(int((NOW_S + 60) * 1000)))] == [
        (task.properties["hubspot_owner_id"], task.properties["hs_timestamp"]) for task in world.tasks()
    ]


async def test_own_templates(world, tmp_path):
    """
    A route names its own templates for subject and body.
    """
    (tmp_path / "subject.txt").write_text("Call {{ profile.first_name }}")
    (tmp_path / "body.txt").write_text("now")
    world.templates = Templates(TemplateSettings(directory=tmp_path))

    await world.sink().deliver([qualified(1, options={"subject_template": "subject.txt", "template": "body.txt"})])

    (task,) = world.tasks()
    assert ("Call Ada", "now") == (task.properties["hs_task_subject"], task.properties["hs_task_body"])


@pytest.mark.parametrize(
    "options", [{"template": "missing.txt"}, {"due_after_s": "soon"}, {"due_after_s": "nan"}, {"due_after_s": "-1"}]
)
async def test_options_that_are_of_no_use(options, world):
    """
    A delivery with a bad option is refused, and its neighbour is not.
    """
    outcomes = await world.sink().deliver([qualified(1, options=options), qualified(2)])

    assert ["invalid", Delivered] == [outcomes[0].reason, type(outcomes[1])]


async def test_a_template_that_fails_on_one_lead(world, tmp_path):
    """
    What a template cannot say of one lead spoils no other, and shows nothing of it.
    """
    (tmp_path / "body.txt").write_text("{{ 'x' * 60000 if lead_id == 'lead-1' else 'short' }}")
    world.templates = Templates(TemplateSettings(directory=tmp_path))
    options = {"template": "body.txt"}

    outcomes = await world.sink().deliver([qualified(1, options=options), qualified(2, options=options)])

    assert ["invalid", Delivered] == [outcomes[0].reason, type(outcomes[1])]
    assert "x" * 100 not in outcomes[0].detail


async def test_an_owner_who_is_gone(world):
    """
    An owner that HubSpot does not know is refused for that task alone.
    """
    outcomes = await world.sink().deliver([qualified(1, options={"owner_id": "9"}), qualified(2)])

    assert [Refused("invalid", "VALIDATION_ERROR INVALID_OPTION hubspot_owner_id"), Delivered] == [
        outcomes[0],
        type(outcomes[1]),
    ]


class _DeletesFirst(AioHttp):
    """Before tasks are made, somebody deletes the first contact."""

    def __init__(self, world):
        super().__init__()
        self._contacts = world.fake.account.contacts.records

    async def request(self, method, url, *, headers, body=None):
        if url.endswith("/tasks/batch/create"):
            self._contacts.pop(next(iter(self._contacts)))
        return await super().request(method, url, headers=headers, body=body)


async def test_a_contact_that_went_away(world):
    """
    A contact that is deleted between the two calls takes its task with it, and no other.
    """
    sink = world.sink(http=_DeletesFirst(world))

    outcomes = await sink.deliver([qualified(1), qualified(2)])

    assert ["not_found", Delivered] == [outcomes[0].reason, type(outcomes[1])]


async def test_many_tasks_are_two_calls(world):
    """
    A hundred tasks are one call for their contacts and one for themselves, in order.
    """
    outcomes = await world.sink().deliver([qualified(number) for number in range(1, 101)])

    assert [task.id for task in world.tasks()] == [outcome.remote_id for outcome in outcomes]
    assert ["/crm/objects/2026-09/contacts/batch/upsert", "/crm/objects/2026-09/tasks/batch/create"] == [
        call.path for call in world.fake.calls
    ]


async def test_a_task_brings_back_no_old_score(world):
    """
    A task that was held up writes who the lead is, and leaves the score that came meanwhile.
    """
    sink = world.sink()
    await sink.deliver([changed(1, score=99, tier="platinum")])

    await sink.deliver([qualified(1, delivery=2, score=76, tier="silver", last_name="King")])

    contact = world.contact("lead-1")
    assert ("99", "platinum", "King") == (contact["lead_score"], contact["score_category"], contact["lastname"])


async def test_task_and_contact_of_one_lead_together(world):
    """
    A contact and a task of one lead in one batch are one input for the contact, with the score.
    """
    outcomes = await world.sink().deliver([changed(1, delivery=1), qualified(1, delivery=2)])

    assert [1] == [len(body["inputs"]) for body in world.calls("/batch/upsert")]
    assert "78" == world.contact("lead-1")["lead_score"]
    assert [Delivered] * 2 == kinds(outcomes)
    assert world.tasks()[0].id == outcomes[1].remote_id != outcomes[0].remote_id


async def test_no_contact_no_task(world):
    """
    A task whose contact is refused is refused with it, and not made.
    """
    outcomes = await world.sink().deliver([qualified(1, email="bad"), qualified(2)])

    assert [Refused("invalid", "VALIDATION_ERROR INVALID_EMAIL email"), Delivered] == [outcomes[0], type(outcomes[1])]
    assert 1 == len(world.tasks())


async def test_a_contact_without_an_id(world):
    """
    Where HubSpot does not say which record it wrote, the task waits: it would be linked to nothing.
    """
    world.fake.faults.then(
        Fault("status", status=200, body=b'{"results": [{"properties": {"pql_user_id": "lead-1"}}]}')
    )

    outcomes = await world.sink().deliver([qualified(1)])

    assert [Later("unavailable", "item", detail="a contact without an id")] == outcomes


async def test_a_repeat_is_looked_for(world):
    """
    A task whose first attempt arrived is found by its delivery id, and nothing is written.
    """
    sink = world.sink()
    world.fake.faults.then(None, Fault("close_after"))
    assert [Unknown] == kinds(await sink.deliver([qualified(1)]))
    world.fake.calls.clear()

    outcomes = await sink.deliver([repeated(qualified(1))])

    assert [Delivered(world.tasks()[0].id, was_there=True)] == outcomes
    assert ["/crm/objects/2026-09/tasks/search"] == [call.path for call in world.fake.calls]


async def test_a_repeat_that_did_not_arrive(world):
    """
    A task that is not found is made; one search is for all repeats of a batch, and none for the others.
    """
    sink = world.sink()
    await sink.deliver([qualified(1)])
    world.fake.calls.clear()

    outcomes = await sink.deliver([repeated(qualified(1)), repeated(qualified(2)), qualified(3)])

    assert [Delivered] * 3 == kinds(outcomes)
    assert 3 == len(world.tasks())
    (search,) = world.calls("/search")
    assert [f"{1:032x}", f"{2:032x}"] == search["filterGroups"][0]["filters"][0]["values"]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("status", status=429, headers={"Retry-After": "3"}), Later("rate_limited", "sink", 3.0, "status 429")),
        (Fault("close_before"), Later("unavailable", "sink", detail="no answer to a question")),
        (Fault("status", status=400, body=b"{}"), Refused("invalid", "")),
    ],
    ids=["limit", "no answer", "no"],
)
async def test_a_search_that_comes_to_nothing(fault, outcome, world):
    """
    Without an answer to the search no task is made: better none yet than two. What is no repeat goes on.
    """
    world.fake.faults.then(fault)

    outcomes = await world.sink().deliver([repeated(qualified(1)), qualified(2)])

    assert [outcome, Delivered] == [outcomes[0], type(outcomes[1])]
    assert [f"{2:032x}"] == [task.properties["pql_delivery_id"] for task in world.tasks()]


async def test_a_search_that_lags(world):
    """
    A task that the search does not show yet is made a second time: HubSpot allows no better, and we say so.
    """
    sink = world.sink()
    await sink.deliver([qualified(1)])
    world.fake.batches.unsearchable = {world.tasks()[0].id}

    await sink.deliver([repeated(qualified(1))])

    assert 2 == len(world.tasks())


async def test_tasks_without_our_property(world):
    """
    Where HubSpot lets no property be made on tasks, they carry no id, and repeats are not looked for.
    """
    del world.fake.account.tasks.properties["pql_delivery_id"]
    sink = world.sink(tasks=TaskSettings(id_property=""))

    outcomes = await sink.deliver([repeated(qualified(1))])

    assert [Delivered] == kinds(outcomes)
    assert [] == world.calls("/search")
    assert Delivered() == await sink.check()


async def test_a_lost_answer_to_the_contact(world):
    """
    No answer about the contact, no task, and the outcome leaves open what arrived.
    """
    world.fake.faults.then(Fault("close_after"))

    outcomes = await world.sink().deliver([qualified(1)])

    assert [Unknown] == kinds(outcomes)
    assert [] == world.tasks()


@pytest.mark.parametrize(
    ("action", "options"),
    [
        ("mail", {}),
        ("upsert", {"fields": "score"}),
        ("upsert", {"fields": {"lead_score": "score after"}}),
        ("task", {"due_after_s": "tomorrow"}),
        ("task", {"template": "missing.txt"}),
        ("task", {"subject_template": "missing.txt"}),
    ],
)
def test_routes_that_cannot_work(action, options, world):
    """
    What a route asks for is looked at before anything is sent by it.
    """
    with pytest.raises(InvalidSettings):
        world.sink().check_route(Route("r", "pql-qualified", "hubspot", action, options=options))


@pytest.mark.parametrize(
    ("action", "options"),
    [("upsert", {}), ("upsert", {"fields": {"x": "lead_id"}}), ("task", {"due_after_s": "60", "owner_id": "7"})],
)
def test_routes_that_can(action, options, world):
    """
    A good route is none of our business before its first delivery.
    """
    world.sink().check_route(Route("r", "score-changed", "hubspot", action, options=options))
