"""A mail relay that keeps what it accepts, and errs at any step."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Collection
from email import message_from_bytes
from email.policy import default as modern
from typing import Any, Literal

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from pql_stream.testing.destinations.faults import Fault, FaultScript
from pql_stream.testing.destinations.journal import Effect, Journal

Stage = Literal["connect", "mail", "rcpt", "data"]
"""The steps before the content. What goes wrong after the final dot is in `faults`, as with every fake."""

CLOSE, HANG = "close", "hang"
"""Beside a reply ("451 4.7.1 later"), what a stage can do."""

_HUGE_BYTES = 10_000_000


class FakeSmtp:
    """
    A running relay.

    `faults` are played when a mail is whole: "status" is its reply, *before* and *after* are before and after it is
    accepted. `stages` come first: for each step the replies to its next uses, or CLOSE or HANG. `refused` is the
    reply to a recipient, each time. With *login* nothing goes without it; `logins` are the mechanisms that were
    tried. *unknown*: those that it offers and does not know. *tls*: STARTTLS is offered, or, with *implicit_tls*,
    spoken from the start.
    """

    def __init__(
        self,
        *,
        login: tuple[str, str] | None = None,
        unknown: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        smtputf8: bool = True,
    ) -> None:
        self.faults = FaultScript()
        self.journal = Journal()
        self.stages: dict[Stage, deque[str]] = {"connect": deque(), "mail": deque(), "rcpt": deque(), "data": deque()}
        self.refused: dict[str, str] = {}
        self.connections = 0
        self.logins: list[str] = []
        self._login = login
        self._unknown = frozenset(unknown)
        self._tls = tls
        self._implicit_tls = implicit_tls
        self._smtputf8 = smtputf8
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.BaseTransport] = set()

    async def start(self) -> int:
        """Listen; the port on 127.0.0.1."""
        # It writes every line that passes, with addresses and passwords.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        tls = self._tls if self._implicit_tls else None
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop at once, also where a reply hangs."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                if isinstance(transport, asyncio.Transport):
                    transport.abort()
            await self._server.wait_closed()
            await asyncio.sleep(0)  # the aborted connections end in the next round

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """A connection is there."""
        self._open.add(transport)

    def closed(self, transport: asyncio.BaseTransport | None) -> None:
        """It is gone."""
        if transport is not None:
            self._open.discard(transport)

    def next_of(self, stage: Stage) -> str:
        """What *stage* does now, "" for nothing strange."""
        return self.stages[stage].popleft() if self.stages[stage] else ""

    async def act(self, server: SMTP, action: str) -> str:
        """The reply in *action*; CLOSE and HANG have none."""
        match action:
            case "close":
                await self._abort(server)
            case "hang":
                await self._hang()
        return action

    async def handle_AUTH(  # noqa: N802 - aiosmtpd's name, like those below
        self, _server: SMTP, _session: Session, _envelope: Envelope, words: list[str]
    ) -> str | object:
        """A login begins; what goes on with it is aiosmtpd's."""
        self.logins.append(words[0])
        return "504 5.5.4 no such mechanism" if words[0] in self._unknown else MISSING

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A sender."""
        self.journal.requests.append(("MAIL", address))
        if action := self.next_of("mail"):
            return await self.act(server, action)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A recipient."""
        if action := self.next_of("rcpt") or self.refused.get(address, ""):
            return await self.act(server, action)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """A whole mail."""
        fault = self.faults.next()
        if fault is None:
            self._accept(envelope)
            return "250 OK: taken"
        return await self._with_fault(fault, server, envelope)

    async def _with_fault(self, fault: Fault, server: SMTP, envelope: Envelope) -> str:
        match fault.kind:
            case "status":
                return f"{fault.status} {fault.body.decode()}"
            case "no_op":
                return "250 OK: lost"
            case "hang_before":
                await self._hang()
            case "close_before":
                await self._abort(server)
        self._accept(envelope)
        match fault.kind:
            case "hang_after":
                await self._hang()
            case "half_answer":
                await self._half(server)
            case "garbage":
                return "\x00<html>{]"
            case "huge":
                return "250 " + "x" * _HUGE_BYTES
        return await self._abort(server)

    def _accept(self, envelope: Envelope) -> None:
        raw = envelope.original_content or b""
        mail = message_from_bytes(raw, policy=modern)
        delivery_id = str(mail["Message-ID"] or "").removeprefix("<").partition("@")[0]
        content: dict[str, Any] = {
            "from": envelope.mail_from,
            "to": list(envelope.rcpt_tos),
            "subject": str(mail["Subject"]),
            "raw": raw,
        }
        self.journal.accept(Effect("smtp", "mail", delivery_id, "", content))

    async def _abort(self, server: SMTP) -> str:
        if isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return await _for_ever()

    async def _half(self, server: SMTP) -> str:
        if isinstance(server.transport, asyncio.Transport):
            server.transport.write(b"25")
            server.transport.close()
        return await _for_ever()

    async def _hang(self) -> str:
        self.faults.hanging.set()
        try:
            return await _for_ever()
        finally:
            self.faults.hung_up.set()

    def _protocol(self) -> asyncio.Protocol:
        self.connections += 1
        if action := self.next_of("connect"):
            return _Doorkeeper(action)
        return _Server(self, is_encrypted=self._implicit_tls, loop=asyncio.get_running_loop(), **self._options())

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"hostname": "relay.fake", "enable_SMTPUTF8": self._smtputf8}
        if self._tls is not None and not self._implicit_tls:
            options["tls_context"] = self._tls
        if self._login is not None:
            options |= {"auth_required": True, "authenticator": self._authenticate}
        return options

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any) -> AuthResult:  # noqa: ANN401 - aiosmtpd's type
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=good, handled=False)


class _Server(SMTP):
    """aiosmtpd's server with a say before the content."""

    def __init__(self, relay: FakeSmtp, *, is_encrypted: bool, **options: Any) -> None:  # noqa: ANN401 - aiosmtpd's own options
        self._relay = relay
        super().__init__(relay, **options)
        # It does not see TLS from the first byte; its own option for that warns of logins on plain connections.
        self._auth_require_tls = not is_encrypted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._relay.opened(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._relay.closed(self.transport)
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if action := self._relay.next_of("data"):
            await self.push(await self._relay.act(self, action))
        else:
            await super().smtp_DATA(arg)


class _Doorkeeper(asyncio.Protocol):
    """Says one line, or nothing, and hangs up."""

    def __init__(self, line: str) -> None:
        self._line = line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection
        if self._line != CLOSE:
            transport.write(f"{self._line}\r\n".encode())
        transport.close()


async def _for_ever() -> str:
    """Until the client, or the fake, hangs up: both cancel this."""
    await asyncio.Event().wait()
    raise AssertionError
