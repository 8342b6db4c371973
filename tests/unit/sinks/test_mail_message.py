"""Mails as they are made: judged by the standard library's parser and by the rules of RFC 5322, 2047 and 8058."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_world import KNOWN, LINKS, SENDER, TO_LEAD, TO_SALES, TOKENS, defects, item, maker, parsed, with_email

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Route
from pql_stream.delivery.outcomes import Later, Refused
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.mail_message import Mail
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.sinks.unsubscribe import Unsubscription

MAKER = maker()
HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Feedback-ID",
    "MIME-Version",
    "Content-Type",
}
TO_LEAD_HEADERS = HEADERS | {"List-Unsubscribe", "List-Unsubscribe-Post", "Content-Transfer-Encoding"}

texts = st.text(st.characters(exclude_categories=()), max_size=80)
HOSTILE = "Ada\r\nBcc: evil@x.example\r\n\r\n.\r\nQUIT\r\n"


def made(of) -> Mail:
    mail = MAKER.make(of)
    assert isinstance(mail, Mail)
    return mail


def test_a_mail_to_sales():
    """Who, when, what, and that a program wrote it; no list to leave."""
    mail = parsed(made(item(7)).raw)

    assert HEADERS == set(mail.keys())
    assert f"Söldner & Co <{SENDER}>" == mail["From"]
    assert "sales@vendor.example" == mail["To"]
    assert "Platinum lead: Ampère & Sons <Ltd>, 97.5 points" == mail["Subject"]
    assert "Fri, 15 Jan 2027 08:00:00 +0000" == mail["Date"]
    assert f"<{7:032x}@vendor.example>" == mail["Message-ID"]
    assert "auto-generated" == mail["Auto-Submitted"]
    assert "to-sales:sales:mail:pqlstream" == mail["Feedback-ID"]


def test_a_repeat_is_the_same_mail():
    """Byte for byte while the clock stands: the same Message-ID, the same boundary."""
    assert made(item(7)).raw == made(item(7)).raw


def test_the_text_comes_before_the_html():
    """multipart/alternative, the best last (RFC 2046, 5.1.4); both say the same."""
    mail = parsed(
        made(
            item(),
        ).raw
    )

    assert "multipart/alternative" == mail.get_content_type()
    assert ["text/plain", "text/html"] == [part.get_content_type() for part in mail.iter_parts()]
    for part in mail.iter_parts():
        assert "50 successful workflow runs (+15)" in part.get_content()
    assert "Ampère &amp; Sons &lt;Ltd&gt;" in mail.get_body(("html",)).get_content()


@given(name=texts, reason=texts, tier=texts, lead_id=texts, account=texts)
def test_no_record_breaks_a_mail(name, reason, tier, lead_id, account):
    """
    Whatever a producer wrote: our headers and no others, nothing that the parser minds, 7-bit lines that are short
    enough, and CR and LF only together.
    """
    profile = LeadProfile(lead_id=lead_id, email=name, first_name=name, company=name, phone=reason)
    record = {"tier": tier, "reasons": [reason, name], "lead_id": lead_id, "account_id": account}

    mail = made(item(1, profile, **record))

    assert [] == defects(parsed(mail.raw))
    assert HEADERS == set(parsed(mail.raw).keys())
    assert ["sales@vendor.example"] == list(mail.recipients)
    assert mail.raw.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", mail.raw)
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 998


@given(lead_id=st.text(max_size=80), name=texts)
def test_list_unsubscribe_is_as_rfc_8058_wants_it(lead_id, name):
    """
    Each header once and in one line, unencoded; one https URI, whose token names the lead and the list.
    """
    mail = made(item(1, msgspec.structs.replace(KNOWN, company=name), TO_LEAD, lead_id=lead_id))
    head = mail.raw.partition(b"\r\n\r\n")[0].decode()
    [unsubscribe] = re.findall(r"(?im)^List-Unsubscribe: (.*)\r?$", head)
    [url] = re.findall(r"<(https:[^<>\s]+)>", unsubscribe)

    assert 1 == len(re.findall(r"(?im)^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r?$", head))
    assert f"<{url}>, <mailto:leave@vendor.example>" == unsubscribe.strip()
    assert Unsubscription(lead_id, "tips") == TOKENS.verify(url.rpartition("/")[2])
    assert "=?" not in unsubscribe
    assert TO_LEAD_HEADERS == set(parsed(mail.raw).keys())


def test_a_long_unsubscribe_link_is_not_folded():
    """Python's own policy would write it as encoded words from 78 characters on."""
    mail = made(item(1, KNOWN, TO_LEAD, lead_id="l" * 256))

    assert re.search(rb"\r\nList-Unsubscribe: <https://vendor\.example/u/[\w.-]{370,}>, <mailto:[^\r]*>\r\n", mail.raw)


