"""`REDIS_URL`: what is one, TLS, and a password that nobody is told."""

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from redis.asyncio import Redis

from pql_stream.delivery.redis_connection import RedisConnection, check_url
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.errors import InvalidSettings, LedgerAway
from pql_stream.ops.brokers.redis import EmbeddedRedis
from tests.redis_space import connected


async def look(connection: RedisConnection) -> int:
    """How many repeats the ledger there knows: 0, if it answers."""
    return (await RedisLedger(connection, prefix="", sink="crm").repeats()).count


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://redis", "redis:6379"),
        ("redis://redis:6380/3", "redis:6380"),
        ("redis://:p%2Fss@redis.example.com:6379/", "redis.example.com:6379"),
        ("rediss://user:p@ss@redis:6379/0?ssl_ca_certs=/etc/ca.pem", "redis:6379"),
        ("redis://[::1]:7000", "[::1]:7000"),
        ("unix:///run/redis.sock?db=2", "/run/redis.sock"),
        ("unix://user:secret@/run/redis.sock", "/run/redis.sock"),
    ],
)
def test_the_address_in_a_url_has_no_password(url, address):
    """
    What may be shown of a URL is where Redis is, and no more.
    """
    assert address == check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "http://:secret@redis",
        "redis://:secret/x@redis:6379/0",
        "redis://user:12/secret@redis:6379/0",
        "redis://user:12#secret@redis",
        "redis://user:12?secret@redis",
        "redis://user:12?db=secret@redis",
        "redis://user:12?secret=1",
        "redis://:secret@redis:port",
        "redis://:secret@redis:99999",
        "redis://:secret@redis:0",
        "redis://:secret@redis/zero",
        "redis://:sec[ret@redis",
        "redis://:secret@",
        "unix://",
        "unix://secret/run/redis.sock",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_told(url):
    """
    Nothing of it is shown: a password that is badly escaped may stand anywhere in it.
    """
    with pytest.raises(InvalidSettings) as caught:
        RedisConnection(url)

    told = f"{caught.value} {caught.value.why} {caught.value.__cause__} {caught.value.__context__}"
    assert [] == [part for part in ("secret", "sec[ret", "user", "12") if part in told]


async def test_a_password_is_used_and_never_told(own_redis):
    """
    The right one lets us in; with a wrong one the ledger is away, and no text has either.
    """
    raw = Redis.from_url(own_redis.url)
    await raw.config_set("requirepass", "right/secret")
    await raw.aclose()
    right, wrong = (f"unix://:{word}secret@{own_redis.socket_path}" for word in ("right%2F", "wrong%2F"))
    async with connected(right) as connection:
        assert 0 == await look(connection)
    async with connected(wrong) as connection:
        with pytest.raises(LedgerAway) as caught:
            await look(connection)
        told = "".join(traceback.format_exception(caught.value)) + caught.value.why + repr(vars(connection))

    assert str(own_redis.socket_path) in caught.value.why
    assert "secret" not in told


@asynccontextmanager
async def tls_before(redis: EmbeddedRedis, authority: trustme.CA) -> AsyncIterator[int]:
    """The port of a TLS server that passes on to *redis*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
        writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(redis.socket_path))
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_tls_with_an_authority_of_ones_own(own_redis, tmp_path):
    """
    `rediss://` checks the server's certificate: against the authority that the URL names, else the system's.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with tls_before(own_redis, authority) as port:
        async with connected(f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path}/ca.pem") as connection:
            assert 0 == await look(connection)
        async with connected(f"rediss://localhost:{port}/0") as connection:
            with pytest.raises(LedgerAway, match="does not answer"):
                await look(connection)
