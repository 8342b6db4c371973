"""The webhook sink: its signature, its body, and what it makes of the answers."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from multidict import CIMultiDict
from standardwebhooks import Webhook, WebhookVerificationError

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.delivery.sink import Item, Traits
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import Answer, NoAnswer, NotSent
from pql_stream.sinks.webhook import BODY_BYTES_MAX, Endpoint, WebhookSink, open_webhook
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.webhook import FakeWebhook
from pql_stream.wire.deliveries import Delivery

OLD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
URL = "https://hooks.example/in/T0K3N"
ADA = LeadProfile("u1", email="ada@customer.example", first_name="Ada", company="Analytical Engines")


class Recorder:
    """`Http` that keeps the requests and gives one answer, or fails."""

    def __init__(self, answer: Answer | Exception | None = None) -> None:
        self.requests: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.answer = answer or Answer(200, CIMultiDict(), b"")

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        self.requests.append((method, url, headers, body or b""))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Nothing is open."""


def item(
    record: Mapping[str, object], *, delivery_id: str = "d1", profile: LeadProfile | None = ADA, **options
) -> Item:
    return Item(
        Delivery(
            delivery_id=delivery_id,
            sink="webhook",
            route="r",
            action="post",
            lead_id="u1",
            of="pql-qualified",
            record=dict(record),
            options=options,
            decided_at_ms=0,
        ),
        profile,
    )


def sink(http: Recorder, *secrets: str, now_s: float = 1_614_265_330.9, url: str = URL, **endpoint) -> WebhookSink:
    return WebhookSink(Endpoint(url=url, secrets=secrets or (OLD_SECRET,), **endpoint), http, now_s=lambda: now_s)


async def deliver(http: Recorder, one: Item, *secrets: str, **settings):
    """The outcome of one item."""
    [outcome] = await sink(http, *secrets, **settings).deliver([one])
    return outcome


async def test_the_official_known_answer():
    """
    The example of the specification: same id, time, body and secret, same signature.
    """
    signature = Webhook(OLD_SECRET).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1_614_265_330, tz=UTC), '{"test": 2432232314}'
    )

    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == signature


async def test_the_headers():
    """
    The delivery's id, the second of the attempt, and what the official library signs for the same message.
    """
    http = Recorder()

    await deliver(http, item({"test": 2432232314}, delivery_id="msg_p5jXN8AQM9LWM0D4loKWxJek"))

    [(method, url, headers, body)] = http.requests
    at = datetime.fromtimestamp(1_614_265_330, tz=UTC)
    assert ("POST", URL, b'{"test":2432232314}') == (method, url, body)
    assert {
        "Content-Type": "application/json",
        "User-Agent": "pql-stream",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": Webhook(OLD_SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body.decode()),
    } == headers


@pytest.mark.parametrize("secret", [OLD_SECRET, NEW_SECRET], ids=["old", "new"])
async def test_a_receiver_with_either_secret_verifies(secret):
    """
    While secrets are changed over, the official library takes a message by the old one and by the new one.
    """
    http = Recorder()

    await deliver(http, item({"lead_id": "ü1"}), NEW_SECRET, OLD_SECRET, now_s=time.time())

    [(_, _, headers, body)] = http.requests
    assert {"lead_id": "ü1"} == Webhook(secret).verify(body, dict(headers))


async def test_a_receiver_with_another_secret_does_not():
    """
    And not by one that we do not have.
    """
    http = Recorder()
    await deliver(http, item({"lead_id": "u1"}), OLD_SECRET, now_s=time.time())
    [(_, _, headers, body)] = http.requests

    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(NEW_SECRET).verify(body, dict(headers))


async def test_the_body_is_the_record_alone():
    """
    Nothing of the contact data leaves unless the route asks for it.
    """
    http = Recorder()
    record = {"lead_id": "u1", "score": 82.5, "profile": {"team_size": 8}}

    await deliver(http, item(record))

    assert record == json.loads(http.requests[0][3])


