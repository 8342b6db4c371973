"""
A webhook: the published record, signed as the Standard Webhooks specification says, posted to an endpoint.

Whoever receives it knows a repeat by its `webhook-id`, which is the delivery's id.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook
from yarl import URL

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused
from pql_stream.delivery.sink import Item, Traits
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.addresses import AddressGuard, Network
from pql_stream.sinks.answers import outcome_of_failure, outcome_of_status, retry_after_s
from pql_stream.sinks.http import TOTAL_TIMEOUT_S, AioHttp, Answer, Http, NoAnswer, NotSent

BODY_BYTES_MAX = 20 * 1024
"""The specification's advice; receivers may refuse more."""
RATE_PER_S = 30
"""Zapier's and Make's own limits; other endpoints name none."""
CONTACT_OPTION = "contact_fields"
"""The route's option that adds contact data to the body, as `contact`: names of fields, with commas between."""

_CONTACT_FIELDS = frozenset(LeadProfile.__struct_fields__) - {"lead_id"}
_KEY_BYTES_MIN, _KEY_BYTES_MAX = 24, 64
"""The specification's bounds of a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    Where to post, and how to sign. The URL is a secret as well: it may carry a token.

    *secrets*: `whsec_` and base64 of 24 to 64 bytes; a message carries a signature by each, so that the receiver
    can change over from one to the next. *is_http_allowed*: without it the URL must be https.
    """

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    is_http_allowed: bool = False
    body_bytes_max: int = BODY_BYTES_MAX
    rate_per_s: int = RATE_PER_S

    def __post_init__(self) -> None:
        """
        Look at URL and secrets.

        Raises:
            InvalidSettings: one of them is of no use. The text does not show it.
        """
        _check_url(self.url, is_http_allowed=self.is_http_allowed)
        if not self.secrets:
            raise InvalidSettings("a webhook has no signing secret")
        for secret in self.secrets:
            _check_secret(secret)


def open_webhook(
    endpoint: Endpoint,
    *,
    now_s: Callable[[], float],
    allowed_networks: Sequence[Network] = (),
    total_timeout_s: float = TOTAL_TIMEOUT_S,
) -> WebhookSink:
    """A sink that calls no address inside our own network, unless it is in one of *allowed_networks*."""
    guard = AddressGuard(allowed_networks)
    return WebhookSink(endpoint, AioHttp(total_timeout_s=total_timeout_s, guard=guard), now_s=now_s)


class WebhookSink:
    """`Sink` for one endpoint. *now_s* is the Unix time."""

    def __init__(self, endpoint: Endpoint, http: Http, *, now_s: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._http = http
        self._now_s = now_s
        self._traits = Traits(
            batch_max=1,
            repeatable=frozenset({"post"}),
            needs_profile=False,
            rate=endpoint.rate_per_s,
            rate_period_s=1.0,
            endpoint=hashlib.sha256(endpoint.url.encode()).hexdigest(),
        )
        self._signers = [Webhook(secret) for secret in endpoint.secrets]

    @property
    def traits(self) -> Traits:
        """
        Repeatable: a receiver that keeps to the specification knows the id again. The endpoint is its whole URL:
        another one, if only by its token, is not disabled.
        """
        return self._traits

    def channel_of(self, _item: Item) -> str:
        """There are none."""
        return ""

    def calls_of(self, _items: Sequence[Item]) -> int:
        """One delivery is one call."""
        return 1

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """As `Sink` says."""
        return [await self._deliver_one(item) for item in items]

    async def check(self) -> Outcome:
        """Ask with OPTIONS, which no receiver takes for a message: any answer shows that it can be reached."""
        try:
            answer = await self._http.request("OPTIONS", self._endpoint.url, headers={})
        except (NotSent, NoAnswer) as exc:
            return outcome_of_failure(exc)
        if answer.status == 410:
            return Refused("gone", "status 410")
        return Delivered(detail="whether it has our secret only a message shows")

    async def close(self) -> None:
        """As `Sink` says."""
        await self._http.close()

    async def _deliver_one(self, item: Item) -> Outcome:
        body = self._body(item)
        if not isinstance(body, bytes):
            return body
        try:
            answer = await self._http.request(
                "POST", self._endpoint.url, headers=self._headers(item.delivery.delivery_id, body), body=body
            )
        except NotSent as exc:
            return outcome_of_failure(exc)
        except NoAnswer as exc:
            # The status says it all here; what was to follow it is nobody's concern.
            return outcome_of_failure(exc) if exc.head is None else self._outcome_of(exc.head)
        return self._outcome_of(answer)

    def _body(self, item: Item) -> bytes | Later | Refused:
        """The record, and of the contact data what the route asks for; or why there is none."""
        wanted = [
            name.strip() for name in str(item.delivery.options.get(CONTACT_OPTION, "")).split(",") if name.strip()
        ]
        if not _CONTACT_FIELDS.issuperset(wanted):
            return Refused("invalid", f"option {CONTACT_OPTION} names an unknown field")
        if wanted and item.profile is None:
            return Later("busy", "item", detail="no profile yet")
        contact = {} if item.profile is None else _contact(item.profile, wanted)
        body = orjson.dumps({**item.delivery.record, **contact})
        if len(body) > self._endpoint.body_bytes_max:
            return Refused("too_large", f"a body of {len(body)} bytes")
        return body

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        at = datetime.fromtimestamp(int(self._now_s()), tz=UTC)
        text = body.decode()
        return {
            "Content-Type": "application/json",
            "User-Agent": "pql-stream",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signer.sign(message_id, at, text) for signer in self._signers),
        }

    def _outcome_of(self, answer: Answer) -> Outcome:
        if 300 <= answer.status <= 399:
            return Later("busy", "item", detail=f"status {answer.status}")
        match outcome_of_status(answer, now_s=self._now_s()):
            case None:
                return Delivered()
            case Refused(reason, detail) if reason not in {"too_large", "gone"}:
                # To the specification everything but 2xx and 410 is a failure that may pass:
                # Make answers 400 when its queue is full, n8n 404 while a flow is off.
                return Later("busy", "item", retry_after_s(answer.headers, self._now_s()), detail)
            case outcome:
                return outcome


def _contact(profile: LeadProfile, names: Sequence[str]) -> dict[str, Any]:
    """The contact data of *names*, under one key; nothing when nothing is asked for."""
    return {"contact": {name: getattr(profile, name) for name in names}} if names else {}


def _check_url(url: str, *, is_http_allowed: bool) -> None:
    try:
        parts = URL(url)
        scheme, host = parts.scheme, parts.host
    except ValueError:
        # "from None": the text of the other names the URL.
        raise InvalidSettings("the URL of a webhook is not one") from None
    if not host or scheme not in {"http", "https"}:
        raise InvalidSettings("the URL of a webhook is not one of https")
    if scheme == "http" and not is_http_allowed:
        raise InvalidSettings("the URL of a webhook is http, so that everybody on the way can read the records")


def _check_secret(secret: str) -> None:
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        raise InvalidSettings("a webhook's signing secret is not whsec_ and base64") from None
    if not _KEY_BYTES_MIN <= size <= _KEY_BYTES_MAX:
        raise InvalidSettings(f"a webhook's signing secret has {size} bytes, not {_KEY_BYTES_MIN} to {_KEY_BYTES_MAX}")
