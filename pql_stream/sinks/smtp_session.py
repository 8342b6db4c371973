"""One connection to a mail relay, for the mails of one attempt."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused, Unknown
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.mail_message import Mail
from pql_stream.sinks.smtp_answers import Step, is_taken, outcome_of_recipients, outcome_of_reply, refusals

Security = Literal["starttls", "tls", "plain"]
"""*starttls*: plain until the relay has agreed to TLS, and no mail without it. *tls* from the first byte."""

CONNECT_TIMEOUT_S = 15.0
"""Up to the greeting: some relays make a stranger wait for six seconds, to see whether he can."""

ENVELOPE_S_MAX = 60.0
"""For one mail, up to its content: fifty recipients, each answered just in time, would take half an hour."""

_GO_ON, _CLOSING, _UNKNOWN_MECHANISM, _REFUSED = 354, 421, 504, 535
_FIRST_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Where mails are handed in. Without *username* there is no login. *tls* instead of the machine's trust."""

    host: str
    port: int
    security: Security = "starttls"
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            is_host = bool(self.host) and bool(self.host.encode("idna"))
        except UnicodeError:
            is_host = False
        if not is_host or not 0 < self.port < 65_536:
            raise InvalidSettings(
                "the mail relay's address cannot be used",
                why="the host is no name, or the port is not one of 1 to 65535",
                what_to_do="write a host like smtp.example.com; the port is 587 for starttls, 465 for tls",
            )
        if bool(self.username) != bool(self.password):
            raise InvalidSettings(
                "the login at the mail relay is incomplete",
                why="there is a user name without a password, or a password without a user name",
                what_to_do="set both, or neither",
            )
        if self.security == "plain" and self.password:
            raise InvalidSettings(
                "the password of the mail relay would be sent readable",
                why="the connection is plain",
                what_to_do="use starttls or tls",
            )


