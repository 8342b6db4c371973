"""A fake's server does what its fault script says, to a plain aiohttp client."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from pql_stream.testing.destinations.faults import Fault, FaultScript
from pql_stream.testing.destinations.journal import Effect, Journal
from pql_stream.testing.destinations.server import FakeServer, serve

SHORT_S = 0.5


class Bench:
    """A server that counts its effects."""

    def __init__(self) -> None:
        self.faults = FaultScript()
        self.journal = Journal()
        self.effects: list[bytes] = []
        self.server: FakeServer
        self.client: aiohttp.ClientSession

    async def start(self) -> None:
        self.server = await serve(self._handle, self.faults, journal=self.journal, without_faults=("/token",))
        self.client = aiohttp.ClientSession()

    async def _handle(self, request: web.Request, body: bytes) -> web.Response:
        self.effects.append(body)
        return web.json_response({"done": len(self.effects)}, status=201)

    async def ask(self, path: str = "/a?b=c", *, patience_s: float = 30.0) -> tuple[int, bytes]:
        patience = aiohttp.ClientTimeout(patience_s)
        async with self.client.post(self.server.url + path, data=b"hello", timeout=patience) as response:
            return response.status, await response.read()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.start()
    yield bench
    await bench.client.close()
    await bench.server.close()


async def test_without_a_fault(bench):
    """
    No fault: the handler's effect and answer, and the request is in the journal.
    """
    answer = await bench.ask()

    assert (201, b'{"done": 1}') == answer
    assert [b"hello"] == bench.effects
    assert [("POST", "/a")] == bench.journal.requests


async def test_a_script_is_played_in_order_and_ends(bench):
    """
    One step a request, None for one that goes well, and then what is set for always.
    """
    bench.faults.then(Fault("status", status=503), None)
    bench.faults.always = Fault("status", status=410)

    statuses = [(await bench.ask())[0] for _ in range(4)]

    assert [503, 201, 410, 410] == statuses
    assert 1 == len(bench.effects)


async def test_a_path_without_faults(bench):
    """
    A token endpoint takes no step of the script.
    """
    bench.faults.then(Fault("status", status=503))

    statuses = [(await bench.ask("/token"))[0], (await bench.ask())[0]]

    assert [201, 503] == statuses


async def test_a_status(bench):
    """
    Status, headers and body as the script says, and no effect.
    """
    bench.faults.then(Fault("status", status=429, headers={"Retry-After": "1"}, body=b"slow down"))

    async with bench.client.post(bench.server.url) as response:
        answer = (response.status, response.headers["Retry-After"], await response.read())

    assert (429, "1", b"slow down") == answer
    assert [] == bench.effects


@pytest.mark.parametrize(("body", "expected"), [(b"", b"{}"), (b'{"results":[]}', b'{"results":[]}')])
async def test_a_no_op(body, expected, bench):
    """
    A friendly answer and no effect.
    """
    bench.faults.then(Fault("no_op", body=body))

    answer = await bench.ask()

    assert (200, expected) == answer
    assert [] == bench.effects


@pytest.mark.parametrize(("kind", "effects"), [("hang_before", 0), ("hang_after", 1)])
async def test_hanging(kind, effects, bench):
    """
    No answer until the client gives up, which the script can be asked for; the effect before, or not at all.
    """
    bench.faults.then(Fault(kind))

    with pytest.raises(TimeoutError):
        await bench.ask(patience_s=SHORT_S)
    await asyncio.wait_for(bench.faults.hung_up.wait(), 30)

    assert bench.faults.hanging.is_set()
    assert effects == len(bench.effects)


@pytest.mark.parametrize(("kind", "effects"), [("close_before", 0), ("close_after", 1)])
async def test_closing(kind, effects, bench):
    """
    The connection breaks instead of an answer; the effect before, or not at all.
    """
    bench.faults.then(Fault(kind))

    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await bench.ask()

    assert effects == len(bench.effects)


async def test_half_an_answer(bench):
    """
    The head and the handler's whole body arrive, and less than was promised.
    """
    bench.faults.then(Fault("half_answer"))

    async with bench.client.post(bench.server.url) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert (201, 1) == (response.status, len(bench.effects))


async def test_garbage(bench):
    """
    The effect, its status, and noise for a body.
    """
    bench.faults.then(Fault("garbage"))

    status, body = await bench.ask()

    assert (201, 1) == (status, len(bench.effects))
    assert not body.startswith(b"{")


async def test_a_huge_answer(bench):
    """
    The effect, and 64 megabytes that nobody asked for.
    """
    bench.faults.then(Fault("huge"))

    async with bench.client.post(bench.server.url) as response:
        size = sum([len(piece) async for piece in response.content.iter_chunked(1 << 20)])

    assert 64 * 1024 * 1024 == size
    assert 1 == len(bench.effects)


async def test_a_fault_breaks_no_later_request(bench):
    """
    After a fault the server goes on.
    """
    for kind in ("close_before", "half_answer", "close_after"):
        bench.faults.then(Fault(kind))
        with pytest.raises(aiohttp.ClientError):
            await bench.ask()

    assert 201 == (await bench.ask())[0]


async def test_the_server_closes_while_an_answer_hangs(bench):
    """
    Closing waits for no hanging answer.
    """
    bench.faults.always = Fault("hang_before")
    asked = asyncio.create_task(bench.ask())
    await asyncio.wait_for(bench.faults.hanging.wait(), 30)

    await asyncio.wait_for(bench.server.close(), 30)

    with pytest.raises(aiohttp.ClientError):
        await asked


def test_the_journal_counts_what_a_customer_notices():
    """
    A repeat that the destination recognised is no second effect.
    """
    journal = Journal()
    for delivery_id, was_there in (("d1", False), ("d1", True), ("d2", False), ("d2", False)):
        journal.accept(Effect("webhook", "post", delivery_id, "u1", {}, was_there))

    assert {"d1": 1, "d2": 2} == journal.seen()
