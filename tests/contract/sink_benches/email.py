"""The e-mail sink and its relay, for the contract suite: mails to the leads themselves."""

from dataclasses import replace
from typing import Self

import msgspec
from sink_bench import NOW_S, TOTAL_TIMEOUT_S, closed_port, make_item

from pql_stream.delivery.sink import Item
from pql_stream.sinks.email import EmailSink
from pql_stream.sinks.mail_message import MailMaker
from pql_stream.sinks.smtp_session import Relay
from pql_stream.sinks.templates import Templates
from pql_stream.sinks.unsubscribe import UnsubscribeLinks, UnsubscribeTokens
from pql_stream.testing.destinations.smtp import FakeSmtp

SECRET = "an unsubscribe secret of 40 characters.."
REFUSED = "nobody@customer.example"


class EmailBench:
    """`SinkBench` of e-mail."""

    is_http = False
    finds_repeats = False
    detects_no_op = False
    secrets = (SECRET,)

    def __init__(self, fake: FakeSmtp, port: int) -> None:
        self._fake = fake
        self._port = port
        self.faults = fake.faults
        self.journal = fake.journal
        fake.refused[REFUSED] = "550 5.1.1 no such user <nobody@customer.example>"

    @classmethod
    async def start(cls) -> Self:
        fake = FakeSmtp()
        return cls(fake, await fake.start())

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> EmailSink:
        relay = Relay(host="127.0.0.1", port=closed_port() if is_down else self._port, security="plain")
        links = UnsubscribeLinks(base_url="https://example.com/u", tokens=UnsubscribeTokens((SECRET,)))
        maker = MailMaker(sender="pql@vendor.example", templates=Templates(), now_s=lambda: NOW_S, unsubscribe=links)
        return EmailSink(relay, maker, timeout_s=total_timeout_s)

    def item(self, number: int) -> Item:
        options = {"to": "lead", "list": "tips", "subject": "sales_subject.txt", "text": "sales_mail.txt"}
        return make_item(number, sink="email", action="mail", options=options)

    def bad_item(self, number: int) -> Item:
        item = self.item(number)
        assert item.profile is not None
        return replace(item, profile=msgspec.structs.replace(item.profile, email=REFUSED))

    async def close(self) -> None:
        await self._fake.close()
