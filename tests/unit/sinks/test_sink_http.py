"""One request with a real aiohttp client against a server that errs: what surely did not arrive, and what may have."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from pql_stream.sinks.http import ANSWER_BYTES_MAX, AioHttp, NoAnswer, NotSent
from pql_stream.testing.destinations.faults import Fault, FaultScript
from pql_stream.testing.destinations.journal import Journal
from pql_stream.testing.destinations.server import FakeServer, serve

SHORT_S = 0.5
TOKEN = "T0K3N"


class Bench:
    """A server that does as it is told, and counts."""

    def __init__(self) -> None:
        self.faults = FaultScript()
        self.journal = Journal()
        self.answer = web.Response
        self.bodies: list[bytes] = []
        self.server: FakeServer
        self.http = AioHttp()

    async def start(self) -> "Bench":
        self.server = await serve(self._handle, self.faults, journal=self.journal)
        return self

    async def _handle(self, request: web.Request, body: bytes) -> web.Response:
        self.bodies.append(body)
        return self.answer()

    async def ask(self, method: str = "POST", *, http: AioHttp | None = None):
        return await (http or self.http).request(method, f"{self.server.url}/{TOKEN}", headers={}, body=b"{}")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await Bench().start()
    yield bench
    await bench.http.close()
    await bench.server.close()


class Names(AbstractResolver):
    """A resolver that hangs, or knows no name."""

    def __init__(self, *, hangs: bool) -> None:
        self._hangs = hangs

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        if self._hangs:
            await asyncio.Event().wait()
        raise OSError(None, f"no such name: {host}")

    async def close(self) -> None:
        """Nothing is open."""


async def failure_of(http: AioHttp, url: str, method: str = "POST") -> Exception:
    """What a request fails with."""
    with pytest.raises((NotSent, NoAnswer)) as caught:
        await http.request(method, url, headers={}, body=b"{}")
    await http.close()
    return caught.value


async def test_a_whole_answer(bench):
    """
    Status, headers without case and body come back; JSON is read when it is some.
    """
    bench.answer = lambda: web.json_response({"a": 1}, status=207, headers={"X-Limit": "9"})

    answer = await bench.ask()

    assert (207, "9", {"a": 1}) == (answer.status, answer.headers["x-limit"], answer.json())


async def test_a_body_that_is_no_json(bench):
    """
    A body that is no JSON reads as None.
    """
    bench.answer = lambda: web.Response(body=b"<html>")

    answer = await bench.ask()

    assert (b"<html>", None) == (answer.body, answer.json())


async def test_a_refused_connection_sent_nothing(bench):
    """
    Where nobody listens, nothing arrived.
    """
    await bench.server.close()

    failure = await failure_of(AioHttp(), bench.server.url)

    assert (NotSent, "ClientConnectorError", False) == (type(failure), str(failure), failure.is_forbidden)


async def test_an_unknown_name_sent_nothing():
    """
    A name that does not resolve: nothing arrived.
    """
    failure = await failure_of(AioHttp(resolver=Names(hangs=False)), "http://gone.example/")

    assert (NotSent, "ClientConnectorDNSError") == (type(failure), str(failure))


@pytest.mark.parametrize("timeouts", [{"connect_timeout_s": SHORT_S}, {"total_timeout_s": SHORT_S}], ids=str)
async def test_a_time_out_while_connecting_sent_nothing(timeouts):
    """
    DNS that does not answer: nothing arrived, whichever of the two time-outs ends it.
    """
    failure = await failure_of(AioHttp(resolver=Names(hangs=True), **timeouts), "http://slow.example/")

    assert NotSent is type(failure)


@pytest.mark.parametrize("timeouts", [{"connect_timeout_s": SHORT_S}, {"total_timeout_s": SHORT_S}], ids=str)
async def test_a_time_out_in_the_tls_handshake_sent_nothing(timeouts):
    """
    A server that accepts and never says hello: the request was not written yet.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failure = await failure_of(AioHttp(**timeouts), f"https://127.0.0.1:{silent.getsockname()[1]}/")

    assert NotSent is type(failure)


async def test_a_certificate_that_is_not_trusted_sent_nothing():
    """
    A certificate of a stranger: the request was not written.
    """
    authority = trustme.CA()
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=server_tls)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    failure = await failure_of(AioHttp(), url)
    server.close()

    assert (NotSent, "ClientConnectorCertificateError") == (type(failure), str(failure))


async def test_no_tls_where_it_is_expected_sent_nothing(bench):
    """
    https to a port of plain HTTP: the request was not written.
    """
    failure = await failure_of(AioHttp(), bench.server.url.replace("http:", "https:"))

    assert NotSent is type(failure)
    assert [] == bench.journal.requests


async def test_https_with_a_certificate_that_is_trusted():
    """
    *tls* takes the place of the machine's own authorities.
    """
    authority = trustme.CA()
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    app = web.Application()
    app.router.add_get("/", _hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls).start()
    http = AioHttp(tls=client_tls)

    answer = await http.request("GET", f"https://127.0.0.1:{runner.addresses[0][1]}/", headers={})
    await http.close()
    await runner.cleanup()

    assert b"hello" == answer.body


