"""A receiver of Standard Webhooks: verifies each message by itself, and knows one again by its id."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence

import orjson
from aiohttp import web

from pql_stream.testing.destinations.faults import FaultScript
from pql_stream.testing.destinations.journal import Effect, Journal
from pql_stream.testing.destinations.server import FakeServer, serve

_TOLERANCE_S = 300
"""How far the time of a message may be from the receiver's: the five minutes of the official libraries."""


class FakeWebhook:
    """
    A running receiver. Of *secrets* (`whsec_...`) one has to have signed a message, else it answers 401.

    *now_s* is its clock, in Unix time.
    """

    def __init__(self, secrets: Sequence[str], *, now_s: Callable[[], float] = time.time) -> None:
        self.faults = FaultScript()
        self.journal = Journal()
        self._keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        self._now_s = now_s
        self._seen: set[str] = set()
        self._server: FakeServer | None = None

    async def start(self) -> str:
        """Listen; the base URL. Every path is the endpoint."""
        self._server = await serve(self._handle, self.faults, journal=self.journal)
        return self._server.url

    async def close(self) -> None:
        """Stop."""
        if self._server is not None:
            await self._server.close()

    async def _handle(self, request: web.Request, body: bytes) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        if not self._is_genuine(request.headers, body):
            return web.Response(status=401)
        message_id = request.headers["webhook-id"]
        try:
            record = orjson.loads(body)
            lead_id = str(record["lead_id"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return web.Response(status=400)
        was_there = message_id in self._seen
        self._seen.add(message_id)
        self.journal.accept(Effect("webhook", "post", message_id, lead_id, record, was_there))
        return web.json_response({"received": True})

    def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        message_id, at, signatures = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
        if not at.isdigit() or abs(self._now_s() - int(at)) > _TOLERANCE_S:
            return False
        signed = b".".join([message_id.encode(), at.encode(), body])
        wanted = [b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in self._keys]
        return any(hmac.compare_digest(given.encode(), one) for given in signatures.split(" ") for one in wanted)
