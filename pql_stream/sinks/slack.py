"""
Slack: messages by a bot (chat.postMessage), or by an incoming webhook.

Slack knows no repeat. A bot that may read the channel looks there for the delivery's id before it sends again; an
incoming webhook cannot. The requests are those of slack_sdk's clients, which a test compares; the clients themselves
are not used here: they do not tell a request that was not sent from one that was not answered, read an answer of any
size, follow redirects with the token, and fail in ways of their own on an answer that is not Slack's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import orjson

from pql_stream.delivery.outcomes import Delivered, Outcome, Refused, Unknown
from pql_stream.delivery.sink import Item, Traits
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.answers import outcome_of_failure
from pql_stream.sinks.http import Http, NoAnswer, NotSent
from pql_stream.sinks.slack_answers import webhook_failure
from pql_stream.sinks.slack_api import SlackApi, look_for
from pql_stream.sinks.slack_message import CHANNEL_OPTION, Unfit, message_of
from pql_stream.sinks.templates import Templates

BASE_URL = "https://slack.com/api"
TRAITS = Traits(
    batch_max=1, repeatable=frozenset(), needs_profile=False, rate=1, rate_period_s=1.0, rate_scope="channel"
)
"""About one message a second and channel; short bursts are borne, but repeated abuse may disable the app."""


class SlackSink:
    """
    `Sink` by a bot token (`xoxb-`) with the scope chat:write; with channels:history too it finds repeats.

    *now_s* is the Unix time.
    """

    def __init__(
        self, token: str, templates: Templates, http: Http, *, now_s: Callable[[], float], base_url: str = BASE_URL
    ) -> None:
        if not (token.startswith("xox") and token.isascii() and token.isprintable()):
            raise InvalidSettings(
                "the Slack token is none",
                why="a bot token begins with xoxb-",
                what_to_do="copy it from the app's page OAuth & Permissions",
            )
        self._templates = templates
        self._api = SlackApi(base_url.rstrip("/"), token, http, now_s)

    @property
    def traits(self) -> Traits:
        """As `Sink` says."""
        return TRAITS

    def channel_of(self, item: Item) -> str:
        """The channel."""
        return str(item.delivery.options.get(CHANNEL_OPTION, ""))

    def calls_of(self, _items: Sequence[Item]) -> int:
        """One delivery is one call."""
        return 1

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """As `Sink` says."""
        return [await self._deliver_one(item) for item in items]

    async def check(self) -> Outcome:
        """Ask whose token it is."""
        answer = await self._api.post("auth.test", {})
        return Delivered() if isinstance(answer, dict) else answer

    async def close(self) -> None:
        """As `Sink` says."""
        await self._api.http.close()

    async def _deliver_one(self, item: Item) -> Outcome:
        channel = self.channel_of(item)
        if not channel:
            return Refused("invalid", "the route names no channel")
        try:
            message = message_of(item, self._templates)
        except Unfit as exc:
            return Refused("invalid", str(exc))
        if item.is_repeat and (found := await look_for(self._api, channel, item)):
            return found
        answer = await self._api.post("chat.postMessage", {"channel": channel, **message})
        if not isinstance(answer, dict):
            return answer
        ts, where = answer.get("ts"), answer.get("channel")
        if not isinstance(ts, str) or not isinstance(where, str):
            return Unknown("ok, but nothing was made")
        return Delivered(f"{where}/{ts}")


class SlackWebhookSink:
    """
    `Sink` by an incoming webhook, which has one channel. Its URL is its secret.

    *now_s* is the Unix time.
    """

    def __init__(self, url: str, templates: Templates, http: Http, *, now_s: Callable[[], float]) -> None:
        if not _is_address(url):
            raise InvalidSettings(
                "the address of the Slack webhook is none",
                why="it is no http or https address",
                what_to_do="copy it from the app's page Incoming Webhooks",
            )
        self._url = url
        self._templates = templates
        self._http = http
        self._now_s = now_s

    @property
    def traits(self) -> Traits:
        """As `Sink` says."""
        return TRAITS

    def channel_of(self, _item: Item) -> str:
        """There is one alone."""
        return ""

    def calls_of(self, _items: Sequence[Item]) -> int:
        """One delivery is one call."""
        return 1

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """As `Sink` says."""
        return [await self._deliver_one(item) for item in items]

    async def check(self) -> Outcome:
        """Post nothing: a webhook that works refuses that as a bad message, and shows it to nobody."""
        match await self._post(b"{}"):
            case Refused("invalid"):
                return Delivered()
            case outcome:
                return outcome

    async def close(self) -> None:
        """As `Sink` says."""
        await self._http.close()

    async def _deliver_one(self, item: Item) -> Outcome:
        try:
            message = message_of(item, self._templates)
        except Unfit as exc:
            return Refused("invalid", str(exc))
        return await self._post(orjson.dumps(message))

    async def _post(self, body: bytes) -> Outcome:
        headers = {"Content-Type": "application/json;charset=utf-8", "User-Agent": "pql-stream"}
        try:
            answer = await self._http.request("POST", self._url, headers=headers, body=body)
        except (NotSent, NoAnswer) as exc:
            return outcome_of_failure(exc)
        return webhook_failure(answer, self._now_s()) or Delivered()


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()
    except ValueError:
        return False
