"""Salesforce's tokens: both grants, one token for all, one renewal."""

import asyncio

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hubspot_world import changed
from salesforce_world import NOW_S, UPSERT, key_pair, salesforce_world

from pql_stream.delivery.outcomes import Delivered, Later
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import Answer, NoAnswer, NotSent
from pql_stream.sinks.salesforce_auth import ClientCredentials, JwtBearer, Tokens
from pql_stream.testing.destinations.faults import Fault

PRIVATE, PUBLIC = key_pair()
USER = "integration@example.com"


@pytest.fixture
async def world():
    async with salesforce_world(public_key=PUBLIC, username=USER) as world:
        yield world


class ScriptedHttp:
    """An `Http` that answers as told, an answer or a failure a request. Requests wait for *gate*, if there is one."""

    def __init__(self, *answers, gate=None):
        self._answers = list(answers)
        self._gate = gate
        self.requests = 0

    async def request(self, method, url, *, headers, body=None):
        self.requests += 1
        if self._gate is not None:
            await self._gate.wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        pass


def tokens_of(http):
    return Tokens(http, "https://x.my.salesforce.com", ClientCredentials("id", "secret"), now_s=lambda: NOW_S)


def given(token):
    return Answer(200, {}, b'{"access_token": "%s"}' % token)


async def test_client_credentials(world):
    """
    The client credentials are taken, and the second attempt uses the same token.
    """
    sink = world.sink()

    outcomes = [await sink.deliver([changed(1)]), await sink.deliver([changed(2)])]

    assert [Delivered, Delivered] == [type(outcome) for (outcome,) in outcomes]
    assert 1 == world.fake.tokens_given


async def test_jwt_bearer(world):
    """
    An assertion signed with the app's key is taken: issuer, user and audience are verified, and that it lives shortly.
    """
    (outcome,) = await world.sink(grant=JwtBearer("fake-client", USER, PRIVATE)).deliver([changed(1)])

    assert isinstance(outcome, Delivered)


def test_the_assertion_says_who_for_whom_and_how_long():
    """
    Three minutes are the longest that Salesforce takes.
    """
    request = JwtBearer("client", USER, PRIVATE, audience="https://test.salesforce.com").token_request(NOW_S)

    claims = jwt.decode(request.form["assertion"], options={"verify_signature": False})
    assert "urn:ietf:params:oauth:grant-type:jwt-bearer" == request.form["grant_type"]
    assert {
        "iss": "client",
        "sub": USER,
        "aud": "https://test.salesforce.com",
        "exp": int(NOW_S) + 180,
    } == claims


@pytest.mark.parametrize(
    "grant",
    [
        ClientCredentials("fake-client", "wrong"),
        JwtBearer("other-client", USER, PRIVATE),
        JwtBearer("fake-client", "somebody@example.com", PRIVATE),
        JwtBearer("fake-client", USER, PRIVATE, audience="https://test.salesforce.com"),
        JwtBearer("fake-client", USER, key_pair()[0]),
    ],
    ids=["secret", "issuer", "user", "audience", "key"],
)
async def test_credentials_that_are_not_taken(world, grant):
    """
    No token: everything of the sink waits for somebody, and nothing was asked of the org.
    """
    (outcome,) = await world.sink(grant=grant).deliver([changed(1)])

    assert ("unauthorised", "sink") == (outcome.reason, outcome.scope)
    assert outcome.detail in {"no token: invalid_client", "no token: invalid_grant"}
    assert [] == world.paths()


async def test_an_assertion_that_is_too_old_is_not_taken(world):
    """
    The fake looks at the time: a clock of ours that is an hour slow gets no token.
    """
    world.time_s = NOW_S - 3600.0

    (outcome,) = await world.sink(grant=JwtBearer("fake-client", USER, PRIVATE)).deliver([changed(1)])

    assert "no token: invalid_grant" == outcome.detail


async def test_a_session_that_ended_is_renewed_once(world):
    """
    A 401 INVALID_SESSION_ID is followed by another token and the same call: one attempt, one effect.
    """
    sink = world.sink()
    await sink.deliver([changed(1, company="Engines")])
    world.fake.expire_token()

    (outcome,) = await sink.deliver([changed(2, company="Engines")])

    assert isinstance(outcome, Delivered)
    assert 2 == world.fake.tokens_given
    assert 3 == len(world.bodies(UPSERT))


async def test_a_session_that_ends_again_is_not_renewed_again(world):
    """
    Two 401 in one attempt are about the credentials: the third call is not made.
    """
    ended = Fault("status", status=401, body=b'[{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}]')
    world.fake.faults.always = ended

    (outcome,) = await world.sink().deliver([changed(1)])

    assert Later("unauthorised", "sink", detail="INVALID_SESSION_ID") == outcome
    assert 2 == world.fake.tokens_given
    assert 2 == len(world.paths())


async def test_a_renewal_that_is_refused(world):
    """
    The session has ended, and the app is blocked.
    """
    sink = world.sink()
    await sink.deliver([changed(1)])
    world.fake.expire_token()
    world.fake.refuses_tokens = True

    (outcome,) = await sink.deliver([changed(2)])

    assert Later("unauthorised", "sink", detail="no token: invalid_client") == outcome


