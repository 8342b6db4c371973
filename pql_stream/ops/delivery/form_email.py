"""E-mail in the settings file."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from pql_stream.core.routes import Action, Route
from pql_stream.ops.delivery.forms import Form, SinkForm, Tools
from pql_stream.ops.delivery.secrets import Reading, Secret
from pql_stream.sinks.email import EmailSink
from pql_stream.sinks.mail_message import LIST_OPTION, TEMPLATE_KINDS, TO_OPTION, MailMaker
from pql_stream.sinks.smtp_session import Relay, Security
from pql_stream.sinks.unsubscribe import UnsubscribeLinks, UnsubscribeTokens

_PORTS: Mapping[Security, int] = {"starttls": 587, "tls": 465, "plain": 25}


def _authorities(path: str, info: ValidationInfo) -> str:
    """The file, found from where the settings file is."""
    assert isinstance(info.context, Reading), "every form with files is read beside one"  # noqa: S101 - our own mistake
    found = str(info.context.directory / path)
    try:
        ssl.create_default_context(cafile=found)
    except OSError as exc:  # SSLError is one
        raise ValueError(f"no certificates can be read there: {exc.strerror or type(exc).__name__}") from exc
    return found


class UnsubscribeForm(Form):
    """`[sinks.x.unsubscribe]`: without it no mail goes to a lead. *secrets*: the first signs, all are known."""

    base_url: str
    secrets: Annotated[list[Secret], Field(min_length=1)]
    mailto: str = ""

    def made(self) -> UnsubscribeLinks:
        """As the sink wants it."""
        tokens = UnsubscribeTokens(tuple(secret.reveal() for secret in self.secrets))
        return UnsubscribeLinks(base_url=self.base_url, tokens=tokens, mailto=self.mailto)


class EmailForm(SinkForm):
    """
    One relay and one sender.

    *port* is 587 for starttls, 465 for tls and 25 for plain, unless given. *cafile*: authorities to trust instead of
    the machine's (PEM).
    """

    OPTIONS: ClassVar[Mapping[Action, frozenset[str]]] = {"mail": frozenset({TO_OPTION, LIST_OPTION, *TEMPLATE_KINDS})}
    MAPPING_OPTIONS: ClassVar[frozenset[str]] = frozenset()

    type: Literal["email"]
    host: str
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    security: Security = "starttls"
    username: str = ""
    password: Secret | None = None
    cafile: Annotated[str, AfterValidator(_authorities)] | None = None
    sender: str
    sender_name: str = ""
    feedback_sender: str = "pqlstream"
    unsubscribe: UnsubscribeForm | None = None

    def open(self, tools: Tools) -> EmailSink:
        """As `SinkForm` says."""
        relay = Relay(
            host=self.host,
            port=_PORTS[self.security] if self.port is None else self.port,
            security=self.security,
            username=self.username,
            password="" if self.password is None else self.password.reveal(),
            tls=None if self.cafile is None else ssl.create_default_context(cafile=Path(self.cafile)),
        )
        return EmailSink(relay, self._maker(tools), timeout_s=self.timeout_s)

    def check_route(self, route: Route, tools: Tools) -> None:
        """As `SinkForm` says."""
        self._maker(tools).check_route(route)

    def _maker(self, tools: Tools) -> MailMaker:
        return MailMaker(
            sender=self.sender,
            templates=tools.templates,
            now_s=tools.now_s,
            sender_name=self.sender_name,
            feedback_sender=self.feedback_sender,
            unsubscribe=None if self.unsubscribe is None else self.unsubscribe.made(),
        )
