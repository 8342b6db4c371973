"""What HubSpot's own statuses mean: limits, locks, keys, paths that are gone; and the check."""

import orjson
import pytest
from hubspot_world import NOW_S, changed, hubspot_world

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.testing.destinations.faults import Fault


@pytest.fixture
async def world():
    async with hubspot_world() as world:
        yield world


async def test_the_daily_quota_ends_at_the_account_s_midnight(world):
    """
    After a check, which learns the time zone, a used-up quota waits for the account's midnight, and a minute more.
    """
    sink = world.sink()
    assert Delivered() == await sink.check()
    world.fake.limits.daily = 0

    outcomes = await sink.deliver([changed(1), changed(2)])

    at_three = 21 * 3600.0
    assert [Later("quota_used_up", "sink", at_three + 60, "status 429 DAILY")] * 2 == outcomes


async def test_the_daily_quota_without_a_time_zone(world):
    """
    Where the midnight is not known, we ask again in an hour.
    """
    world.fake.limits.daily = 0

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("quota_used_up", "sink", 3600.0, "status 429 DAILY")] == outcomes


async def test_the_daily_quota_with_a_time(world):
    """
    What HubSpot asks for is believed first.
    """
    world.fake.limits.daily = 0
    world.fake.limits.retry_after = "7200"

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("quota_used_up", "sink", 7200.0, "status 429 DAILY")] == outcomes


@pytest.mark.parametrize(("retry_after", "after_s"), [("4", 4.0), (None, None)])
async def test_the_ten_secondly_limit(retry_after, after_s, world):
    """
    The limit of ten seconds is a rate limit.
    """
    world.fake.limits.ten_secondly = 0
    world.fake.limits.retry_after = retry_after

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("rate_limited", "sink", after_s, "status 429")] == outcomes


async def test_a_lock(world):
    """
    A 423 is over after two seconds.
    """
    world.fake.locked = True

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("busy", "sink", 2.0, "status 423")] == outcomes


async def test_an_account_that_moves(world):
    """
    A 477 says how long the account moves to another data centre.
    """
    world.fake.faults.then(Fault("status", status=477, headers={"Retry-After": "86400"}))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("unavailable", "sink", 86_400.0, "status 477")] == outcomes


@pytest.mark.parametrize("status", [404, 410])
async def test_a_path_that_is_gone(status, world):
    """
    A version that HubSpot serves no more refuses no lead: everything waits until somebody names another.
    """
    world.fake.faults.then(Fault("status", status=status, body=b"<html>Not Found</html>"))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("unavailable", "sink", detail=f"status {status}: no such call in 2026-09")] == outcomes


async def test_a_wrong_key(world):
    """
    A key that HubSpot does not know is somebody's work, and nothing is thrown away.
    """
    outcomes = await world.sink(service_key="pat-other").deliver([changed(1)])

    assert [Later("unauthorised", "sink", detail="status 401")] == outcomes


async def test_a_key_without_the_scopes(world):
    """
    The same for a key that may not do this.
    """
    world.fake.scopes_missing = True

    outcomes = await world.sink().deliver([changed(1)])

    assert [Later("unauthorised", "sink", detail="status 403")] == outcomes


@pytest.mark.parametrize("body", [b"", b"[]", b'"ok"', b"{"], ids=["empty", "array", "string", "half"])
async def test_an_answer_that_is_no_object(body, world):
    """
    A 200 that says nothing leaves open what was done.
    """
    world.fake.faults.then(Fault("status", status=200, body=body))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Unknown("an answer that is no JSON object")] == outcomes


@pytest.mark.parametrize(
    "body",
    [
        {"results": 5, "errors": "x"},
        {"results": [None, 5, {"id": 3}], "errors": [None, {"context": 5}, {"context": {"objectWriteTraceId": "x"}}]},
        {"results": [{"objectWriteTraceId": ["x"]}], "errors": [{"errors": [{"context": {"propertyName": {}}}]}]},
        {"results": [{"id": "1", "objectWriteTraceId": "another"}]},
    ],
)
async def test_an_answer_of_another_form(body, world):
    """
    An answer that is not of the form that we know never is a delivery, and never an exception.
    """
    world.fake.faults.then(Fault("status", status=200, body=orjson.dumps(body)))

    outcomes = await world.sink().deliver([changed(1)])

    assert [Unknown] == [type(outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    ("category", "outcome"),
    [
        ("RATE_LIMITS", Later("rate_limited", "item", detail="RATE_LIMITS")),
        ("INTERNAL_ERROR", Later("unavailable", "item", detail="INTERNAL_ERROR")),
        (None, Later("unavailable", "item")),
        ("OBJECT_NOT_FOUND", Refused("not_found", "OBJECT_NOT_FOUND")),
        ("OBJECT_ALREADY_EXISTS", Refused("conflict", "OBJECT_ALREADY_EXISTS")),
    ],
)
async def test_categories_of_a_partial_answer(category, outcome, world):
    """
    What an error of one input means is told by its category; one that we do not know may pass.
    """
    error = {"category": category, "context": {"objectWriteTraceId": [f"{1:032x}"]}}
    world.fake.faults.then(Fault("status", status=207, body=orjson.dumps({"results": [], "errors": [error]})))

    outcomes = await world.sink().deliver([changed(1)])

    assert [outcome] == outcomes


async def test_the_check_of_an_account_that_is_not_set_up():
    """
    The check names the properties that are missing.
    """
    async with hubspot_world(is_set_up=False) as world:
        outcome = await world.sink(fields={"lead_score": ""}).check()

        assert "not_found" == outcome.reason
        assert outcome.detail.startswith("no contacts property pql_user_id, score_category, ")
        assert "lead_score" not in outcome.detail


async def test_the_check_looks_at_tasks(world):
    """
    The property on tasks is looked for as well.
    """
    del world.fake.account.tasks.properties["pql_delivery_id"]

    outcome = await world.sink().check()

    assert Refused("not_found", "no tasks property pql_delivery_id: set HubSpot up first") == outcome


async def test_the_check_of_a_wrong_key(world):
    """
    The check says when the key is not taken.
    """
    assert Later("unauthorised", "sink", detail="status 401") == await world.sink(service_key="other").check()


async def test_the_check_of_a_refusal(world):
    """
    A refusal to list properties is what the check says.
    """
    world.fake.faults.then(Fault("status", status=400, body=b'{"category": "VALIDATION_ERROR"}'))

    assert Refused("invalid", "VALIDATION_ERROR") == await world.sink().check()


async def test_a_check_without_the_time_zone(world):
    """
    A key that may not read the account's details is good all the same.
    """
    world.fake.faults.then(None, None, Fault("status", status=403))

    assert Delivered() == await world.sink().check()


def test_the_time_of_the_clock():
    """
    The times above are those of the clock that the tests show.
    """
    assert 8 * 3600.0 == NOW_S % 86_400