async def test_the_contact_data_that_the_route_asks_for():
    """
    The route's option names fields: these and no others, unknown ones as null.
    """
    http = Recorder()

    await deliver(http, item({"lead_id": "u1"}, contact_fields="email, phone"))

    expected = {"lead_id": "u1", "contact": {"email": "ada@customer.example", "phone": None}}
    assert expected == json.loads(http.requests[0][3])


async def test_contact_data_that_is_not_there_yet():
    """
    The profile may be on its way: the item waits, alone.
    """
    http = Recorder()

    outcome = await deliver(http, item({"lead_id": "u1"}, profile=None, contact_fields="email"))

    assert Later("busy", "item", detail="no profile yet") == outcome
    assert [] == http.requests


@pytest.mark.parametrize("option", ["emial", "email,lead_id", {"email": "email"}], ids=str)
async def test_contact_data_that_does_not_exist(option):
    """
    A wrong option is refused, and not repaired by sending something else.
    """
    http = Recorder()

    outcome = await deliver(http, item({"lead_id": "u1"}, contact_fields=option))

    assert Refused("invalid", "option contact_fields names an unknown field") == outcome
    assert [] == http.requests


@pytest.mark.parametrize(("extra", "expected"), [(0, Delivered()), (1, Refused("too_large", "a body of 20481 bytes"))])
async def test_the_largest_body(extra, expected):
    """
    20 KB go out, a byte more does not.
    """
    padding = "x" * (BODY_BYTES_MAX - len('{"a":""}') + extra)

    outcome = await deliver(Recorder(), item({"a": padding}))

    assert expected == outcome


async def test_a_larger_body_by_setting():
    """
    For an endpoint that is known to take more.
    """
    outcome = await deliver(Recorder(), item({"a": "x" * BODY_BYTES_MAX}), body_bytes_max=100_000)

    assert Delivered() == outcome


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered()),
        (202, Delivered()),
        (204, Delivered()),
        (301, Later("busy", "item", None, "status 301")),
        (307, Later("busy", "item", None, "status 307")),
        (400, Later("busy", "item", None, "status 400")),
        (401, Later("unauthorised", "sink", None, "status 401")),
        (404, Later("busy", "item", None, "status 404")),
        (410, Refused("gone", "status 410")),
        (413, Refused("too_large", "status 413")),
        (422, Later("busy", "item", None, "status 422")),
        (429, Later("rate_limited", "sink", None, "status 429")),
        (500, Later("unavailable", "item", None, "status 500")),
        (502, Later("unavailable", "sink", None, "status 502")),
        (504, Later("unavailable", "sink", None, "status 504")),
    ],
)
async def test_statuses(status, expected):
    """
    2xx alone is success, 410 alone is final for the endpoint; the rest may pass.
    """
    assert expected == await deliver(Recorder(Answer(status, CIMultiDict(), b"whatever")), item({}))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (NotSent("x"), Later("not_connected", "sink", None, "x")),
        (NotSent("x", is_forbidden=True), Refused("forbidden_address", "x")),
        (NoAnswer("x"), Unknown("x")),
        (NoAnswer("x", head=Answer(200, CIMultiDict(), b"")), Delivered()),
        (NoAnswer("x", head=Answer(503, CIMultiDict(), b"")), Later("unavailable", "sink", None, "status 503")),
    ],
)
async def test_failures(failure, expected):
    """
    A status that came is an answer, also when its body broke off.
    """
    assert expected == await deliver(Recorder(failure), item({}))


