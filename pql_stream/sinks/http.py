"""
One HTTP request and what came of it, for every sink that speaks HTTP.

What matters to a delivery is whether the request can have arrived: `NotSent` says surely not, `NoAnswer` says
nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import orjson
from multidict import CIMultiDict, CIMultiDictProxy

CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Two hundred items' answers are far below; a larger answer is not read."""


class NotSent(Exception):
    """No connection: nothing of the request can have arrived. Its text names no address and no secret."""


class NoAnswer(Exception):
    """The request went out, or part of it, and no whole answer came: it may have been carried out."""


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


class Http(Protocol):
    """Makes one request."""

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """
        Make the request; redirects are not followed.

        Raises:
            NotSent: there was no connection.
            NoAnswer: there was one, and no whole answer in time.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class AioHttp:
    """
    `Http` by aiohttp. A session is made at the first request, in the loop that uses it.

    *resolver* and *connector options* are for who must look at an address before it is connected to.
    """

    def __init__(
        self,
        *,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=total_timeout_s, sock_connect=connect_timeout_s)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """As `Http` says."""
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=self._resolver)
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=connector, trust_env=False)
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False
            ) as response:
                whole = await response.content.read(ANSWER_BYTES_MAX + 1)
                while len(whole) <= ANSWER_BYTES_MAX and (more := await response.content.readany()):
                    whole += more
                if len(whole) > ANSWER_BYTES_MAX:
                    raise NoAnswer("the answer is too large")
                return Answer(response.status, CIMultiDictProxy(CIMultiDict(response.headers)), whole)
        except aiohttp.ClientConnectorError as exc:
            raise NotSent(type(exc).__name__) from exc
        except (aiohttp.ConnectionTimeoutError, aiohttp.SocketTimeoutError) as exc:
            # sock_connect ends as one of these; the read timeout is the total one, below.
            raise NotSent(type(exc).__name__) from exc
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise NoAnswer(type(exc).__name__) from exc

    async def close(self) -> None:
        """As `Http` says."""
        if self._session is not None:
            await self._session.close()
            self._session = None
