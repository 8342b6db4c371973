"""The demo's account of deliveries: what must be there, and what it says when something is not."""

from __future__ import annotations

import pytest

from pql_stream.core.routes import Condition, Route, delivery_id
from pql_stream.ops.demo.deliveries import Wanted, account
from pql_stream.testing.destinations.journal import Effect

UPSERTS = Route("contacts", "score-changed", "crm", "upsert", (Condition("tier_after", ("gold",)),))
TASKS = Route("tasks", "pql-qualified", "crm", "task")
MAILS = Route("mails", "pql-qualified", "mail", "mail")


def change(lead_id: str, sequence: int, **other: str) -> dict[str, object]:
    known = {"mode": "live", "lead_id": lead_id, "sequence": sequence, "tier_after": "gold"}
    return {**known, "change_id": f"{lead_id}:{sequence}", **other}


def qualification(lead_id: str) -> dict[str, object]:
    return {"mode": "live", "lead_id": lead_id, "qualification_id": f"q:{lead_id}"}


def effect(kind: str, route: Route, record_id: str, *, was_there: bool = False) -> Effect:
    return Effect("fake", kind, delivery_id(route, record_id), "", {}, was_there)


@pytest.fixture
def wanted() -> Wanted:
    """Three changes of u1, of which the routes take two; and a qualification of u1."""
    made = Wanted((UPSERTS, TASKS, MAILS))
    for sequence in (1, 2):
        made.take("score-changed", change("u1", sequence))
    made.take("score-changed", change("u1", 3, tier_after="silver"))
    made.take("pql-qualified", qualification("u1"))
    return made


FIRST, SECOND = (effect("contact", UPSERTS, f"u1:{sequence}") for sequence in (1, 2))
TASK = effect("task", TASKS, "q:u1")
CONTACT_OF_TASK = effect("contact", TASKS, "q:u1", was_there=True)
MAIL = effect("mail", MAILS, "q:u1")


def test_everything_has_arrived_once(wanted):
    """
    What the routes take is there, by kind; the contact that a task writes beside itself is neither a delivery nor one
    too many.
    """
    done = account(wanted, {"crm": [FIRST, SECOND, CONTACT_OF_TASK, TASK], "mail": [MAIL]}, 0)

    assert () == done.problems
    assert [("crm", 3, {"contact": 2, "task": 1}, 0), ("mail", 1, {"mail": 1}, 0)] == [
        (one.sink, one.wanted, one.arrived, one.superseded) for one in done.sinks
    ]
    assert 4 == done.wanted == len(done.arrivals)


def test_a_later_update_may_stand_for_an_earlier_one(wanted):
    """
    The first change did not come, but the second did: that is one superseded, if the worker says so too.
    """
    effects = {"crm": [SECOND, TASK], "mail": [MAIL]}

    assert () == account(wanted, effects, 1).problems
    assert ("1 deliveries have a later one in their place, and the worker says 0",) == (
        account(wanted, effects, 0).problems
    )


@pytest.mark.parametrize(
    ("crm", "mail", "problem"),
    [
        ([FIRST, SECOND, TASK], [], "mail: 1 deliveries have not arrived (mail for u1)"),
        ([FIRST, TASK], [MAIL], "crm: 1 deliveries have not arrived (upsert for u1)"),
        ([FIRST, SECOND, CONTACT_OF_TASK], [MAIL], "crm: 1 deliveries have not arrived (task for u1)"),
        ([FIRST, SECOND, TASK, TASK], [MAIL], "crm: 1 deliveries arrived more than once"),
        ([FIRST, SECOND, TASK], [MAIL, TASK], "mail: 1 deliveries arrived that no route makes"),
    ],
    ids=["none", "the_last_update", "a_task_but_its_contact", "twice", "strange"],
)
def test_what_is_wrong_is_named(wanted, crm, mail, problem):
    """
    What is missing, with whose it is; what came twice; what nobody asked for. The last change of a lead has nothing in
    its place, and a task whose contact is there is missing all the same.
    """
    told = account(wanted, {"crm": crm, "mail": mail}, 0).problems

    assert problem == told[0]
    assert 1 == len(told)


def test_a_repeat_that_was_recognised_is_no_second_arrival(wanted):
    """
    The same delivery came once more, and its destination knew it.
    """
    again = effect("mail", MAILS, "q:u1", was_there=True)

    assert () == account(wanted, {"crm": [FIRST, SECOND, TASK], "mail": [MAIL, again]}, 0).problems


def test_a_repeated_record_makes_no_second_delivery(wanted):
    """
    Scoring may publish a record again; it is the same deliveries.
    """
    wanted.take("pql-qualified", qualification("u1"))

    assert [3, 1] == [len(one) for one in wanted.by_sink.values()]
