"""
A fake HubSpot: contacts by unique property, tasks and their links, property definitions, search, and the ways it
says no. Its rules come from HubSpot's documentation and from what connectors report; no account was asked.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from pql_stream.testing.destinations.faults import FaultScript
from pql_stream.testing.destinations.hubspot_batches import Batches
from pql_stream.testing.destinations.hubspot_records import Account, Json, Objects, Problem, Property
from pql_stream.testing.destinations.journal import Journal
from pql_stream.testing.destinations.server import FakeServer, serve

VERSIONS = ("2026-09", "2026-03", "v3")
SERVICE_KEY = "pat-fake-key"
OWNERS = frozenset({"71", "72"})

_WINDOW_S = 10.0
_V3 = re.compile(r"/crm/v3/(?P<area>objects|properties)/(?P<type>\w+)(?P<rest>/.*)?")
_DATED = re.compile(r"/crm/(?P<area>objects|properties)/(?P<version>[\w-]+)/(?P<type>\w+)(?P<rest>/.*)?")
_ACCOUNT = re.compile(r"/account-info/(?P<version>[\w-]+)/details")


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came, its body decoded."""

    method: str
    path: str
    body: Any  # a JSON value


class Limits:
    """
    The account's limits: *ten_secondly* calls in any ten seconds, *daily* calls until somebody calls `new_day`, None
    for no limit.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.ten_secondly: int | None = None
        self.daily: int | None = None
        self.retry_after: str | None = None
        """What a 429 says in Retry-After; None to say nothing, as HubSpot is free to."""
        self._clock = clock
        self._recent: deque[float] = deque()
        self._today = 0

    def refusal(self) -> str | None:
        """Count a call; the policy that it breaks, or None."""
        now = self._clock()
        while self._recent and now - self._recent[0] >= _WINDOW_S:
            self._recent.popleft()
        self._today += 1
        if self.daily is not None and self._today > self.daily:
            return "DAILY"
        if self.ten_secondly is not None and len(self._recent) >= self.ten_secondly:
            return "TEN_SECONDLY_ROLLING"
        self._recent.append(now)
        return None

    def new_day(self) -> None:
        """Forget all calls."""
        self._recent.clear()
        self._today = 0

    def headers(self) -> dict[str, str]:
        """What every answer says about them."""
        most = self.ten_secondly if self.ten_secondly is not None else 100
        return {
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, most - len(self._recent))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }


class FakeHubSpot:
    """
    One account behind HTTP.

    *batches.partial* False: one bad input rejects its whole batch, instead of a 207. *batches.silent*: trace ids of
    inputs that are dropped without a word. *locked*: answers 423. *scopes_missing*: answers 403.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, journal: Journal | None = None) -> None:
        self.faults = FaultScript()
        self.journal = Journal() if journal is None else journal
        self.account = Account(OWNERS)
        self.batches = Batches(self.account, self.journal)
        self.limits = Limits(clock)
        self.calls: list[Call] = []
        self.locked = False
        self.scopes_missing = False
        self.utc_offset_ms = -18_000_000
        self.url = ""
        """The base, without a slash at the end, once it is started."""
        self._server: FakeServer | None = None

    async def start(self, *, without_faults: tuple[str, ...] = ()) -> FakeHubSpot:
        """Listen on a free port of loopback; *without_faults* as `serve` says."""
        self._server = await serve(self._handle, self.faults, journal=self.journal, without_faults=without_faults)
        self.url = self._server.url
        return self

    async def close(self) -> None:
        """Stop."""
        if self._server is not None:
            await self._server.close()

    async def _handle(self, request: web.Request, body: bytes) -> web.Response:
        answer = self._turned_away(request)
        if answer is None:
            try:
                asked = orjson.loads(body) if body else {}
            except orjson.JSONDecodeError:
                return _error(400, "VALIDATION_ERROR", "Invalid input JSON")
            self.calls.append(Call(request.method, request.path, asked))
            answer = self._answer(request, asked)
        answer.headers.update(self.limits.headers())
        return answer

    def _turned_away(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {SERVICE_KEY}":
            return _error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found")
        if self.scopes_missing:
            return _error(403, "MISSING_SCOPES", "This key has not been granted all required scopes")
        if (policy := self.limits.refusal()) is not None:
            return self._limited(policy)
        if self.locked:
            return _error(423, "RATE_LIMITS", "The resource is locked")
        return None

    def _limited(self, policy: str) -> web.Response:
        body = {
            "status": "error",
            "message": f"You have reached your {policy.lower()} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": "c-1",
            "policyName": policy,
            "groupName": "fake",
        }
        after = self.limits.retry_after
        return web.json_response(body, status=429, headers={"Retry-After": after} if after is not None else None)

    def _answer(self, request: web.Request, asked: Json) -> web.Response:
        path = request.path
        if account := _ACCOUNT.fullmatch(path):
            return self._account() if account["version"] in VERSIONS else _no_such_path()
        if match := _V3.fullmatch(path):
            version = "v3"
        elif match := _DATED.fullmatch(path):
            version = match["version"]
        objects = self.account.objects(match["type"]) if match else None
        if match is None or objects is None or version not in VERSIONS:
            return _no_such_path()
        step = (request.method, match["rest"] or "")
        if match["area"] == "properties":
            return self._properties(step, objects, asked)
        return self.batches.answer(step, match["type"], objects, asked) or _no_such_path()

    def _account(self) -> web.Response:
        return web.json_response({"portalId": 1, "utcOffsetMilliseconds": self.utc_offset_ms})

    def _properties(self, step: tuple[str, str], objects: Objects, asked: Json) -> web.Response:
        match step:
            case ("GET", ""):
                return web.json_response({"results": [one.json() for one in objects.properties.values()]})
            case ("GET", "/groups"):
                return web.json_response({"results": [{"name": n, "label": t} for n, t in objects.groups.items()]})
            case ("POST", "/groups"):
                return _new_group(objects, asked)
            case ("POST", "/batch/create"):
                return _new_properties(objects, asked)
            case _:
                return _no_such_path()


def _new_group(objects: Objects, asked: Json) -> web.Response:
    name = str(asked["name"])
    if name in objects.groups:
        return _error(409, "CONFLICT", "A group of this name exists")
    objects.groups[name] = str(asked["label"])
    return web.json_response(asked, status=201)


def _new_properties(objects: Objects, asked: Json) -> web.Response:
    inputs: Any = asked["inputs"]  # a JSON array of definitions
    made = [
        Property(
            one["name"],
            one["type"],
            one["fieldType"],
            one["groupName"],
            one["label"],
            one.get("hasUniqueValue", False),
            tuple(option["value"] for option in one.get("options", ())),
        )
        for one in inputs
    ]
    for one in made:
        if one.name in objects.properties:
            return _error(409, "OBJECT_ALREADY_EXISTS", f"A property named '{one.name}' already exists")
        if one.group not in objects.groups:
            return _error(400, "VALIDATION_ERROR", f"group {one.group} does not exist")
    objects.properties.update({one.name: one for one in made})
    return web.json_response({"status": "COMPLETE", "results": [one.json() for one in made]}, status=201)


def _error(status: int, category: str, message: str) -> web.Response:
    return web.json_response(Problem(category, category, message).json(), status=status)


def _no_such_path() -> web.Response:
    return web.Response(status=404, body=b"<html>Not Found</html>", content_type="text/html")
