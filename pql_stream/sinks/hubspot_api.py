"""
One call to HubSpot, and what a failed one means. Facts: HubSpot's pages on error handling and usage limits.

An answer of 2xx says nothing of its inputs yet, and a 400 or 409 may be about one of a hundred: both are given back
as a `Reply`, for whoever made the batch to read. Everything else is an outcome of the whole call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from pql_stream.delivery.outcomes import Later, Outcome, Refused, Unknown
from pql_stream.sinks.answers import outcome_of_failure, outcome_of_status, retry_after_s
from pql_stream.sinks.http import Answer, Http, NoAnswer, NotSent

ApiVersion = Literal["2026-09", "2026-03", "v3"]
"""Only the paths differ for our calls. v3 is without support from September 2027."""

BASE_URL = "https://api.hubapi.com"

LOCKED_S = 2.0
"""A 423 locks for two seconds."""
QUOTA_RETRY_S = 3600.0
"""
Where the account's midnight is not known: time zones lie at whole and half hours, so an hour is at worst that much
too late, and 24 calls a day are harmless.
"""
_ABOUT_INPUTS = frozenset({400, 409, 413})
_DAY_S = 86_400.0
_AFTER_MIDNIGHT_S = 60.0

_TOKEN = re.compile(r"[A-Za-z0-9_]{1,100}")
_IN_MESSAGE = "Property values were not valid: "


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is about the call's inputs. *body* is {} where there was no JSON object."""

    status: int
    body: Mapping[str, object]

    @property
    def is_taken(self) -> bool:
        """Was the call carried out, for some of its inputs at least?"""
        return self.status < 300

    def refused(self) -> Refused:
        """What a rejected call of one input means for it."""
        return refused_by(self.body, self.status)


class HubSpotApi:
    """
    Calls of one account.

    *service_key* goes out as a bearer token and nowhere else: a service key, or the token of an app. *now_s* is the
    Unix time.
    """

    def __init__(
        self,
        http: Http,
        service_key: str,
        *,
        base_url: str,
        version: ApiVersion,
        now_s: Callable[[], float],
    ) -> None:
        self._http = http
        self._headers = {
            "Authorization": f"Bearer {service_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._base_url = base_url.rstrip("/")
        self._version = version
        self._now_s = now_s
        self.utc_offset_s: float | None = None
        """The account's, once somebody asked: its day ends at its own midnight."""

    def objects_path(self, object_type: str, step: str) -> str:
        """The path of a call on records, such as batch/upsert."""
        return f"/crm/{self._area('objects')}/{object_type}/{step}"

    def properties_path(self, object_type: str, step: str = "") -> str:
        """The path of a call on property definitions."""
        return f"/crm/{self._area('properties')}/{object_type}{step}"

    def account_path(self) -> str:
        """The path of the account's details."""
        return f"/account-info/{self._version}/details"

    async def call(self, method: str, path: str, body: object = None) -> Reply | Outcome:
        """Make one call."""
        sent = None if body is None else orjson.dumps(body)
        try:
            answer = await self._http.request(method, self._base_url + path, headers=self._headers, body=sent)
        except (NotSent, NoAnswer) as exc:
            return outcome_of_failure(exc)
        return self._read(answer)

    async def ask(self, method: str, path: str, body: object = None) -> Reply | Later | Refused:
        """Make a call that changes nothing: without an answer it was not made, as far as a delivery goes."""
        got = await self.call(method, path, body)
        match got:
            case Reply() | Later() | Refused():
                return got
            case _:
                return Later("unavailable", "sink", detail="no answer to a question")

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()

    def _area(self, area: str) -> str:
        return f"v3/{area}" if self._version == "v3" else f"{area}/{self._version}"

    def _read(self, answer: Answer) -> Reply | Outcome:
        decoded = answer.json()
        body = decoded if isinstance(decoded, Mapping) else {}
        status = answer.status
        if status in _ABOUT_INPUTS or (status == 404 and body.get("category") == "OBJECT_NOT_FOUND"):
            return Reply(status, body)
        outcome = self._wait(answer, body) or outcome_of_status(answer, now_s=self._now_s())
        if outcome is None and decoded is not body:
            return Unknown("an answer that is no JSON object")
        return outcome or Reply(status, body)

    def _wait(self, answer: Answer, body: Mapping[str, object]) -> Later | None:
        """What HubSpot means by a status in its own way."""
        now_s = self._now_s()
        asked_s = retry_after_s(answer.headers, now_s)
        match answer.status:
            case 404 | 410:
                # Not of an input: a path that HubSpot serves no more, until somebody names another version.
                return Later("unavailable", "sink", detail=f"status {answer.status}: no such call in {self._version}")
            case 423:
                return Later("busy", "sink", asked_s or LOCKED_S, "status 423")
            case 429 if body.get("policyName") == "DAILY":
                return Later("quota_used_up", "sink", asked_s or self._until_midnight_s(now_s), "status 429 DAILY")
            case 477:  # the account moves to another data centre
                return Later("unavailable", "sink", asked_s, "status 477")
            case _:
                return None

    def _until_midnight_s(self, now_s: float) -> float:
        if self.utc_offset_s is None:
            return QUOTA_RETRY_S
        return _DAY_S - (now_s + self.utc_offset_s) % _DAY_S + _AFTER_MIDNIGHT_S


def refused_by(error: Mapping[str, object], status: int) -> Refused:
    """The refusal that an error body, of a call or of one input, stands for."""
    detail = _detail(error)
    match error.get("category"):
        case "CONFLICT" | "OBJECT_ALREADY_EXISTS":
            return Refused("conflict", detail)
        case "OBJECT_NOT_FOUND":
            return Refused("not_found", detail)
        case _ if status == 409:
            return Refused("conflict", detail)
        case _ if status == 413:
            return Refused("too_large", detail)
        case _:
            return Refused("invalid", detail)


def properties_missing(error: Mapping[str, object]) -> set[str]:
    """The properties that do not exist, says an error body."""
    return {name for code, name in _codes(error) if code == "PROPERTY_DOESNT_EXIST"}


def texts_of(value: object) -> list[str]:
    """A JSON array's strings; no array, no strings."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def objects_of(value: object) -> list[Mapping[str, object]]:
    """A JSON array's objects; no array, no objects."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _detail(error: Mapping[str, object]) -> str:
    """The category, codes and property names of an error. Its messages quote values: they stay away from logs."""
    words = [str(error.get("category") or "")]
    for code, name in _codes(error):
        words += [code, name]
    return " ".join(dict.fromkeys(word for word in words if _TOKEN.fullmatch(word)))


def _codes(error: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(code, property name) of an error: HubSpot writes them as objects, or as JSON inside the message."""
    for one in objects_of(error.get("errors")):
        context = one.get("context")
        names = texts_of(context.get("propertyName")) if isinstance(context, Mapping) else []
        for name in names or [""]:
            yield str(one.get("code", "")), name
    for one in _in_message(str(error.get("message", ""))):
        yield str(one.get("error", "")), str(one.get("name", ""))


def _in_message(message: str) -> Sequence[Mapping[str, object]]:
    _, found, written = message.partition(_IN_MESSAGE)
    if not found:
        return ()
    try:
        return objects_of(orjson.loads(written))
    except orjson.JSONDecodeError:
        return ()
