"""Which addresses may be called, and that the one looked at is the one connected to."""

import socket
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from pql_stream.sinks.addresses import AddressGuard
from pql_stream.sinks.http import AioHttp, NotSent
from pql_stream.testing.destinations.faults import FaultScript
from pql_stream.testing.destinations.journal import Journal
from pql_stream.testing.destinations.server import serve

LOOPBACK = ip_network("127.0.0.0/8")


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a00:1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "192.0.0.8",
        "192.88.99.1",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "fec0::1",
        "3fff::1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "",
    ],
)
def test_forbidden_addresses(address):
    """
    Inside our own network, to everybody, to nobody, or an IPv4 address of that kind in a disguise: not called.
    """
    assert not AddressGuard().permits(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_public_addresses(address):
    """
    What the whole world may call, we may: also through a network that translates to IPv4.
    """
    assert AddressGuard().permits(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False), ("127.0.0.1", False), ("fd00::7", True)],
)
def test_allowed_networks(address, expected):
    """
    An allowed network opens itself and nothing beside it.
    """
    guard = AddressGuard([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])

    assert expected == guard.permits(address)


class Names(AbstractResolver):
    """Answers with a list of addresses after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.is_closed = False

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [
            {"hostname": host, "host": one, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for one in self.answers.pop(0)
        ]

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def inner():
    """A server inside our own network, and the requests it got."""
    journal = Journal()

    async def handle(request: web.Request, body: bytes) -> web.Response:
        return web.Response(body=b"secret of the inner network")

    server = await serve(handle, FaultScript(), journal=journal)
    yield server.url, journal.requests
    await server.close()


async def failure_of(http: AioHttp, url: str) -> NotSent:
    with pytest.raises(NotSent) as caught:
        await http.request("POST", url, headers={}, body=b"{}")
    await http.close()
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "localhost"])
async def test_a_forbidden_host_in_the_url(host, inner):
    """
    A literal address never goes through DNS, and is looked at all the same, however it is written.
    """
    url, requests = inner

    failure = await failure_of(AioHttp(guard=AddressGuard()), url.replace("127.0.0.1", host))

    assert failure.is_forbidden
    assert [] == requests


@pytest.mark.parametrize("found", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"]], ids=str)
async def test_a_name_with_a_forbidden_address(found, inner):
    """
    A name with one forbidden address among its own is not called at all.
    """
    url, requests = inner
    http = AioHttp(guard=AddressGuard(), resolver=Names(found))

    failure = await failure_of(http, url.replace("127.0.0.1", "rebind.example"))

    assert failure.is_forbidden
    assert [] == requests


async def test_the_address_looked_at_is_the_one_connected_to(inner):
    """
    One look at DNS per connection: a name that means another address at the second look gets no second look.
    """
    url, requests = inner
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    http = AioHttp(guard=AddressGuard([LOOPBACK]), resolver=names)

    answer = await http.request("POST", url.replace("127.0.0.1", "rebind.example"), headers={})
    await http.close()

    assert 200 == answer.status
    assert [["10.0.0.1"]] == names.answers
    assert 1 == len(requests)


async def test_an_allowed_literal_address(inner):
    """
    A literal address in an allowed network is called.
    """
    url, requests = inner
    http = AioHttp(guard=AddressGuard([LOOPBACK]))

    await http.request("POST", url, headers={})
    await http.close()

    assert 1 == len(requests)


async def test_the_resolver_is_closed(inner):
    """
    Who closes the connections closes the guarded resolver too.
    """
    url, _ = inner
    names = Names(["127.0.0.1"])
    http = AioHttp(guard=AddressGuard([LOOPBACK]), resolver=names)
    await http.request("POST", url.replace("127.0.0.1", "inner.example"), headers={})

    await http.close()

    assert names.is_closed