def test_a_lead_id_that_fits_in_no_link():
    """256 characters of four bytes each: refused, rather than a header that nobody reads."""
    assert Refused("too_large", "the lead's id is too long for an unsubscribe link") == MAKER.make(
        item(1, KNOWN, TO_LEAD, lead_id="\U0001f600" * 256)
    )


def test_a_long_subject_is_folded_into_short_encoded_words():
    """At most 75 characters each (RFC 2047, 2), which one long line for all headers would break."""
    mail = made(item(1, msgspec.structs.replace(KNOWN, company="Ö" * 200)))
    words = re.findall(rb"=\?utf-8\?[^?]*\?[^?]*\?=", mail.raw.partition(b"\r\n\r\n")[0])

    assert 5 < len(words)
    assert max(map(len, words)) <= 75
    assert max(map(len, mail.raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 76
    assert parsed(mail.raw)["Subject"].startswith("Platinum lead: ÖÖÖ")


def test_a_hostile_name_adds_no_header_and_no_command():
    """Neither in the subject nor in an address."""
    profile = LeadProfile(lead_id="u1", company=HOSTILE, email=HOSTILE + "@x.example", consent=True)

    mail = parsed(made(item(1, profile)).raw)

    assert HEADERS == set(mail.keys())
    assert "Platinum lead: Ada Bcc: evil@x.example . QUIT , 97.5 points" == mail["Subject"]
    assert Refused("no_address", "malformed") == MAKER.make(item(1, profile, TO_LEAD))


def test_an_address_beyond_ascii_stands_in_the_header_as_it_is():
    """Such a mail is marked for SMTPUTF8; a domain alone is written in ASCII and needs no mark."""
    utf8, ascii_ = made(with_email("用户@bücher.example")), made(with_email("ada@bücher.example"))

    assert (True, False) == (utf8.needs_utf8, ascii_.needs_utf8)
    assert "To: 用户@xn--bcher-kva.example\r\n".encode() in utf8.raw
    assert b"To: ada@xn--bcher-kva.example\r\n" in ascii_.raw


@pytest.mark.parametrize(
    ("of", "outcome"),
    [
        (with_email("ada@x.example", consent=None), Refused("no_consent")),
        (with_email("ada@x.example", consent=False), Refused("no_consent")),
        (with_email(None, consent=None), Refused("no_consent")),
        (with_email(None), Refused("no_address")),
        (with_email(""), Refused("no_address")),
        (with_email("ada at x"), Refused("no_address", "malformed")),
        (item(1, None, TO_LEAD), Later("busy", "item", detail="no profile yet")),
        (item(1, KNOWN, {"to": "lead"}), Refused("invalid", "the route names no template")),
        (item(1, KNOWN, {}), Refused("no_address", "the route's")),
        (item(1, KNOWN, {"to": "sales"}), Refused("no_address", "the route's")),
        (item(1, KNOWN, {"to": ",".join(f"s{n}@x.example" for n in range(51))}), Refused("no_address", "the route's")),
        (item(1, KNOWN, TO_SALES | {"text": "no.txt"}), Refused("invalid", "there is no template no.txt")),
    ],
)
def test_no_mail(of, outcome):
    """Without a yes, an address, a profile or a template there is none, and the reason says which."""
    assert outcome == MAKER.make(of)


def test_nothing_goes_to_a_lead_who_could_not_leave():
    """Without unsubscribe settings, that is; salespeople get theirs."""
    without = replace(MAKER, unsubscribe=None)

    assert Refused("invalid", "no mail goes to a lead without a link to unsubscribe") == without.make(
        with_email("ada@x.example")
    )
    assert isinstance(without.make(item()), Mail)


def test_a_template_that_fails_is_a_refusal_without_a_value(tmp_path):
    """The template and the line."""
    (tmp_path / "own.txt").write_text("{{ 1 // (score - 13) }}")
    own = maker(TemplateSettings(directory=tmp_path))

    assert Refused("invalid", "template own.txt, line 1: ZeroDivisionError") == own.make(
        item(1, KNOWN, TO_SALES | {"text": "own.txt"}, score=13)
    )


def test_a_mail_to_a_lead_can_show_the_link(tmp_path):
    """`unsubscribe_url` is the address of the header."""
    (tmp_path / "own.txt").write_text("To leave: {{ unsubscribe_url }}")
    own = maker(TemplateSettings(directory=tmp_path))

    mail = own.make(item(1, KNOWN, TO_LEAD | {"text": "own.txt"}))

    assert f"To leave: {LINKS.url(Unsubscription('u1', 'tips'))}\r\n" == parsed(mail.raw).get_content()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"to": "sales@x.example", "cc": "x"}, "e-mail has no option 'cc'"),
        ({"to": "sales"}, "option to has no address, a wrong one, or more than 50"),
        ({}, "option to has no address, a wrong one, or more than 50"),
        (
            {"to": "lead", "subject": "sales_subject.txt", "text": "sales_mail.txt"},
            "a mail to a lead needs the option 'list'",
        ),
        ({"to": "lead", "list": "tips"}, "a mail to a lead needs the option 'subject'"),
        (
            {"to": "sales@x.example", "html": "no.html"},
            "neither the template directory nor pql-stream itself has one of this name",
        ),
    ],
)
def test_a_route_that_cannot_work_stops_the_start(options, why):
    """What, why and what to do."""
    with pytest.raises(InvalidSettings) as caught:
        MAKER.check_route(Route("r", "pql-qualified", "email", "mail", options=options))

    assert why == caught.value.why
    assert caught.value.what_to_do


def test_a_route_of_another_action_or_without_unsubscribing_stops_the_start():
    """A task is no mail; and a lead must be able to leave."""
    with pytest.raises(InvalidSettings, match="cannot be used"):
        MAKER.check_route(Route("r", "pql-qualified", "email", "task", options=TO_SALES))
    with pytest.raises(InvalidSettings, match="cannot be used"):
        replace(MAKER, unsubscribe=None).check_route(Route("r", "pql-qualified", "email", "mail", options=TO_LEAD))


def test_routes_that_work():
    """To salespeople by the shipped templates, and to leads by others."""
    for kind in ("pql-qualified", "score-changed"):
        MAKER.check_route(Route("r", kind, "email", "mail", options=TO_SALES))
        MAKER.check_route(Route("r", kind, "email", "mail", options=TO_LEAD))


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "PQL <pql@x.example>"},
        {"sender": "用户@x.example"},
        {"sender": ""},
        {"sender_name": "a\nb"},
        {"sender_name": "Ö, x"},
    ],
)
def test_a_sender_that_is_none_stops_the_start(changes):
    """Its address is plain, and its name is one line."""
    with pytest.raises(InvalidSettings, match="the sender of mails"):
        replace(MAKER, **changes)
