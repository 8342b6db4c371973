"""Calls of Slack's Web API, and the look for a message that an earlier attempt may have posted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused, Unknown
from pql_stream.delivery.sink import Item
from pql_stream.sinks.answers import outcome_of_failure
from pql_stream.sinks.http import Answer, Http, NoAnswer, NotSent
from pql_stream.sinks.slack_answers import api_failure
from pql_stream.sinks.slack_message import EVENT_TYPE

PAGE = 200
PAGES_MAX = 5
"""A thousand messages since the delivery was decided; one that is further back is not found, and sent again."""
EARLIER_S = 300
"""Clocks differ: so much before the decision the look begins."""


@dataclass(frozen=True, slots=True)
class SlackApi:
    """Makes calls with *token*. *now_s* is the Unix time."""

    base_url: str
    token: str = field(repr=False)
    http: Http = field(repr=False)
    now_s: Callable[[], float] = field(repr=False)

    async def post(self, method: str, fields: Mapping[str, Any]) -> dict[str, Any] | Outcome:
        """Call *method*: what it answers with `"ok": true`, else what came of it."""
        headers = {**self._headers(), "Content-Type": "application/json;charset=utf-8"}
        return await self._request("POST", f"{self.base_url}/{method}", headers, orjson.dumps(fields))

    async def get(self, method: str, query: Mapping[str, str]) -> dict[str, Any] | Outcome:
        """Call *method*, which changes nothing; as `post`."""
        return await self._request("GET", f"{self.base_url}/{method}?{urlencode(query)}", self._headers(), None)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "User-Agent": "pql-stream"}

    async def _request(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> dict[str, Any] | Outcome:
        try:
            answer = await self.http.request(verb, url, headers=headers, body=body)
        except (NotSent, NoAnswer) as exc:
            return outcome_of_failure(exc)
        return api_failure(answer, self.now_s()) or _fields(answer)


async def look_for(api: SlackApi, channel: str, item: Item) -> Delivered | Later | None:
    """What an earlier attempt posted; None if nothing, or the bot may not look. `Later`: Slack does not say now."""
    query = {
        "channel": channel,
        "include_all_metadata": "1",
        "limit": str(PAGE),
        "oldest": str(item.delivery.decided_at_ms // 1000 - EARLIER_S),
    }
    for _ in range(PAGES_MAX):
        page = await api.get("conversations.history", query)
        if not isinstance(page, dict):
            return _undecided(page)
        if ts := _posted_at(page, item.delivery.delivery_id):
            return Delivered(f"{channel}/{ts}", was_there=True)
        cursor = _inner(page, "response_metadata").get("next_cursor")
        if not isinstance(cursor, str) or not cursor:
            return None
        query["cursor"] = cursor
    return None


def _undecided(outcome: Outcome) -> Later | None:
    match outcome:
        case Refused() | Later("unauthorised", detail="missing_scope" | "no_permission" | "not_allowed_token_type"):
            return None
        case Later():
            return outcome
        case _:
            detail = outcome.detail if isinstance(outcome, Unknown) else ""
            return Later("unavailable", "sink", detail=f"looking for an earlier attempt: {detail}")


def _posted_at(page: Mapping[str, Any], delivery_id: str) -> str | None:
    messages = page.get("messages")
    for message in messages if isinstance(messages, list) else ():
        metadata = _inner(message, "metadata")
        if metadata.get("event_type") != EVENT_TYPE:
            continue
        ts = message.get("ts")
        if _inner(metadata, "event_payload").get("delivery_id") == delivery_id and isinstance(ts, str):
            return ts
    return None


def _inner(value: object, name: str) -> dict[str, Any]:
    """The object called *name* in an object; empty if either is none."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _fields(answer: Answer) -> dict[str, Any]:
    fields = answer.json()
    assert isinstance(fields, dict), "api_failure has looked"  # noqa: S101 - our own mistake
    return fields
