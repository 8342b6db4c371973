"""
Slack as a bot and an incoming webhook see it: channels that keep their messages.

It looks at what it gets as Slack does, as far as that is known: lengths, blocks, metadata, the token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from pql_stream.testing.destinations.faults import FaultScript
from pql_stream.testing.destinations.journal import Effect, Journal
from pql_stream.testing.destinations.server import FakeServer, serve

TOKEN = "xoxb-0000-fake-token"  # noqa: S105 - of the fake
WEBHOOK_PATH = "/services/T000/B000/s3cret-of-the-fake"
WEBHOOK_CHANNEL = "C-webhook"

_LENGTHS = {"header": 150, "section": 3_000}
_BLOCKS_MAX = 50
_BLOCKS_CHARS_MAX = 13_200
_TEXT_CHARS_MAX = 40_000
# What Slack reads < > as: an address with or without a label, or a mention.
_MARKED = re.compile(r"<(?:https?://[^<>|\s]+|mailto:[^<>|\s]+|[@#!][^<>|]*)(?:\|[^<>]*)?>")
_BARE = re.compile(r"[<>]|&(?!(?:amp|lt|gt);)")


class FakeSlack:
    """
    A running workspace with some *channels*. `scopes` are those of its one bot, `page_max` the messages that a page
    of history has at most, `bodies` every message that came, also those that were refused.
    """

    def __init__(self, channels: tuple[str, ...] = ("C-sales",)) -> None:
        self.faults = FaultScript()
        self.journal = Journal()
        self.scopes = {"chat:write", "channels:history"}
        self.archived: set[str] = set()
        self.messages: dict[str, list[dict[str, Any]]] = {name: [] for name in (*channels, WEBHOOK_CHANNEL)}
        self.bodies: list[dict[str, Any]] = []
        self.page_max = 200
        self._server: FakeServer | None = None
        self._count = 0

    async def start(self) -> str:
        """Listen; the base URL, under which lie `/api` and `WEBHOOK_PATH`."""
        self._server = await serve(self._handle, self.faults, journal=self.journal, without_faults=("/api/auth.test",))
        return self._server.url

    async def close(self) -> None:
        """Stop."""
        if self._server is not None:
            await self._server.close()

    async def _handle(self, request: web.Request, body: bytes) -> web.Response:
        if request.path == WEBHOOK_PATH:
            return self._webhook(body)
        if request.path.startswith("/services/"):
            return web.Response(status=404, text="no_service")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _not_ok("invalid_auth" if "Authorization" in request.headers else "not_authed")
        return self._api(request, body)

    def _api(self, request: web.Request, body: bytes) -> web.Response:
        match request.path:
            case "/api/auth.test":
                return web.json_response({"ok": True, "team": "Fake", "user": "bot", "user_id": "U0"})
            case "/api/chat.postMessage":
                return self._post_message(body)
            case "/api/conversations.history":
                return self._history(request.query)
            case _:
                return _not_ok("unknown_method")

    def _post_message(self, body: bytes) -> web.Response:
        fields = orjson.loads(body)
        self.bodies.append(fields)
        channel = fields.get("channel")
        error = self._channel_error(channel, "chat:write") or _message_error(fields)
        if error:
            return _not_ok(error)
        message = self._keep(channel, fields)
        return web.json_response({"ok": True, "channel": channel, "ts": message["ts"], "message": message})

    def _webhook(self, body: bytes) -> web.Response:
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            return web.Response(status=400, text="invalid_payload")
        if not fields:
            return web.Response(status=400, text="no_text")
        self.bodies.append(fields)
        if WEBHOOK_CHANNEL in self.archived:
            return web.Response(status=410, text="channel_is_archived")
        if error := _message_error(fields):
            return web.Response(status=400, text=error)
        self._keep(WEBHOOK_CHANNEL, fields)
        return web.Response(text="ok")

    def _history(self, query: Mapping[str, str]) -> web.Response:
        channel = query.get("channel", "")
        if error := self._channel_error(channel, "channels:history", archived_error=""):
            return _not_ok(error)
        oldest, start = float(query.get("oldest", "0")), int(query.get("cursor", "0"))
        newest_first = [one for one in reversed(self.messages[channel]) if float(one["ts"]) > oldest]
        size = min(int(query.get("limit", "100")), self.page_max)
        page = newest_first[start : start + size]
        if query.get("include_all_metadata") not in {"1", "true"}:
            page = [{name: value for name, value in one.items() if name != "metadata"} for one in page]
        more = start + size < len(newest_first)
        answer: dict[str, Any] = {"ok": True, "messages": page, "has_more": more}
        if more:
            answer["response_metadata"] = {"next_cursor": str(start + size)}
        return web.json_response(answer)

    def _channel_error(self, channel: object, scope: str, archived_error: str = "is_archived") -> str:
        if scope not in self.scopes:
            return "missing_scope"
        if not isinstance(channel, str) or channel not in self.messages:
            return "channel_not_found"
        return archived_error if channel in self.archived else ""

    def _keep(self, channel: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._count += 1
        message = {
            "type": "message",
            "ts": f"1800000000.{self._count:06d}",
            "text": fields.get("text", ""),
            "blocks": fields.get("blocks", []),
            "metadata": fields.get("metadata", {}),
        }
        self.messages[channel].append(message)
        delivery_id = message["metadata"].get("event_payload", {}).get("delivery_id", "")
        content = {"channel": channel, "text": message["text"], "blocks": message["blocks"]}
        self.journal.accept(Effect("slack", "message", delivery_id, "", content))
        return message


def _not_ok(error: str) -> web.Response:
    return web.json_response({"ok": False, "error": error})


def _message_error(fields: Mapping[str, Any]) -> str:
    """What Slack says against a message, "" if nothing."""
    text, blocks = fields.get("text", ""), fields.get("blocks", [])
    if not text and not blocks:
        return "no_text"
    if len(text) > _TEXT_CHARS_MAX:
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > _BLOCKS_MAX or not all(map(_is_block, blocks)):
        return "invalid_blocks"
    if sum(len(block["text"]["text"]) for block in blocks) > _BLOCKS_CHARS_MAX:
        return "msg_blocks_too_long"
    metadata = fields.get("metadata", {"event_type": "none", "event_payload": {}})
    return "" if {"event_type", "event_payload"} <= metadata.keys() else "invalid_metadata_format"


def _is_block(block: Mapping[str, Any]) -> bool:
    """A header of plain text or a section, neither empty nor too long, with nothing in < > that Slack cannot read."""
    kind, text = block.get("type"), block.get("text")
    if kind not in _LENGTHS or not isinstance(text, dict):
        return False
    shown = text.get("text", "")
    if not 0 < len(shown) <= _LENGTHS[kind]:
        return False
    if kind == "header":
        return text.get("type") == "plain_text"
    return text.get("type") == "mrkdwn" and not _BARE.search(_MARKED.sub("", shown))
