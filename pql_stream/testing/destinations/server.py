"""The HTTP side of a fake destination: a server on loopback that plays a fault script around its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from pql_stream.testing.destinations.faults import Fault, FaultScript

_HUGE_BYTES = 64 * 1024 * 1024
_PIECE = b"x" * 65_536

Handler = Callable[[web.Request, bytes], Awaitable[web.Response]]
"""Has the effect that the request asks for, and gives the answer; the second argument is the whole body."""


@dataclass(frozen=True, slots=True)
class FakeServer:
    """A running fake. *url* is its base, without a slash at the end."""

    url: str
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop at once, also where an answer hangs."""
        await self._runner.cleanup()


async def serve(handler: Handler, faults: FaultScript, *, body_bytes_max: int = 16 * 1024 * 1024) -> FakeServer:
    """A server on a free port of 127.0.0.1 that hands every request to *handler*, and errs as *faults* says."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = faults.next()
        if fault is None:
            return await handler(request, body)
        return await _with_fault(fault, request, body, handler)

    app = web.Application(client_max_size=body_bytes_max)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return FakeServer(f"http://{host}:{port}", runner)


async def _with_fault(fault: Fault, request: web.Request, body: bytes, handler: Handler) -> web.StreamResponse:
    match fault.kind:
        case "status":
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        case "no_op":
            return web.json_response({})
        case "hang_before":
            return await _hang()
        case "close_before":
            return _closed(request)
        case _:
            answer = await handler(request, body)
            return await _after_effect(fault, request, answer)


async def _after_effect(fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
    match fault.kind:
        case "hang_after":
            return await _hang()
        case "half_answer":
            return await _half(request, answer)
        case "garbage":
            return web.Response(status=answer.status, body=b"\x00\xff<html>{]", content_type="text/html")
        case "huge":
            return await _huge(request)
        case _:
            return _closed(request)


async def _hang() -> web.StreamResponse:
    """No answer until the client, or the server, gives up: both cancel this."""
    await asyncio.Event().wait()
    raise AssertionError


def _closed(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body if isinstance(answer.body, bytes) else b""
    half = web.StreamResponse(status=answer.status, headers={"Content-Length": str(len(body) + 10)})
    await half.prepare(request)
    await half.write(body)
    return _closed(request)


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(_HUGE_BYTES // len(_PIECE)):
        await response.write(_PIECE)
    return response
