"""Slack in the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from pql_stream.core.routes import Action, Route
from pql_stream.delivery.sink import Sink
from pql_stream.ops.delivery.forms import SinkForm, Tools
from pql_stream.ops.delivery.secrets import Secret
from pql_stream.sinks.http import AioHttp
from pql_stream.sinks.slack import BASE_URL, SlackSink, SlackWebhookSink
from pql_stream.sinks.slack_message import CHANNEL_OPTION, SUBJECT_OPTION, TEXT_OPTION, check_route


class SlackForm(SinkForm):
    """One workspace: either *token* (a bot), or *webhook_url* (an incoming webhook, which has one channel)."""

    OPTIONS: ClassVar[Mapping[Action, frozenset[str]]] = {
        "message": frozenset({SUBJECT_OPTION, TEXT_OPTION, CHANNEL_OPTION})
    }

    type: Literal["slack"]
    token: Secret | None = None
    webhook_url: Secret | None = None
    base_url: str = BASE_URL

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.token is None) == (self.webhook_url is None):
            raise ValueError("give either token or webhook_url")
        return self

    def open(self, tools: Tools) -> Sink:
        """As `SinkForm` says."""
        http = AioHttp(total_timeout_s=self.timeout_s)
        if self.webhook_url is not None:
            return SlackWebhookSink(self.webhook_url.reveal(), tools.templates, http, now_s=tools.now_s)
        assert self.token is not None, "checked above"  # noqa: S101 - our own mistake
        return SlackSink(self.token.reveal(), tools.templates, http, now_s=tools.now_s, base_url=self.base_url)

    def check_route(self, route: Route, tools: Tools) -> None:
        """As `SinkForm` says."""
        check_route(route, tools.templates, has_channel=self.token is not None)
