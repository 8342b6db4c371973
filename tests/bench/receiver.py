"""The destination of the delivery section: an HTTP server that notes when each record came, and says yes."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

from aiohttp import web

_START_S_MAX = 20.0
_ID = b'"change_id":"'


class Receiver:
    """A server on loopback, in a thread of its own to the end of its block; `came_at_s` by change id."""

    def __init__(self) -> None:
        self.url = ""
        self.came_at_s: dict[bytes, float] = {}
        self.repeats = 0
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._is_up.wait(_START_S_MAX):
            raise RuntimeError("the receiver does not come up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._take))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/in"
        self._is_up.set()
        await self._over.wait()
        await runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        at_s = time.perf_counter()
        id_ = id_of(await request.read())
        self.repeats += id_ in self.came_at_s
        self.came_at_s.setdefault(id_, at_s)
        return web.Response(status=204)


def id_of(change: bytes) -> bytes:
    """The id of a change, without reading the JSON."""
    start = change.index(_ID) + len(_ID)
    return change[start : change.index(b'"', start)]
