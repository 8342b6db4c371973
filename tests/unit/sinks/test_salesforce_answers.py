"""What Salesforce's answers mean, its limits header, its query texts, and the settings."""

import json
from urllib.parse import quote

import pytest
from hubspot_world import changed, qualified, repeated
from hypothesis import given
from hypothesis import strategies as st
from salesforce_world import salesforce_world
from simple_salesforce import format_soql

from pql_stream.delivery.outcomes import Delivered, Later, Refused
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import Answer
from pql_stream.sinks.salesforce_answers import (
    ApiError,
    errors_in,
    is_session_over,
    outcome_of_answer,
    outcome_of_errors,
)
from pql_stream.sinks.salesforce_api import soql_lists, soql_text
from pql_stream.sinks.salesforce_settings import SalesforceSettings
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.salesforce_soql import MalformedQuery, parse_query

KEY = "PQL_User_Id__c"


@pytest.fixture
async def world():
    async with salesforce_world() as world:
        yield world


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ApiError("UNABLE_TO_LOCK_ROW"), Later("busy", "item", detail="UNABLE_TO_LOCK_ROW")),
        (
            ApiError(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "trigger: System.LimitException: Too many SOQL queries: 101"
            ),
            Later("busy", "item", detail="CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        ),
        (
            ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "trigger: System.NullPointerException"),
            Refused("invalid", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        ),
        (
            ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            Later("quota_used_up", "sink", detail="REQUEST_LIMIT_EXCEEDED"),
        ),
        (
            ApiError("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
            Later("rate_limited", "sink", detail="REQUEST_LIMIT_EXCEEDED"),
        ),
        (ApiError("STORAGE_LIMIT_EXCEEDED"), Later("quota_used_up", "sink", detail="STORAGE_LIMIT_EXCEEDED")),
        (ApiError("SERVER_UNAVAILABLE"), Later("unavailable", "sink", detail="SERVER_UNAVAILABLE")),
        (ApiError("API_DISABLED_FOR_ORG"), Later("unauthorised", "sink", detail="API_DISABLED_FOR_ORG")),
        (
            ApiError(
                "DUPLICATE_VALUE", "duplicate value found: PQL_User_Id__c duplicates value on record with id: 00Q"
            ),
            Later("busy", "item", detail="DUPLICATE_VALUE"),
        ),
        (ApiError("DUPLICATE_VALUE", "duplicate value found: Tax_Id__c"), Refused("conflict", "DUPLICATE_VALUE")),
        (ApiError("DUPLICATES_DETECTED"), Refused("conflict", "DUPLICATES_DETECTED")),
        (ApiError("DUPLICATE_EXTERNAL_ID"), Refused("conflict", "DUPLICATE_EXTERNAL_ID")),
        (ApiError("INVALID_CROSS_REFERENCE_KEY"), Refused("not_found", "INVALID_CROSS_REFERENCE_KEY")),
        (ApiError("STRING_TOO_LONG"), Refused("invalid", "STRING_TOO_LONG")),
        (ApiError("FIELD_CUSTOM_VALIDATION_EXCEPTION"), Refused("invalid", "FIELD_CUSTOM_VALIDATION_EXCEPTION")),
        (ApiError("REQUIRED_FIELD_MISSING"), Refused("invalid", "REQUIRED_FIELD_MISSING")),
    ],
    ids=lambda value: value.code if isinstance(value, ApiError) else "",
)
def test_an_error_of_a_record(error, expected):
    """
    Each code has its outcome, and nothing but the code is told.
    """
    assert expected == outcome_of_errors([error], key_field=KEY)


def test_a_record_without_an_error_that_can_be_read():
    """
    "Not written", and no word why.
    """
    assert Refused("invalid", "an error without a code") == outcome_of_errors([], key_field=KEY)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'[{"errorCode":"JSON_PARSER_ERROR","message":"x"}]', Refused("invalid", "JSON_PARSER_ERROR")),
        (400, b'[{"errorCode":"UNABLE_TO_LOCK_ROW"}]', Later("busy", "item", detail="UNABLE_TO_LOCK_ROW")),
        (400, b'{"errorCode":"INVALID_FIELD"}', Refused("invalid", "INVALID_FIELD")),
        (400, b"<html>", Refused("invalid", "status 400")),
        (401, b'[{"errorCode":"INVALID_AUTH_HEADER"}]', Later("unauthorised", "sink", detail="INVALID_AUTH_HEADER")),
        (
            403,
            b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]',
            Later("quota_used_up", "sink", detail="REQUEST_LIMIT_EXCEEDED"),
        ),
        (403, b'[{"errorCode":"INSUFFICIENT_ACCESS"}]', Later("unauthorised", "sink", detail="INSUFFICIENT_ACCESS")),
        (404, b'[{"errorCode":"NOT_FOUND"}]', Later("unauthorised", "sink", detail="NOT_FOUND")),
        (
            410,
            b'[{"errorCode":"UNSUPPORTED_API_VERSION"}]',
            Later("unauthorised", "sink", detail="UNSUPPORTED_API_VERSION"),
        ),
        (302, b"<html>", Later("unauthorised", "sink", detail="status 302")),
        (413, b"", Refused("too_large", "status 413")),
        (500, b"<soapenv:Envelope/>", Later("unavailable", "item", detail="status 500")),
        (503, b'[{"errorCode":"SERVER_UNAVAILABLE"}]', Later("unavailable", "sink", detail="status 503")),
        (503, b"<html>Down for maintenance</html>", Later("unavailable", "sink", detail="status 503")),
    ],
)
def test_an_answer_about_the_whole_request(status, body, expected):
    """
    Arrays, a single object, SOAP and HTML: the status and the code, and no text.
    """
    assert expected == outcome_of_answer(Answer(status, {}, body), now_s=0.0, key_field=KEY)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["errorCode", "statusCode", "message", "fields"]) | st.text(), inner)
        ),
    )
)
def test_errors_of_any_body(said):
    """
    Whatever JSON comes, the codes that are found look like codes, and nothing is raised.
    """
    for error in errors_in(said):
        assert error.code.isidentifier()


