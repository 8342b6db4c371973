"""The worker's small HTTP server: `/metrics` for Prometheus; `/healthz`, `/readyz` and `/startupz` for its keeper."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from pql_stream.errors import PqlError
from pql_stream.ops.health import Health

SHUTDOWN_S = 1.0
"""Every answer takes milliseconds, so a connection that is still open then is an idle one."""


class HttpServer:
    """
    Serves the pages from `start` to `stop`, on the running event loop.

    *render* gives the metrics for an Accept header: body and content type. *live* is false when only a
    restart helps; *ready* is false until rows are recovered and partitions assigned, and whenever they are dealt anew;
    *started* is true for good when the worker was ready once. All must be quick:
    they run on the loop that also scores. The pages have no personal data and ask for no login, so the host
    decides who reads them.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        render: Callable[[str], tuple[bytes, str]],
        live: Callable[[], Health],
        ready: Callable[[], Health],
        started: Callable[[], Health],
    ) -> None:
        self._host = host
        self._port = port
        self._render = render
        self._live = live
        self._ready = ready
        self._started = started
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """
        Listen, and give the port: the one asked for, or the free one that port 0 found.

        Raises:
            PqlError: the address cannot be listened on.
        """
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/startupz", self._startupz)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as exc:
            await runner.cleanup()
            raise PqlError(
                f"cannot serve metrics and health on {self._host}:{self._port}",
                why=exc.strerror or str(exc),
                what_to_do="end the program that has the port, or set PQL_HTTP_PORT (0 is any free port) "
                "and PQL_HTTP_HOST to an address of this machine",
            ) from exc
        self._runner = runner
        port: int = runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Listen no more. Without a start before it, nothing happens."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer(self._live())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _startupz(self, _request: web.Request) -> web.Response:
        return _answer(self._started())


def _answer(health: Health) -> web.Response:
    return web.Response(text=f"{health.sentence}\n", status=200 if health.ok else 503)