async def _hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def test_an_address_that_is_none_is_not_called():
    """
    What aiohttp does not take for a URL is never called, and no time will make it better.
    """
    failure = await failure_of(AioHttp(), "http://2130706433/")

    assert (NotSent, True) == (type(failure), failure.is_forbidden)


@pytest.mark.parametrize("kind", ["hang_before", "hang_after"])
async def test_no_answer_in_time(kind, bench):
    """
    The request is out and the time is over: nobody knows.
    """
    bench.faults.always = Fault(kind)

    failure = await failure_of(AioHttp(total_timeout_s=SHORT_S), bench.server.url)

    assert (NoAnswer, None) == (type(failure), failure.head)


@pytest.mark.parametrize("kind", ["close_before", "close_after"])
async def test_a_connection_that_breaks(kind, bench):
    """
    The request is out and the connection gone: nobody knows.
    """
    bench.faults.always = Fault(kind)

    failure = await failure_of(AioHttp(), bench.server.url)

    assert (NoAnswer, None) == (type(failure), failure.head)


async def test_half_an_answer_has_a_head(bench):
    """
    Of an answer that breaks off, status and headers are kept: to some that is all they ask.
    """
    bench.answer = lambda: web.Response(status=429, headers={"Retry-After": "3"}, body=b"{")
    bench.faults.always = Fault("half_answer")

    failure = await failure_of(AioHttp(), bench.server.url)

    assert (NoAnswer, 429, b"") == (type(failure), failure.head.status, failure.head.body)


async def test_a_huge_answer_is_not_read(bench):
    """
    Past the limit we stop reading, and hang up.
    """
    bench.faults.always = Fault("huge")

    failure = await failure_of(AioHttp(), bench.server.url)

    assert (NoAnswer, "the answer is too large", 200) == (type(failure), str(failure), failure.head.status)


async def test_the_largest_answer_is_read(bench):
    """
    The limit itself is not past it.
    """
    bench.answer = lambda: web.Response(body=b"x" * ANSWER_BYTES_MAX)

    answer = await bench.ask()

    assert ANSWER_BYTES_MAX == len(answer.body)


async def test_a_small_answer_that_unpacks_to_a_huge_one(bench):
    """
    The limit is of what an answer unpacks to.
    """
    bomb = gzip.compress(bytes(ANSWER_BYTES_MAX * 4))
    bench.answer = lambda: web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    failure = await failure_of(AioHttp(), bench.server.url)

    assert NoAnswer is type(failure)


async def test_an_answer_that_is_no_http():
    """
    A server of something else got our bytes and said something: nobody knows.
    """

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    failure = await failure_of(AioHttp(), url)
    server.close()

    assert NoAnswer is type(failure)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_a_request_is_made_once(method, bench):
    """
    On a kept connection that breaks, aiohttp would ask again by itself for GET, PUT and DELETE; it must not.
    """
    await bench.ask("GET")
    bench.faults.always = Fault("close_after")

    with pytest.raises(NoAnswer):
        await bench.ask(method)

    assert [("GET", f"/{TOKEN}"), (method, f"/{TOKEN}")] == bench.journal.requests


async def test_aiohttp_alone_would_repeat(bench):
    """
    Why that has to be tested: without our doing a PUT arrives twice. When this fails, our doing can go.
    """
    bench.faults.then(None, Fault("close_after"), None)
    async with aiohttp.ClientSession() as session:
        await (await session.put(bench.server.url)).read()

        await session.put(bench.server.url)

    assert 3 == len(bench.journal.requests)


async def test_redirects_are_not_followed(bench):
    """
    A redirect is an answer like others.
    """
    bench.answer = lambda: web.Response(status=307, headers={"Location": "/elsewhere"})

    answer = await bench.ask()

    assert 307 == answer.status
    assert 1 == len(bench.journal.requests)


async def test_cookies_are_not_kept(bench):
    """
    What one answer sets comes back with no later request: credentials are what a sink says.
    """
    seen = []

    def answer() -> web.Response:
        response = web.Response()
        response.set_cookie("session", "1")
        return response

    async def handle(request: web.Request, body: bytes) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return answer()

    server = await serve(handle, FaultScript())
    for _ in range(2):
        await bench.http.request("POST", server.url.replace("127.0.0.1", "localhost"), headers={})
    await server.close()

    assert [None, None] == seen


@pytest.mark.parametrize("kind", ["close_before", "hang_before"])
async def test_no_exception_names_the_address(kind, bench):
    """
    A URL may carry a token; neither the failure nor what is printed of its causes shows it.
    """
    bench.faults.always = Fault(kind)

    failure = await failure_of(AioHttp(total_timeout_s=SHORT_S), f"{bench.server.url}/{TOKEN}")

    assert TOKEN not in repr(failure)
    assert failure.__suppress_context__
    assert failure.__cause__ is None


async def test_a_connection_is_used_again(bench):
    """
    Answers that were read whole leave their connection to the next request.
    """
    ports = set()

    async def handle(request: web.Request, body: bytes) -> web.Response:
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(body=b"ok")

    server = await serve(handle, FaultScript())
    for _ in range(3):
        await bench.http.request("POST", server.url, headers={}, body=b"{}")
    await server.close()

    assert 1 == len(ports)
