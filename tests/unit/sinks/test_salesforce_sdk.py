"""The best-known client, simple-salesforce, pointed at the same fake makes the same request for the same job."""

import asyncio
import json
from contextlib import suppress
from urllib.parse import parse_qsl

import jwt
import pytest
import requests
from hubspot_world import changed, qualified, repeated
from requests.adapters import HTTPAdapter
from salesforce_world import COMPOSITE, CREDENTIALS, QUERY, UPSERT, key_pair, salesforce_world, with_lead_id
from simple_salesforce import Salesforce, format_external_id, format_soql
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin

from pql_stream.sinks.salesforce_auth import JwtBearer

PRIVATE, PUBLIC = key_pair()
USER = "integration@example.com"
ROOT = "/services/data/v66.0"


class ToTheFake(HTTPAdapter):
    """The client knows https and Salesforce's hosts alone: what it sends there goes to the fake."""

    def __init__(self, url):
        super().__init__()
        self._url = url

    def send(self, request, **kwargs):
        request.url = self._url + request.path_url
        return super().send(request, **kwargs)


@pytest.fixture
async def world():
    async with salesforce_world(public_key=PUBLIC, username=USER) as world:
        yield world


def session_of(world):
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", ToTheFake(world.url))
    return session


async def by_client(world, call):
    """The requests that the client makes for *call*, as the fake saw them."""
    before = len(world.fake.received)

    def made():
        with session_of(world) as session:
            token, _ = SalesforceLogin(
                consumer_key="fake-client", consumer_secret="fake-secret", domain="acme.my", session=session
            )
            client = Salesforce(
                session_id=token, instance_url="https://acme.my.salesforce.com", version="66.0", session=session
            )
            call(client)

    await asyncio.to_thread(made)
    _login, *seen = world.fake.received[before:]
    return seen


def same(request):
    """What must be the same of two requests. Nobody minds a slash at the end of a path."""
    content_type = request.headers.get("Content-Type", "").partition(";")[0]
    kind = request.headers["Authorization"].partition(" ")[0]
    return (request.method, request.path.rstrip("/"), dict(request.query), content_type, kind, request.body)


async def test_client_credentials(world):
    """
    The token request, with the credentials where the client puts them.
    """
    await world.sink(grant=CREDENTIALS).check()
    await by_client(world, lambda _client: None)

    ours, theirs = [one for one in world.fake.received if one.path.endswith("/token")]
    assert theirs.headers["Authorization"] == ours.headers["Authorization"]
    assert same(theirs) == same(ours)


async def test_jwt_bearer(world):
    """
    The same form, and the same claims, signed the same way.
    """
    await world.sink(grant=JwtBearer("fake-client", USER, PRIVATE)).check()

    def login():
        # The client's clock is the machine's, the fake's is not: it refuses. It was asked all the same.
        with session_of(world) as session, suppress(SalesforceAuthenticationFailed):
            SalesforceLogin(username=USER, consumer_key="fake-client", privatekey=PRIVATE, session=session)

    await asyncio.to_thread(login)

    forms = [dict(parse_qsl(one.body)) for one in world.fake.received if one.path.endswith("/token")]
    claims = [jwt.decode(form["assertion"], options={"verify_signature": False}) for form in forms]
    heads = [jwt.get_unverified_header(form["assertion"]) for form in forms]
    assert forms[1]["grant_type"] == forms[0]["grant_type"]
    assert heads[1] == heads[0]
    assert [claims[1][name] for name in ("iss", "sub", "aud")] == [claims[0][name] for name in ("iss", "sub", "aud")]
    assert set(claims[1]) == set(claims[0])


async def test_a_collection_upsert(world):
    """
    Method, path, headers and form of the request; its body is Salesforce's own example's.
    """
    await world.sink().deliver([changed(1, company="Engines Ltd")])
    (ours,) = [one for one in world.fake.received if one.path == UPSERT]

    (theirs,) = await by_client(
        world,
        lambda client: client.restful(
            "composite/sobjects/Lead/PQL_User_Id__c", method="PATCH", data=json.dumps(ours.body)
        ),
    )

    assert same(theirs) == same(ours)


@pytest.mark.parametrize("lead_id", ["lead-1", "a/b c", "ü&?#'"])
async def test_the_parts_of_a_task(world, lead_id):
    """
    Each part of our composite request is what the client sends for that step alone.
    """
    await world.sink(auto_assign="FALSE").deliver([with_lead_id(qualified(1, company="Engines Ltd"), lead_id)])
    (ours,) = [one for one in world.fake.received if one.path == COMPOSITE]
    lead, task = ours.body["compositeRequest"]
    who = world.lead(lead_id)["Id"]

    def in_two_steps(client):
        client.Lead.upsert(
            format_external_id("PQL_User_Id__c", lead_id), lead["body"], headers={"Sforce-Auto-Assign": "FALSE"}
        )
        client.Task.create({**task["body"], "WhoId": who})

    upsert, create = await by_client(world, in_two_steps)
    assert (upsert.method, upsert.path, upsert.body) == (lead["method"], lead["url"], lead["body"])
    assert lead["httpHeaders"] == {"Sforce-Auto-Assign": upsert.headers["Sforce-Auto-Assign"]}
    assert (create.method, create.path.rstrip("/")) == (task["method"], task["url"])
    assert {**task["body"], "WhoId": who} == create.body


async def test_the_whole_composite_request(world):
    """
    The client's own way to a resource leads to the same place.
    """
    await world.sink().deliver([qualified(1, company="Engines Ltd")])
    (ours,) = [one for one in world.fake.received if one.path == COMPOSITE]

    (theirs,) = await by_client(
        world, lambda client: client.restful("composite", method="POST", data=json.dumps(ours.body))
    )

    assert same(theirs) == same(ours)


async def test_the_look_for_a_repeat(world):
    """
    The query, escaped and encoded by the client.
    """
    await world.sink().deliver([repeated(qualified(1)), repeated(qualified(2))])
    ours = next(one for one in world.fake.received if one.path == QUERY)
    ids = [f"{1:032x}", f"{2:032x}"]

    (theirs,) = await by_client(
        world,
        lambda client: client.query(
            format_soql("SELECT Id, PQL_Delivery_Id__c FROM Task WHERE PQL_Delivery_Id__c IN {}", ids)
        ),
    )

    assert same(theirs) == same(ours)


async def test_the_update_of_a_converted_lead_s_contact(world):
    """
    The part that writes the contact is the client's update of it.
    """
    sink = world.sink(contact_fields={"PQL_Score__c": "score"})
    await sink.deliver([qualified(1, company="Engines Ltd")])
    contact = world.fake.org.convert("lead-1")
    await sink.deliver([qualified(1, delivery=2, score=96)])
    part, _task = world.bodies(COMPOSITE)[-1]["compositeRequest"]

    (theirs,) = await by_client(world, lambda client: client.Contact.update(contact, {"PQL_Score__c": 96}))

    assert (theirs.method, theirs.path, theirs.body) == (part["method"], part["url"], part["body"])
    assert f"{ROOT}/sobjects/Contact/{contact}" == part["url"]
