"""
One HTTP request and what came of it, for every sink that speaks HTTP.

What matters to a delivery is whether the request can have arrived: `NotSent` says surely not, `NoAnswer` says
nobody knows.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict, CIMultiDictProxy

from pql_stream.sinks.addresses import AddressGuard, ForbiddenAddress

CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Two hundred items' answers are far below; a larger answer is not read."""
_IDLE_S_MAX = 4.0
"""
How long a connection is kept for the next request. A server that closes an idle one while our request is on its way
makes an unknown outcome of it; the usual limits of servers begin at 5 s (Node).
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer. Header names are without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON; None when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class NotSent(Exception):
    """
    No connection: nothing of the request can have arrived. Its text names no address and no secret.

    Attributes: `is_forbidden`, the address is one that we must not call.
    """

    def __init__(self, what: str, *, is_forbidden: bool = False) -> None:
        super().__init__(what)
        self.is_forbidden = is_forbidden


class NoAnswer(Exception):
    """
    The request went out, or part of it, and no whole answer came: it may have been carried out.

    Attributes: `head`, status and headers of the answer, with an empty body, where as much as that came; to some
    destinations the status says it all.
    """

    def __init__(self, what: str, *, head: Answer | None = None) -> None:
        super().__init__(what)
        self.head = head


class Http(Protocol):
    """Makes one request."""

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """
        Make the request, once; redirects are not followed.

        Raises:
            NotSent: there was no connection.
            NoAnswer: there was one, and no whole answer in time.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class AioHttp:
    """
    `Http` by aiohttp. A session is made at the first request, in the loop that uses it.

    *guard*: addresses that it forbids are not connected to. *resolver*, which is closed with this, and *tls* stand in
    for the machine's own.
    """

    def __init__(
        self,
        *,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        guard: AddressGuard | None = None,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # "connect" is everything before a request can be written: waiting for a free
        # connection, DNS, every address that is tried, TLS.
        self._timeout = aiohttp.ClientTimeout(total=total_timeout_s, connect=connect_timeout_s)
        self._guard = guard
        self._resolver = resolver
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """As `Http` says."""
        session = self._session or self._open()
        progress = SimpleNamespace(is_connected=False)
        head: Answer | None = None
        try:
            async with session.request(
                method, url, headers=headers, data=body, allow_redirects=False, trace_request_ctx=progress
            ) as response:
                head = Answer(response.status, CIMultiDictProxy(CIMultiDict(response.headers)), b"")
                return Answer(head.status, head.headers, await _whole_body(response.content))
        except (TimeoutError, aiohttp.ClientError, OSError, _TooLarge, _Disconnected) as exc:
            # "from None": aiohttp's texts name the address, which may be a secret.
            if progress.is_connected:
                raise NoAnswer(_kind_of(exc), head=head) from None
            raise NotSent(_kind_of(exc), is_forbidden=_is_forbidden(exc)) from None

    async def close(self) -> None:
        """As `Http` says."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._resolver is not None:
            await self._resolver.close()  # aiohttp closes none that it was given

    def _open(self) -> aiohttp.ClientSession:
        guard = self._guard
        self._resolver = self._resolver or aiohttp.DefaultResolver()
        connector = aiohttp.TCPConnector(
            resolver=self._resolver if guard is None else guard.resolver(self._resolver),
            socket_factory=None if guard is None else guard.socket,
            ssl=self._tls or True,
            keepalive_timeout=_IDLE_S_MAX,
        )
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_once],
            trace_configs=[_connection_trace()],
        )
        return self._session


class _TooLarge(Exception):
    """An answer over `ANSWER_BYTES_MAX`."""


class _Disconnected(Exception):
    """A connection that broke under a request."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """
    Keep aiohttp from a second attempt of its own.

    It repeats GET, PUT and DELETE when a connection breaks, and has no switch for that. But it knows the case by
    these exceptions, and repeats nothing that failed with another. Attempts are counted, limited and recorded by
    who asked for one.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # not repeated, and needed as it is
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _Disconnected(type(exc).__name__) from exc


def _connection_trace() -> aiohttp.TraceConfig:
    """
    Notes when a request has a connection. Up to there nothing of it can have arrived, from there on it can.

    Not told by exceptions: the total time-out ends a slow connecting and a slow answering with the same one.
    """

    async def connected(_session: object, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.is_connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


async def _whole_body(content: aiohttp.StreamReader) -> bytes:
    whole = bytearray()
    while piece := await content.readany():
        whole += piece
        if len(whole) > ANSWER_BYTES_MAX:
            raise _TooLarge
    return bytes(whole)


def _is_forbidden(exc: BaseException) -> bool:
    """Also what is no URL to aiohttp, such as 2130706433 for 127.0.0.1."""
    if isinstance(exc, aiohttp.InvalidURL):
        return True
    return isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, ForbiddenAddress)


def _kind_of(exc: BaseException) -> str:
    """What went wrong, in words without an address."""
    match exc:
        case _TooLarge():
            return "the answer is too large"
        case _Disconnected():
            return str(exc)
        case _:
            return type(exc).__name__
