"""The HTTP side of a fake destination: a server on loopback that plays a fault script around its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from pql_stream.testing.destinations.faults import Fault, FaultScript
from pql_stream.testing.destinations.journal import Journal

_HUGE_BYTES = 64 * 1024 * 1024
_PIECE = b"x" * 65_536
_CLOSING_S = 0.001  # 0 would be for ever: aiohttp takes it for no limit

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


async def serve(
    handler: Handler,
    faults: FaultScript,
    *,
    journal: Journal | None = None,
    without_faults: tuple[str, ...] = (),
    body_bytes_max: int = 16 * 1024 * 1024,
) -> FakeServer:
    """
    A server on a free port of 127.0.0.1 that hands every request to *handler*, and errs as *faults* says.

    *journal* is told of every request. Requests whose path starts with one of *without_faults* (a token endpoint)
    take no step of the script.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if journal is not None:
            journal.requests.append((request.method, request.path))
        fault = None if request.path.startswith(without_faults) else faults.next()
        if fault is None:
            return await handler(request, body)
        return await _with_fault(fault, faults, request, body, handler)

    app = web.Application(client_max_size=body_bytes_max)
    app.router.add_route("*", "/{path:.*}", handle)
    # No access log: it would show the paths, and those of a webhook are secret.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING_S, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return FakeServer(f"http://{host}:{port}", runner)


async def _with_fault(
    fault: Fault, faults: FaultScript, request: web.Request, body: bytes, handler: Handler
) -> web.StreamResponse:
    match fault.kind:
        case "status":
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        case "no_op":
            return web.Response(body=fault.body or b"{}", content_type="application/json")
        case "hang_before":
            return await _hang(faults)
        case "close_before":
            return _reset(request)
        case "hang_after":
            await handler(request, body)
            return await _hang(faults)
        case _:
            answer = await handler(request, body)
            return await _spoilt(fault, request, answer)


async def _spoilt(fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
    match fault.kind:
        case "half_answer":
            return await _half(request, answer)
        case "garbage":
            return web.Response(status=_with_body(answer), body=b"\x00\xff<html>{]", content_type="text/html")
        case "huge":
            return await _huge(request, answer)
        case _:
            return _reset(request)


async def _hang(faults: FaultScript) -> web.StreamResponse:
    """No answer until the client, or the server, gives up: both cancel this."""
    faults.hanging.set()
    try:
        await asyncio.Event().wait()
    finally:
        faults.hung_up.set()
    raise AssertionError


def _reset(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body if isinstance(answer.body, bytes) else b""
    half = web.StreamResponse(status=_with_body(answer), headers={"Content-Length": str(len(body) + 10)})
    await half.prepare(request)
    await half.write(body)
    if request.transport is not None:
        request.transport.close()  # not abort(): what was written is to arrive
    return half


def _with_body(answer: web.Response) -> int:
    """Its status, if that may have a body: a 204 has none that could break off or be noise."""
    return 200 if answer.status == 204 else answer.status


async def _huge(request: web.Request, answer: web.Response) -> web.StreamResponse:
    response = web.StreamResponse(status=_with_body(answer))
    await response.prepare(request)
    for _ in range(_HUGE_BYTES // len(_PIECE)):
        await response.write(_PIECE)
    return response