class Logins:
    """
    Those at one relay, one at a time: while a password is refused, others may be about to offer it as well, and relays
    lock accounts for that. Whoever began before the refusal has the answer.

    Attributes: `refusals` counts them.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self.refusals = 0
        self._last = SMTPResponse(_REFUSED, "")

    async def take_turns(self, log_in: Callable[[], Awaitable[None]], refusals: int) -> None:
        """
        Do *log_in*, unless a login was refused since there were *refusals*.

        Raises:
            SMTPAuthenticationError: it is refused, or that one was.
        """
        async with self._turn:
            if self.refusals != refusals:
                raise SMTPAuthenticationError(*self._last)
            try:
                await log_in()
            except SMTPAuthenticationError as exc:
                if exc.code == _REFUSED:
                    self.refusals += 1
                    self._last = SMTPResponse(exc.code, exc.message)
                raise


@dataclass(frozen=True, slots=True)
class _Ready:
    """The relay waits for the content. *note*: which recipients will not get it."""

    note: str


class SmtpSession:
    """
    Connects at the first mail, and is over at the first fault of the connection: what comes after it was not sent.

    *logins* is shared by all sessions at the relay. *helo* is what we call ourselves.
    """

    def __init__(self, relay: Relay, logins: Logins, *, sender: str, helo: str, timeout_s: float) -> None:
        self._login = (relay.username, relay.password) if relay.username else None
        self._logins = logins
        self._refusals = logins.refusals
        self._sender = sender
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(timeout_s, CONNECT_TIMEOUT_S)
        self._client = SMTP(
            hostname=relay.host,
            port=relay.port,
            local_hostname=helo,
            timeout=timeout_s,
            use_tls=relay.security == "tls",
            start_tls=relay.security == "starttls",
            tls_context=relay.tls,
        )
        self._is_open = False
        self._over: Later | None = None

    async def open(self) -> Later | None:
        """Connect and log in, unless that is done; or why it cannot be."""
        if not self._is_open and self._over is None:
            self._over = await self._connect()
            self._is_open = self._over is None
        return self._over

    async def send(self, mail: Mail) -> Outcome:
        """One attempt at *mail*."""
        if failure := await self.open():
            return failure
        try:
            async with asyncio.timeout(ENVELOPE_S_MAX):
                ready = await self._envelope(mail)
            if isinstance(ready, _Ready):
                self._write(mail.raw)
        except (SMTPException, OSError) as exc:
            # Before the content: nothing can have been taken.
            ready = Later("unavailable", "sink", detail=f"connection lost: {type(exc).__name__}")
            self._client.close()
        outcome = await self._reply(mail, ready) if isinstance(ready, _Ready) else ready
        if not self._client.is_connected:
            self._over = Later("unavailable", "sink", detail="not sent: the connection was lost before")
        return outcome

    def close(self) -> None:
        """
        Say goodbye, and hang up. The relay's answer is not waited for: the outcomes are known, and being cancelled
        here would lose them.
        """
        if self._client.protocol is not None and self._client.is_connected:
            self._client.protocol.write(b"QUIT\r\n")
        self._client.close()

    async def _connect(self) -> Later | None:
        try:
            await self._client.connect(timeout=self._connect_timeout_s)
            if self._client.is_ehlo_or_helo_needed:
                await self._client.ehlo()
            if (login := self._login) is not None:
                await self._logins.take_turns(lambda: self._log_in(*login), self._refusals)
        except SMTPResponseException as exc:
            step: Step = "login" if isinstance(exc, SMTPAuthenticationError) else "connect"
            outcome = outcome_of_reply(step, exc.code, exc.message)
            return outcome if isinstance(outcome, Later) else Later("unauthorised", "sink", detail=outcome.detail)
        except OSError as exc:
            return Later("not_connected", "sink", detail=type(exc).__name__)
        except SMTPException:
            return Later("unauthorised", "sink", detail="the relay offers no STARTTLS, or no login")
        return None

    async def _log_in(self, username: str, password: str) -> None:
        """
        Not by the client's own `login`: that offers a password that was refused again by each mechanism that the relay
        knows, and relays lock accounts for it. Only "I do not know this one" (504) leads to the next.
        """
        if not self._client.supports_extension("auth"):
            raise SMTPException("no AUTH")
        by = {"plain": self._client.auth_plain, "login": self._client.auth_login, "cram-md5": self._client.auth_crammd5}
        known = [mechanism for mechanism in by if mechanism in self._client.supported_auth_methods]
        for mechanism in known:
            try:
                await by[mechanism](username, password)
            except SMTPAuthenticationError as exc:
                if exc.code != _UNKNOWN_MECHANISM or mechanism == known[-1]:
                    raise
            else:
                return
        raise SMTPException("no mechanism of ours")

    async def _envelope(self, mail: Mail) -> _Ready | Outcome:
        """Sender, recipients and DATA, up to where the relay waits for the content; or why it does not."""
        if mail.needs_utf8 and not self._client.supports_extension("smtputf8"):
            return Refused("no_address", "the relay takes no address beyond ASCII")
        options = [b"SMTPUTF8"] if mail.needs_utf8 else []
        code, text = await self._client.execute_command(b"MAIL", f"FROM:<{self._sender}>".encode(), *options)
        if not is_taken(code):
            return await self._given_up(outcome_of_reply("mail", code, text))
        replies: list[tuple[int, str]] = []
        for recipient in mail.recipients:
            code, text = await self._client.execute_command(b"RCPT", f"TO:<{recipient}>".encode())
            replies.append((code, text))
            if code == _CLOSING:
                break
        if failure := outcome_of_recipients(replies):
            return await self._given_up(failure)
        code, text = await self._client.execute_command(b"DATA")
        if code != _GO_ON:
            return await self._given_up(outcome_of_reply("data", code, text))
        return _Ready(refusals(replies))

    async def _given_up(self, outcome: Outcome) -> Outcome:
        """Have the relay forget this mail, so that the next one begins anew."""
        try:
            await self._client.rset()
        except (SMTPException, OSError):
            self._client.close()
        return outcome

    def _write(self, raw: bytes) -> None:
        """
        Write the content and the dot that ends it.

        Not by the client's own `data`: it fails alike whether the connection broke before the content or after it.
        """
        if self._client.protocol is None:
            raise SMTPServerDisconnected("between the reply to DATA and the content")
        self._client.protocol.write(_FIRST_DOT.sub(b"..", raw) + b".\r\n")

    async def _reply(self, mail: Mail, ready: _Ready) -> Outcome:
        """What the relay says to the content. From here on, silence leaves open whether it has it."""
        try:
            if self._client.protocol is None:
                raise SMTPServerDisconnected("after the content")
            code, text = await self._client.protocol.read_response(self._timeout_s)
        except (SMTPException, OSError) as exc:
            self._client.close()
            return Unknown(f"content: {type(exc).__name__}")
        if code == _CLOSING:
            self._client.close()
        if is_taken(code):
            return Delivered(mail.message_id, detail=ready.note)
        return outcome_of_reply("content", code, text)