def test_those_that_only_say_that_another_failed_are_left_out():
    """
    The first error that is left is the one that matters.
    """
    said = [{"errorCode": "PROCESSING_HALTED"}, {"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK"}, {"errorCode": "X"}]

    assert (ApiError("X"),) == errors_in(said)


@pytest.mark.parametrize(("status", "expected"), [(401, True), (403, False)])
def test_the_end_of_a_session(status, expected):
    """
    It takes the status and the code.
    """
    assert expected is is_session_over(Answer(status, {}, b'[{"errorCode":"INVALID_SESSION_ID"}]'))


@given(st.text())
def test_a_query_text_is_escaped_as_the_official_client_does(value):
    """
    Any text: equal to what simple-salesforce writes, and read back as what it was.
    """
    literal = soql_text(value)

    assert format_soql("{}", value) == literal
    assert {"Id": (value,)} == parse_query(f"SELECT Id FROM Task WHERE Id = {literal}").where


def test_a_quote_that_is_not_escaped_is_another_query():
    """
    The fake would notice.
    """
    with pytest.raises(MalformedQuery):
        parse_query("SELECT Id FROM Task WHERE Id = 'o'clock'")


@given(st.lists(st.text(max_size=256), unique=True, max_size=60))
def test_lists_of_any_values_fit_in_a_url(values):
    """
    All values come, once and in order, in pieces that stay under Salesforce's limit.
    """
    lists = list(soql_lists(values))
    read = [parse_query(f"SELECT Id FROM Task WHERE Id IN {one}").where["Id"] for one in lists]

    assert values == [value for some in read for value in some]
    assert all(len(quote(one, safe="")) < 6_100 for one in lists)


@pytest.mark.parametrize(
    "page",
    [
        {"done": False, "records": [], "nextRecordsUrl": "/x"},
        {"done": True, "records": ["x"]},
        {"done": True},
        [],
    ],
    ids=["more pages", "no record", "no records", "no page"],
)
async def test_a_page_that_cannot_be_read(world, page):
    """
    It is no "there is none": that would make a second task.
    """
    world.fake.faults.always = Fault("no_op", body=json.dumps(page).encode())

    (outcome,) = await world.sink().deliver([repeated(qualified(1))])

    assert Later("unavailable", "sink", detail="an answer that cannot be read") == outcome


async def test_the_share_of_calls_that_is_left_is_told(world):
    """
    Each answer says how many of the day's calls were made; a metric hears it.
    """
    world.fake.calls_max = 200
    world.fake.calls = 149

    await world.sink().deliver([changed(1, company="Engines")])

    assert 0.25 == world.sinks[-1].calls_left


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("api-usage=18/5000; per-app-api-usage=17/250(appName=x)", 1 - 18 / 5000),
        ("per-app-api-usage=17/250(appName=x); api-usage=50/100", 0.5),
        ("api-usage=120/100", 0.0),
        ("api-usage=1/0", None),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("nonsense", None),
    ],
)
async def test_forms_of_the_limits_header(world, header, expected):
    """
    The org's number counts, not that of an app; nonsense is no number.
    """
    world.fake.faults.always = Fault("status", status=500, headers={"Sforce-Limit-Info": header})

    await world.sink().deliver([changed(1)])

    assert expected == world.sinks[-1].calls_left


async def test_the_day_s_calls_are_used_up(world):
    """
    403 REQUEST_LIMIT_EXCEEDED pauses the sink, and nothing was done.
    """
    world.fake.calls_max = 0

    (outcome,) = await world.sink().deliver([changed(1)])

    assert Later("quota_used_up", "sink", detail="REQUEST_LIMIT_EXCEEDED") == outcome
    assert [] == world.fake.journal.effects


async def test_the_check_shows_that_the_external_id_field_is_missing(world):
    """
    Good credentials are not enough.
    """
    assert Delivered() == await world.sink().check()
    assert Refused("invalid", "INVALID_FIELD") == await world.sink(external_id_field="Other_Id__c").check()


async def test_an_api_version_that_the_org_does_not_have(world):
    """
    Nothing will pass until somebody acts, so nothing is thrown away.
    """
    world.fake.faults.always = Fault("status", status=404, body=json.dumps([{"errorCode": "NOT_FOUND"}]).encode())

    (outcome,) = await world.sink().deliver([changed(1)])

    assert Later("unauthorised", "sink", detail="NOT_FOUND") == outcome


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://acme.my.salesforce.com"},
        {"base_url": "https://acme.my.salesforce.com/"},
        {"base_url": "acme.my.salesforce.com"},
        {"base_url": "https://user:word@acme.my.salesforce.com"},
        {"api_version": "66"},
        {"external_id_field": "Id' OR Name = 'x"},
        {"delivery_id_field": ""},
        {"fields": {"PQL_Score__c": "score after"}},
        {"contact_fields": {"PQL_Score__c": "|"}},
    ],
    ids=["not encrypted", "slash", "no scheme", "password", "version", "key", "delivery id", "mapping", "contacts"],
)
def test_settings_that_cannot_be(settings):
    """
    They stop the start.
    """
    with pytest.raises(InvalidSettings):
        SalesforceSettings(**{"base_url": "https://acme.my.salesforce.com", **settings})
