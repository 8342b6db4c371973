"""A delivery as a mail: to salespeople, or to the lead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from typing import Any

from pql_stream.core.routes import Action, Route
from pql_stream.delivery.outcomes import Later, Refused
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.mail_addresses import clean_address, clean_addresses
from pql_stream.sinks.templates import Kind, RenderFailed, Templates
from pql_stream.sinks.unsubscribe import UnsubscribeLinks, Unsubscription

ACTION: Action = "mail"
TO_OPTION, LIST_OPTION = "to", "list"
"""Options of a route: addresses with commas between, or the word `lead`; and the list that a lead can leave."""
THE_LEAD = "lead"
TEMPLATE_KINDS: dict[str, Kind] = {"subject": "line", "text": "text", "html": "html"}
"""Options of a route: its templates. Without `html` a mail to a lead is text alone."""
_FOR_SALES = {"subject": "sales_subject.txt", "text": "sales_mail.txt", "html": "sales_mail.html"}

RECIPIENTS_MAX = 50
HEADER_CHARS_MAX = 998
"""Of a line (RFC 5322, 2.1.1)."""

# One line, whatever its length. Python's own policy would write a long List-Unsubscribe as encoded words, which
# nobody reads there (RFC 8058 wants the URL), and a folded one has broken DKIM checks.
_WHOLE = SMTP.clone(max_line_length=HEADER_CHARS_MAX, cte_type="7bit")
# All others as usual: one line of 998 would make one encoded word of a long subject. Its limit is 75, and that of its
# line 76 (RFC 2047, 2).
_FOLDED = SMTP.clone(max_line_length=76, cte_type="7bit")
_ONE_LINE = frozenset({"list-unsubscribe", "list-unsubscribe-post", "feedback-id", "message-id"})
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]+")


class _MailPolicy(EmailPolicy):
    """Folds each header as it needs."""

    def fold_binary(self, name: str, value: Any) -> bytes:  # noqa: ANN401 - as the base class has it
        policy = _WHOLE if name.lower() in _ONE_LINE else _FOLDED
        return policy.clone(utf8=self.utf8).fold_binary(name, value)


_POLICY = _MailPolicy(linesep="\r\n", cte_type="7bit", max_line_length=76)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail ready to be sent. *needs_utf8*: an address is beyond ASCII."""

    recipients: tuple[str, ...]
    message_id: str
    raw: bytes
    needs_utf8: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MailMaker:
    """
    Makes mails from *sender* (its address) called *sender_name*.

    *feedback_sender* names us in Feedback-ID, by which Google counts complaints. *unsubscribe*: without it nothing is
    sent to leads. *now_s* is the Unix time.
    """

    sender: str
    templates: Templates
    now_s: Callable[[], float]
    sender_name: str = ""
    feedback_sender: str = "pqlstream"
    unsubscribe: UnsubscribeLinks | None = None

    def __post_init__(self) -> None:
        if clean_address(self.sender) != self.sender or not self.sender.isascii():
            raise InvalidSettings(
                "the sender of mails is no address",
                why="mails come from a plain address like pql@example.com",
                what_to_do="write the address alone; the name is a setting of its own",
            )
        # Python loses the quotes around these where it folds a name beyond ASCII, and then they mean something.
        if (
            not self.sender_name.isprintable()
            or len(self.sender_name) > 60
            or set(self.sender_name) & set('<>()[]:;@\\,"')
        ):
            raise InvalidSettings(
                "the name of the sender of mails cannot be used",
                why='it is longer than 60 characters, or has a control character, or one of < > ( ) [ ] : ; @ \\ , "',
                what_to_do="write a plain name",
            )

    def make(self, item: Item) -> Mail | Refused | Later:
        """The mail of *item*, or why there is none."""
        options = item.delivery.options
        to_lead = options.get(TO_OPTION) == THE_LEAD
        recipients = self._lead(item) if to_lead else _salespeople(options)
        if not isinstance(recipients, list):
            return recipients
        if not {"subject", "text"} <= _templates(options).keys():
            return Refused("invalid", "the route names no template")
        url = self._unsubscribe_url(item) if to_lead else ""
        if len(url) > HEADER_CHARS_MAX // 2:
            return Refused("too_large", "the lead's id is too long for an unsubscribe link")
        try:
            message = self._message(item, recipients, url)
        except InvalidSettings as exc:
            return Refused("invalid", exc.what)
        except RenderFailed as exc:
            return Refused("invalid", str(exc))
        needs_utf8 = not all(address.isascii() for address in recipients)
        raw = message.as_bytes(policy=_POLICY.clone(utf8=needs_utf8))
        return Mail(tuple(recipients), str(message["Message-ID"]), raw, needs_utf8)

    def check_route(self, route: Route) -> None:
        """
        Look at a route to this sink, and load its templates.

        Raises:
            InvalidSettings: something is wrong with it.
        """
        if problem := self._problem(route):
            why, what_to_do = problem
            raise InvalidSettings(f"the route {route.name} cannot be used", why=why, what_to_do=what_to_do)
        for name, template in _templates(route.options).items():
            self.templates.get(template, TEMPLATE_KINDS[name], route.of)

    def _problem(self, route: Route) -> tuple[str, str] | None:
        known = {TO_OPTION, LIST_OPTION, *TEMPLATE_KINDS}
        options, to = route.options, str(route.options.get(TO_OPTION, ""))
        if strange := sorted(options.keys() - known):
            return f"e-mail has no option {strange[0]!r}", f"use {', '.join(sorted(known))}"
        if route.action != ACTION:
            return f"e-mail cannot do {route.action!r}", f"write action: {ACTION}"
        if to != THE_LEAD:
            addresses = clean_addresses(to)
            if addresses is None or len(addresses) > RECIPIENTS_MAX:
                return (
                    f"option {TO_OPTION} has no address, a wrong one, or more than {RECIPIENTS_MAX}",
                    f"write addresses with commas between, or {THE_LEAD}",
                )
            return None
        return self._lead_problem(options)

    def _lead_problem(self, options: Mapping[str, Any]) -> tuple[str, str] | None:
        if self.unsubscribe is None:
            return "no mail goes to a lead without a link to unsubscribe", "set the unsubscribe address and its secret"
        if missing := sorted({LIST_OPTION, "subject", "text"} - options.keys()):
            return f"a mail to a lead needs the option {missing[0]!r}", "the shipped templates are for salespeople"
        return None

    def _lead(self, item: Item) -> list[str] | Refused | Later:
        if self.unsubscribe is None:
            return Refused("invalid", "no mail goes to a lead without a link to unsubscribe")
        if item.profile is None:
            return Later("busy", "item", detail="no profile yet")
        if item.profile.consent is not True:
            return Refused("no_consent")
        if not item.profile.email:
            return Refused("no_address")
        address = clean_address(item.profile.email)
        return Refused("no_address", "malformed") if address is None else [address]

    def _unsubscribe_url(self, item: Item) -> str:
        list_name = str(item.delivery.options.get(LIST_OPTION, item.delivery.route))
        assert self.unsubscribe is not None, "there are no recipients otherwise"  # noqa: S101 - our own mistake
        return self.unsubscribe.url(Unsubscription(item.delivery.lead_id, list_name))

    def _message(self, item: Item, recipients: list[str], url: str) -> EmailMessage:
        made = {
            name: self.templates.get(template, TEMPLATE_KINDS[name], item.delivery.of).render(item, unsubscribe_url=url)
            for name, template in _templates(item.delivery.options).items()
        }
        message = EmailMessage(policy=_FOLDED)
        for name, value in self._headers(item, recipients, made["subject"], url).items():
            message[name] = value
        message.set_content(made["text"])
        if "html" in made:
            message.add_alternative(made["html"], subtype="html")
            # Python's own is random; so a repeat is the same mail, but for its date.
            message.set_boundary(f"=_{_STRANGE.sub('-', item.delivery.delivery_id)}")
        return message

    def _headers(self, item: Item, recipients: list[str], subject: str, url: str) -> dict[str, Any]:
        delivery = item.delivery
        feedback = (delivery.route, str(delivery.options.get(LIST_OPTION, "sales")), delivery.action)
        headers = {
            "From": Address(self.sender_name, addr_spec=self.sender),
            "To": [_header_address(address) for address in recipients],
            "Subject": subject,
            "Date": datetime.fromtimestamp(int(self.now_s()), tz=UTC),
            "Message-ID": f"<{_STRANGE.sub('-', delivery.delivery_id)}@{self.sender.rpartition('@')[2]}>",
            "Auto-Submitted": "auto-generated",
            "Feedback-ID": ":".join(_STRANGE.sub("-", part)[:60] for part in (*feedback, self.feedback_sender)),
        }
        if url and self.unsubscribe is not None:
            mailto = f", <mailto:{self.unsubscribe.mailto}>" if self.unsubscribe.mailto else ""
            headers["List-Unsubscribe"] = f"<{url}>{mailto}"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return headers


def _salespeople(options: Mapping[str, Any]) -> list[str] | Refused:
    addresses = clean_addresses(str(options.get(TO_OPTION, "")))
    if addresses is None or len(addresses) > RECIPIENTS_MAX:
        return Refused("no_address", "the route's")
    return addresses


def _templates(options: Mapping[str, Any]) -> dict[str, str]:
    """The templates by their options; those for salespeople are there if nothing is said."""
    defaults = {} if options.get(TO_OPTION) == THE_LEAD else _FOR_SALES
    return {name: str(options[name]) for name in TEMPLATE_KINDS if name in options} | {
        name: template for name, template in defaults.items() if name not in options
    }


def _header_address(address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(username=local, domain=domain)
