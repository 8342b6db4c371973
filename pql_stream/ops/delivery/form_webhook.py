"""A webhook in the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Action, Route
from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.forms import SinkForm, Tools
from pql_stream.ops.delivery.secrets import Secret
from pql_stream.sinks.webhook import BODY_BYTES_MAX, CONTACT_OPTION, Endpoint, WebhookSink, open_webhook

_CONTACT_FIELDS = frozenset(LeadProfile.__struct_fields__) - {"lead_id"}


def _network(text: str) -> str:
    ip_network(text)
    return text


class WebhookForm(SinkForm):
    """
    One endpoint. *secrets*: the first is the current one; a message is signed by each.

    *allowed_networks*: networks inside ours that it may lie in, such as 10.0.0.0/8.
    """

    OPTIONS: ClassVar[Mapping[Action, frozenset[str]]] = {"post": frozenset({CONTACT_OPTION})}
    MAPPING_OPTIONS: ClassVar[frozenset[str]] = frozenset()

    type: Literal["webhook"]
    url: Secret
    secrets: Annotated[list[Secret], Field(min_length=1)]
    http_allowed: bool = False
    allowed_networks: list[Annotated[str, AfterValidator(_network)]] = Field(default_factory=list)
    body_bytes_max: Annotated[int, Field(ge=1_024, le=10 * 1024 * 1024)] = BODY_BYTES_MAX

    def open(self, tools: Tools) -> WebhookSink:
        """As `SinkForm` says."""
        endpoint = Endpoint(
            url=self.url.reveal(),
            secrets=tuple(secret.reveal() for secret in self.secrets),
            is_http_allowed=self.http_allowed,
            body_bytes_max=self.body_bytes_max,
        )
        networks = [ip_network(text) for text in self.allowed_networks]
        return open_webhook(endpoint, now_s=tools.now_s, allowed_networks=networks, total_timeout_s=self.timeout_s)

    def check_route(self, route: Route, tools: Tools) -> None:  # noqa: ARG002 - a webhook has no templates
        """As `SinkForm` says."""
        names = [name.strip() for name in str(route.options.get(CONTACT_OPTION, "")).split(",") if name.strip()]
        if strange := sorted(set(names) - _CONTACT_FIELDS):
            raise InvalidSettings(
                f"option {CONTACT_OPTION}: there is no contact data {', '.join(strange)}",
                what_to_do=f"use {', '.join(sorted(_CONTACT_FIELDS))}",
            )
