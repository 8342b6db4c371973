"""
E-mail by a relay (SMTP): one mail a delivery, to salespeople or to the lead itself.

A relay knows no repeat; a mail that is sent again has the Message-ID of the first, by which some mailboxes drop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pql_stream.delivery.outcomes import Delivered, Later, Outcome
from pql_stream.delivery.sink import Item, Traits
from pql_stream.sinks.http import TOTAL_TIMEOUT_S
from pql_stream.sinks.mail_message import Mail, MailMaker
from pql_stream.sinks.smtp_session import Logins, Relay, SmtpSession

TRAITS = Traits(batch_max=20, repeatable=frozenset(), needs_profile=False, rate=10, rate_period_s=1.0)
"""
Twenty mails share a connection, and ten may be opened a second: relays have limits of their own, and say so.

No profile is needed to write to salespeople; a mail to a lead without one waits.
"""


TIME_S_MAX = 60.0
"""After so long no further mail of an attempt is begun: a relay that takes its time for each reply would take hours."""
_OUT_OF_TIME = Later("unavailable", "sink", detail="not sent: the mails before took too long")


class EmailSink:
    """
    `Sink` by *relay*, of what *maker* makes. *timeout_s* is for each reply of the relay; *clock* is seconds that never
    go back.
    """

    def __init__(
        self,
        relay: Relay,
        maker: MailMaker,
        *,
        timeout_s: float = TOTAL_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay = relay
        self._maker = maker
        self._timeout_s = timeout_s
        self._clock = clock
        self._logins = Logins()

    @property
    def traits(self) -> Traits:
        """As `Sink` says."""
        return TRAITS

    def channel_of(self, _item: Item) -> str:
        """There is none: a relay counts all mails alike."""
        return ""

    def calls_of(self, _items: Sequence[Item]) -> int:
        """One connection."""
        return 1

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """As `Sink` says. The items share a connection; once it is lost, those left were not sent."""
        until_s = self._clock() + TIME_S_MAX
        session = self._session()
        outcomes: list[Outcome] = []
        try:
            for made in [self._maker.make(item) for item in items]:
                if not isinstance(made, Mail):
                    outcomes.append(made)
                elif self._clock() < until_s:
                    outcomes.append(await session.send(made))
                else:
                    outcomes.append(_OUT_OF_TIME)
        finally:
            session.close()
        return outcomes

    async def check(self) -> Outcome:
        """Connect and log in."""
        session = self._session()
        try:
            return await session.open() or Delivered()
        finally:
            session.close()

    async def close(self) -> None:
        """Nothing is kept between calls."""

    def _session(self) -> SmtpSession:
        sender = self._maker.sender
        helo = sender.rpartition("@")[2]
        return SmtpSession(self._relay, self._logins, sender=sender, helo=helo, timeout_s=self._timeout_s)