async def test_another_401_is_not_answered_with_a_renewal(world):
    """
    Only the code that says so asks for another token.
    """
    world.fake.faults.always = Fault("status", status=401, body=b'[{"errorCode": "INVALID_AUTH_HEADER"}]')

    (outcome,) = await world.sink().deliver([changed(1)])

    assert Later("unauthorised", "sink", detail="INVALID_AUTH_HEADER") == outcome
    assert 1 == world.fake.tokens_given


async def test_callers_share_one_request():
    """
    Ten who find no token at the same time make one request, and all get its token.
    """
    gate = asyncio.Event()
    http = ScriptedHttp(given(b"t1"), gate=gate)
    tokens = tokens_of(http)
    callers = [asyncio.create_task(tokens.current()) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()

    assert ["t1"] * 10 == await asyncio.gather(*callers)
    assert 1 == http.requests


async def test_callers_share_one_renewal_and_one_failure():
    """
    So do those whose token has ended, also when there is none to be had; whoever comes later asks again.
    """
    http = ScriptedHttp(given(b"t1"), Answer(400, {}, b'{"error": "invalid_grant"}'), given(b"t2"))
    tokens = tokens_of(http)
    await tokens.current()

    failed = await asyncio.gather(*(tokens.current(instead_of="t1") for _ in range(5)))
    later = await tokens.current(instead_of="t1")

    assert [Later("unauthorised", "sink", detail="no token: invalid_grant")] * 5 == failed
    assert "t2" == later
    assert 3 == http.requests


async def test_a_token_that_another_caller_renewed_is_used():
    """
    Who learns late that a token has ended does not throw away the new one.
    """
    http = ScriptedHttp(given(b"t1"), given(b"t2"))
    tokens = tokens_of(http)
    await tokens.current()
    await tokens.current(instead_of="t1")

    assert "t2" == await tokens.current(instead_of="t1")
    assert 2 == http.requests


async def test_a_cancelled_caller_takes_the_token_from_nobody():
    """
    The request goes on for the others.
    """
    gate = asyncio.Event()
    tokens = tokens_of(ScriptedHttp(given(b"t1"), gate=gate))
    first, second = (asyncio.create_task(tokens.current()) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    gate.set()

    assert "t1" == await second
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)


async def test_closing_gives_up_a_request_under_way():
    """
    Nothing is left running.
    """
    tokens = tokens_of(ScriptedHttp(given(b"t1"), gate=asyncio.Event()))
    caller = asyncio.create_task(tokens.current())
    await asyncio.sleep(0)

    await tokens.close()

    assert isinstance((await asyncio.gather(caller, return_exceptions=True))[0], asyncio.CancelledError)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (NotSent("ClientConnectorError"), Later("not_connected", "sink", detail="no token: ClientConnectorError")),
        (NoAnswer("TimeoutError"), Later("unavailable", "sink", detail="no token: TimeoutError")),
        (Answer(503, {}, b"<html>"), Later("unavailable", "sink", detail="no token: status 503")),
        (Answer(500, {}, b""), Later("unavailable", "sink", detail="no token: status 500")),
        (Answer(429, {"Retry-After": "9"}, b""), Later("rate_limited", "sink", 9.0, "no token: status 429")),
        (Answer(302, {}, b""), Later("unauthorised", "sink", detail="no token: status 302")),
        (Answer(404, {}, b"<html>"), Later("unauthorised", "sink", detail="no token: status 404")),
        (Answer(400, {}, b'{"error": "a b"}'), Later("unauthorised", "sink", detail="no token: status 400")),
        (Answer(200, {}, b"<html>"), Later("unavailable", "sink", detail="no token: an answer that cannot be read")),
        (
            Answer(200, {}, b'{"access_token": "a\\nb"}'),
            Later("unavailable", "sink", detail="no token: an answer that cannot be read"),
        ),
    ],
    ids=["not sent", "no answer", "503", "500", "429", "302", "404", "no code", "noise", "no header value"],
)
async def test_no_token(answer, expected):
    """
    Whatever comes of the token request, nothing was delivered: later, and never "unknown".
    """
    assert expected == await tokens_of(ScriptedHttp(answer)).current()


@pytest.mark.parametrize("key", ["no key", PRIVATE[:-40], PUBLIC], ids=["noise", "cut", "public"])
def test_a_key_that_cannot_be_read_stops_the_start(key):
    """
    And the message shows nothing of it.
    """
    with pytest.raises(InvalidSettings) as caught:
        JwtBearer("client", USER, key)

    assert key not in f"{caught.value}{caught.value.why}"


def test_a_key_that_is_not_rsa_stops_the_start():
    """
    Salesforce takes RS256 alone.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pytest.raises(InvalidSettings, match="no RSA key"):
        JwtBearer("client", USER, pem)


def test_no_repr_shows_a_secret():
    """
    Grants and their requests may be logged by accident.
    """
    grants = [ClientCredentials("client", "s3cret"), JwtBearer("client", USER, PRIVATE)]
    shown = repr([*grants, *(grant.token_request(NOW_S) for grant in grants)])

    assert "s3cret" not in shown
    assert "PRIVATE" not in shown
    assert USER not in shown
    assert "Basic" not in shown