def test_the_endpoint_is_the_whole_url_and_does_not_show_it():
    """
    A 410 disables this URL: with another token it is another endpoint. The name of it is no secret.
    """
    http = Recorder(Answer(200, CIMultiDict(), b""))
    names = [sink(http, url=url).traits.endpoint for url in (URL, URL, URL + "2")]

    assert names[0] == names[1] != names[2]
    assert "T0K3N" not in "".join(names)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(405, CIMultiDict(), b""), Delivered(detail="whether it has our secret only a message shows")),
        (Answer(410, CIMultiDict(), b""), Refused("gone", "status 410")),
        (NotSent("x"), Later("not_connected", "sink", None, "x")),
        (NoAnswer("x"), Unknown("x")),
    ],
)
async def test_the_check(answer, expected):
    """
    The check asks with OPTIONS and sends no message; any answer but 410 is a good one.
    """
    http = Recorder(answer)

    outcome = await sink(http).check()

    assert expected == outcome
    assert [("OPTIONS", URL, {}, b"")] == http.requests


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://hooks.example/T0K3N"},
        {"url": "ftp://hooks.example/T0K3N", "is_http_allowed": True},
        {"url": "https:///T0K3N"},
        {"url": "https://hooks.example:port/T0K3N"},
        {"url": "T0K3N"},
        {"url": ""},
        {"secrets": ()},
        {"secrets": ("whsec_T0K3N!",)},
        {"secrets": ("T0K3",)},
        {"secrets": (OLD_SECRET, "whsec_" + base64.b64encode(bytes(65)).decode())},
        {"secrets": ("whsec_T0K3N\u00e4",)},
    ],
    ids=str,
)
def test_settings_of_no_use(changes):
    """
    A wrong URL or secret stops the start, and is not shown.
    """
    with pytest.raises(InvalidSettings) as caught:
        Endpoint(**{"url": URL, "secrets": (OLD_SECRET,), **changes})

    assert "T0K3" not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_http_by_setting():
    """
    Plain HTTP, for an endpoint in the house, is asked for by name.
    """
    assert Endpoint(url="http://hooks.internal/", secrets=(OLD_SECRET,), is_http_allowed=True)


def test_an_endpoint_shows_no_secret():
    """
    Neither URL nor secrets are in what is printed of an endpoint.
    """
    shown = repr(Endpoint(url=URL, secrets=(OLD_SECRET,)))

    assert "Endpoint(is_http_allowed=False, body_bytes_max=20480, rate_per_s=30)" == shown


async def test_a_private_address_is_not_called():
    """
    As opened, the sink calls nothing in our own network, and says why.
    """
    fake = FakeWebhook([OLD_SECRET])
    endpoint = Endpoint(url=await fake.start(), secrets=(OLD_SECRET,), is_http_allowed=True)
    webhook = open_webhook(endpoint, now_s=time.time)

    [outcome] = await webhook.deliver([item({"lead_id": "u1"})])
    await webhook.close()
    await fake.close()

    assert Refused("forbidden_address", "ClientConnectorError") == outcome
    assert [] == fake.journal.requests


async def test_a_410_of_a_real_server():
    """
    It is "gone" and nothing else; that nothing follows it is the delivery loop's (unit/delivery/test_disabled.py).
    """
    fake = FakeWebhook([OLD_SECRET])
    endpoint = Endpoint(url=await fake.start(), secrets=(OLD_SECRET,), is_http_allowed=True)
    webhook = open_webhook(endpoint, now_s=time.time, allowed_networks=[ip_network("127.0.0.0/8")])
    fake.faults.then(Fault("status", status=410))

    outcomes = await webhook.deliver([item({"lead_id": "u1"})])
    await webhook.close()
    await fake.close()

    assert [Refused("gone", "status 410")] == outcomes


def test_traits():
    """
    One item an attempt, at the rate that was set, with no channels.
    """
    webhook = sink(Recorder(), rate_per_s=500)

    assert Traits(
        batch_max=1, repeatable=frozenset({"post"}), needs_profile=False, rate=500, rate_period_s=1.0
    ) == replace(webhook.traits, endpoint="")
    assert "" == webhook.channel_of(item({}))
