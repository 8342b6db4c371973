"""What the tests of mails share: items, a maker, and a relay."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern

import msgspec

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.sink import Item
from pql_stream.sinks.email import EmailSink
from pql_stream.sinks.mail_message import MailMaker
from pql_stream.sinks.smtp_session import Relay
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.sinks.template_samples import KNOWN, sample_items
from pql_stream.sinks.templates import Templates
from pql_stream.sinks.unsubscribe import UnsubscribeLinks, UnsubscribeTokens

NOW_S = 1_800_000_000.0
SENDER = "pql@vendor.example"
TOKENS = UnsubscribeTokens(("a secret of unsubscribe links, for tests",))
LINKS = UnsubscribeLinks(base_url="https://vendor.example/u", tokens=TOKENS, mailto="leave@vendor.example")
TO_SALES = {"to": "sales@vendor.example"}
TO_LEAD = {"to": "lead", "list": "tips", "subject": "sales_subject.txt", "text": "sales_mail.txt"}


def item(number: int = 1, profile: LeadProfile | None = KNOWN, options: dict[str, str] = TO_SALES, **record) -> Item:
    [known, *_] = sample_items(("pql-qualified",))
    delivery = msgspec.structs.replace(
        known.delivery,
        delivery_id=f"{number:032x}",
        route="to-sales",
        action="mail",
        options=options,
        record=known.delivery.record | record,
        lead_id=str(record.get("lead_id", "u1")),
    )
    return Item(delivery, profile)


def with_email(email: str | None, number: int = 1, **changes) -> Item:
    """A mail to a lead with this address."""
    return item(number, msgspec.structs.replace(KNOWN, email=email, **changes), TO_LEAD)


def maker(settings: TemplateSettings | None = None, **changes) -> MailMaker:
    made = MailMaker(
        sender=SENDER,
        sender_name="Söldner & Co",
        templates=Templates(settings),
        now_s=lambda: NOW_S,
        unsubscribe=LINKS,
    )
    return replace(made, **changes)


def sink(port: int, relay_changes: dict | None = None, timeout_s: float = 30.0, **changes) -> EmailSink:
    relay = Relay(**{"host": "localhost", "port": port, "security": "plain"} | (relay_changes or {}))
    return EmailSink(relay, maker(**changes), timeout_s=timeout_s)


def parsed(raw: bytes) -> EmailMessage:
    """As the standard library reads it."""
    mail = message_from_bytes(raw, policy=modern)
    assert isinstance(mail, EmailMessage)
    return mail


def defects(mail: EmailMessage) -> list[object]:
    """Everything that the parser found wrong, in the mail, its headers and its parts."""
    found = [*mail.defects, *(defect for value in mail.values() for defect in value.defects)]
    for part in mail.iter_parts():
        found += defects(part)
    return found
