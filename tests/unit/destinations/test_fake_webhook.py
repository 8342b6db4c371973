"""The receiver of webhooks verifies what the official library signs, and nothing else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from standardwebhooks import Webhook

from pql_stream.testing.destinations.webhook import FakeWebhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "QUJD" * 8
NOW_S = 1_800_000_000
BODY = '{"lead_id":"ü1"}'


class Bench:
    """A receiver with its clock at `NOW_S`, and a client."""

    def __init__(self, url: str, fake: FakeWebhook) -> None:
        self._url = url
        self.fake = fake

    async def post(self, *, body: str = BODY, secret: str = SECRET, at_s: int = NOW_S, **changes: str) -> int:
        """The status for a message that is signed by the official library, with headers changed after that."""
        at = datetime.fromtimestamp(at_s, tz=UTC)
        headers = {"id": "m1", "timestamp": str(at_s), "signature": Webhook(secret).sign("m1", at, body), **changes}
        sent = {f"webhook-{name}": value for name, value in headers.items() if value}
        async with aiohttp.ClientSession() as client, client.post(self._url, data=body, headers=sent) as response:
            return response.status


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    fake = FakeWebhook([SECRET], now_s=lambda: NOW_S)
    yield Bench(await fake.start(), fake)
    await fake.close()


async def test_a_genuine_message(bench):
    """
    What the official library signs is accepted, as one effect with the message's id.
    """
    status = await bench.post()

    assert 200 == status
    assert [("m1", "ü1", {"lead_id": "ü1"}, False)] == [
        (effect.delivery_id, effect.lead_id, effect.content, effect.was_there) for effect in bench.fake.journal.effects
    ]


async def test_a_message_with_several_signatures(bench):
    """
    One of several signatures is enough, whatever else is in the list.
    """
    good = Webhook(SECRET).sign("m1", datetime.fromtimestamp(NOW_S, tz=UTC), BODY)

    status = await bench.post(secret=OTHER, signature=f"v1a,xyz v1,AAAA {good}")

    assert 200 == status


async def test_a_repeat_is_recognised(bench):
    """
    The same id again is taken, and nobody notices.
    """
    await bench.post()

    status = await bench.post()

    assert 200 == status
    assert {"m1": 1} == bench.fake.journal.seen()
    assert 2 == len(bench.fake.journal.effects)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": OTHER},
        {"id": "m2"},
        {"id": ""},
        {"timestamp": str(NOW_S + 1)},
        {"timestamp": "now"},
        {"timestamp": ""},
        {"signature": ""},
        {"signature": "v1,"},
        {"signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"at_s": NOW_S - 301},
        {"at_s": NOW_S + 301},
    ],
    ids=str,
)
async def test_a_message_that_is_not_genuine(changes, bench):
    """
    Another secret, a changed header, or a time too far off: 401 and no effect.
    """
    status = await bench.post(**changes)

    assert 401 == status
    assert [] == bench.fake.journal.effects


@pytest.mark.parametrize("body", ["{", "[]", "{}", "1"])
async def test_a_genuine_message_of_nothing(body, bench):
    """
    A signed body that is no record of a lead: 400.
    """
    assert 400 == await bench.post(body=body)


async def test_another_method(bench):
    """
    Only POST is a message.
    """
    async with aiohttp.ClientSession() as client, client.get(bench._url) as response:
        status = response.status

    assert 405 == status
    assert [] == bench.fake.journal.effects
