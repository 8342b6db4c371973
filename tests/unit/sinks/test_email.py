"""Mails on their way: what each reply of a relay, and each silence, means for each mail."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
from mail_world import KNOWN, TO_SALES, item, maker, parsed, sink, with_email

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.email import EmailSink
from pql_stream.sinks.smtp_session import Relay
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.smtp import CLOSE, HANG, FakeSmtp

LOGIN = ("pql", "s3cret-of-the-relay")
OVER = Later("unavailable", "sink", detail="not sent: the connection was lost before")


@pytest.fixture
async def relay():
    """A relay, and its port."""
    fake = FakeSmtp()
    fake.port = await fake.start()
    yield fake
    await fake.close()


@pytest.fixture
def authority():
    """Signs certificates."""
    return trustme.CA()


@pytest.fixture
async def start(authority):
    """Starts relays of other kinds."""
    fakes = []

    async def begin(**options):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(tls)
        fakes.append(FakeSmtp(tls=tls, **options))
        fakes[-1].port = await fakes[-1].start()
        return fakes[-1]

    yield begin
    for fake in fakes:
        await fake.close()


@pytest.fixture
def trusting(authority):
    """Trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_the_relay_gets_the_mail_as_it_was_made(relay):
    """Envelope and content; and the outcome has the Message-ID."""
    outcomes = await sink(relay.port).deliver([item(7)])

    [effect] = relay.journal.effects
    assert [Delivered(f"<{7:032x}@vendor.example>")] == outcomes
    assert ("pql@vendor.example", ["sales@vendor.example"]) == (effect.content["from"], effect.content["to"])
    assert f"{7:032x}" == effect.delivery_id


async def test_a_long_unsubscribe_link_survives_the_way(relay):
    """What the relay received has it in one line, unencoded (RFC 8058)."""
    lead = item(1, KNOWN, with_email("x").delivery.options, lead_id="l" * 256)

    await sink(relay.port).deliver([lead])

    raw = relay.journal.effects[0].content["raw"]
    [line] = [line for line in raw.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    assert line.startswith(b"List-Unsubscribe: <https://vendor.example/u/")
    assert line.endswith(b">, <mailto:leave@vendor.example>")
    assert 380 < len(line) < 998
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw


async def test_a_line_that_begins_with_a_dot_arrives(relay, tmp_path):
    """Alone it would be the end of the mail, and what follows would be commands."""
    (tmp_path / "own.txt").write_text("one\n.\nRSET\n..two\n")
    own = sink(relay.port, settings=TemplateSettings(directory=tmp_path))

    await own.deliver([item(1, KNOWN, TO_SALES | {"text": "own.txt"})])

    [effect] = relay.journal.effects
    assert "one\r\n.\r\nRSET\r\n..two\r\n" == parsed(effect.content["raw"]).get_body(("plain",)).get_content()


async def test_the_items_of_a_call_share_a_connection(relay):
    """Also when one of them is refused in between."""
    relay.refused["nobody@x.example"] = "550 5.1.1 unknown"
    items = [item(1), item(2, KNOWN, {"to": "nobody@x.example"}), with_email(None, 3), item(4)]

    outcomes = await sink(relay.port).deliver(items)

    assert [Delivered, Refused, Refused, Delivered] == [type(outcome) for outcome in outcomes]
    assert 1 == relay.connections


async def test_nothing_to_send_is_no_connection(relay):
    """A mail that cannot be made does not bother the relay."""
    assert [Refused("no_address")] == await sink(relay.port).deliver([with_email(None)])
    assert 0 == relay.connections


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("450 4.2.0 greylisted", Later("busy", "item", 300.0, "rcpt 450 4.2.0")),
        ("451 4.7.1 try again", Later("busy", "item", 300.0, "rcpt 451 4.7.1")),
        ("452 4.2.2 mailbox full", Later("busy", "item", None, "rcpt 452 4.2.2")),
        ("452 4.3.1 no space", Later("unavailable", "sink", None, "rcpt 452 4.3.1")),
        ("421 4.7.0 too many", Later("unavailable", "sink", None, "rcpt 421 4.7.0")),
        ("550 5.1.1 no such user ada@customer.example", Refused("not_found", "rcpt 550 5.1.1")),
        ("550 no such user", Refused("not_found", "rcpt 550")),
        ("553 5.1.3 syntax", Refused("not_found", "rcpt 553 5.1.3")),
        ("550 5.7.1 spam", Refused("invalid", "rcpt 550 5.7.1")),
        ("552 5.2.2 over quota", Refused("too_large", "rcpt 552 5.2.2")),
        ("530 5.7.0 log in first", Later("unauthorised", "sink", None, "rcpt 530 5.7.0")),
        (CLOSE, Later("unavailable", "sink", None, "connection lost: SMTPServerDisconnected")),
        ("what?", Later("unavailable", "sink", None, "connection lost: SMTPResponseException")),
        ("354 go on", Later("unavailable", "sink", None, "rcpt: not a reply of SMTP")),
    ],
)
async def test_replies_to_a_recipient(relay, reply, outcome):
    """4yz later, 5yz never; the text, which names people, is not kept."""
    relay.stages["rcpt"].append(reply)

    assert [outcome] == await sink(relay.port).deliver([item()])
    assert [] == relay.journal.effects


@pytest.mark.parametrize(
    ("stage", "reply", "outcome"),
    [
        ("connect", "421 4.3.2 closing", Later("unavailable", "sink", None, "connect 421 4.3.2")),
        ("connect", "554 5.7.1 not you", Later("unauthorised", "sink", None, "connect 554 5.7.1")),
        ("connect", CLOSE, Later("not_connected", "sink", None, "SMTPConnectError")),
        ("mail", "451 4.3.0 later", Later("unavailable", "sink", None, "mail 451 4.3.0")),
        ("mail", "550 5.7.1 sender refused", Later("unauthorised", "sink", None, "mail 550 5.7.1")),
        ("mail", "552 5.3.4 too big", Refused("too_large", "mail 552 5.3.4")),
        ("mail", CLOSE, Later("unavailable", "sink", None, "connection lost: SMTPServerDisconnected")),
        ("data", "451 4.7.1 later", Later("busy", "item", None, "data 451 4.7.1")),
        ("data", "554 5.5.1 no", Refused("invalid", "data 554 5.5.1")),
        ("data", "421 4.3.2 closing", Later("unavailable", "sink", None, "data 421 4.3.2")),
        ("data", CLOSE, Later("unavailable", "sink", None, "connection lost: SMTPServerDisconnected")),
    ],
)
async def test_replies_before_the_content(relay, stage, reply, outcome):
    """Nothing was taken, whatever it is: never "unknown"."""
    relay.stages[stage].append(reply)

    assert [outcome] == await sink(relay.port).deliver([item()])
    assert [] == relay.journal.effects


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
async def test_silence_before_the_content(relay, stage):
    """Surely not sent."""
    relay.stages[stage].append(HANG)

    outcomes = await sink(relay.port, timeout_s=0.5).deliver([item()])

    assert [Later("unavailable", "sink", detail="connection lost: SMTPReadTimeoutError")] == outcomes
    assert [] == relay.journal.effects


async def test_a_relay_that_takes_its_time(relay):
    """A minute after it began, an attempt begins no further mail: surely not sent, and what was sent is told."""
    seconds = iter([0.0, 10.0, 59.9, 60.0, 90.0])
    slow = EmailSink(Relay(host="localhost", port=relay.port, security="plain"), maker(), clock=lambda: next(seconds))

    outcomes = await slow.deliver([item(1), item(2), with_email(None, 3), item(4), item(5)])

    out_of_time = Later("unavailable", "sink", detail="not sent: the mails before took too long")
    assert [Delivered, Delivered, Refused] == [type(one) for one in outcomes[:3]]
    assert [out_of_time] * 2 == outcomes[3:]
    assert 2 == len(relay.journal.effects)


async def test_an_envelope_has_an_end(relay, monkeypatch):
    """However many recipients there are, each with a reply that comes just in time: nothing was sent."""
    monkeypatch.setattr("pql_stream.sinks.smtp_session.ENVELOPE_S_MAX", 0.2)
    relay.stages["rcpt"].append(HANG)

    outcomes = await sink(relay.port).deliver([item(1), item(2)])

    assert [Later("unavailable", "sink", detail="connection lost: TimeoutError"), OVER] == outcomes


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (451, "4.7.1 later", Later("busy", "item", None, "content 451 4.7.1")),
        (452, "4.3.1 no space", Later("unavailable", "sink", None, "content 452 4.3.1")),
        (421, "4.3.2 closing", Later("unavailable", "sink", None, "content 421 4.3.2")),
        (554, "5.7.1 spam", Refused("invalid", "content 554 5.7.1")),
        (552, "5.3.4 too big", Refused("too_large", "content 552 5.3.4")),
        (354, "go on", Unknown("content: not a reply of SMTP")),
    ],
)
async def test_replies_to_the_content(relay, status, text, outcome):
    """A "no" after the final dot is a "no"; what is no reply leaves it open."""
    relay.faults.then(Fault("status", status=status, body=text.encode()))

    assert [outcome] == await sink(relay.port).deliver([item()])


@pytest.mark.parametrize("kind", ["close_before", "close_after", "half_answer", "garbage", "huge"])
async def test_no_reply_to_the_content(relay, kind):
    """The connection was lost after the final dot: the mail may be there. What comes behind it was not sent."""
    relay.faults.then(Fault(kind))

    unknown, *rest = await sink(relay.port).deliver([item(1), item(2), item(3)])

    assert isinstance(unknown, Unknown)
    assert [OVER, OVER] == rest
    assert (kind != "close_before") == (f"{1:032x}" in relay.journal.seen())


async def test_a_relay_that_closes_is_connected_to_by_the_next_call(relay):
    """Nothing of a lost connection is left."""
    relay.stages["mail"].append("421 4.7.0 enough")
    to = sink(relay.port)

    outcomes = await to.deliver([item(1), item(2)]) + await to.deliver([item(1), item(2)])

    assert [Later, Later, Delivered, Delivered] == [type(outcome) for outcome in outcomes]
    assert OVER == outcomes[1]
    assert 2 == relay.connections


async def test_some_recipients_are_refused_for_good(relay):
    """The others have the mail, and the outcome says how many have not: sending again would not help."""
    relay.refused["gone@x.example"] = "550 5.1.1 unknown"
    options = {"to": "a@x.example, gone@x.example, b@x.example"}

    outcomes = await sink(relay.port).deliver([item(1, KNOWN, options)])

    wanted = "1 of 3 recipients refused: rcpt 550 5.1.1"
    assert [Delivered(f"<{1:032x}@vendor.example>", detail=wanted)] == outcomes
    assert ["a@x.example", "b@x.example"] == relay.journal.effects[0].content["to"]


@pytest.mark.parametrize("others", ["250 OK", "550 5.1.1 unknown"])
async def test_one_recipient_has_to_wait(relay, others):
    """Nobody gets it yet: later all do, and nobody twice."""
    relay.stages["rcpt"].extend([others, "451 4.7.1 greylisted", others])
    options = {"to": "a@x.example, slow@x.example, b@x.example"}

    outcomes = await sink(relay.port).deliver([item(1, KNOWN, options)])

    assert [Later("busy", "item", 300.0, "rcpt 451 4.7.1")] == outcomes
    assert [] == relay.journal.effects


async def test_all_recipients_are_refused(relay):
    """That is a refusal of the mail."""
    relay.stages["rcpt"].extend(["550 5.1.1 unknown", "550 5.7.1 no"])

    outcomes = await sink(relay.port).deliver([item(1, KNOWN, {"to": "a@x.example, b@x.example"})])

    assert [Refused("not_found", "rcpt 550 5.1.1")] == outcomes


async def test_an_address_beyond_ascii(relay):
    """Where the relay knows SMTPUTF8."""
    outcomes = await sink(relay.port).deliver([with_email("用户@bücher.example")])

    assert [Delivered] == [type(outcome) for outcome in outcomes]
    assert ["用户@xn--bcher-kva.example"] == relay.journal.effects[0].content["to"]


async def test_an_address_beyond_ascii_at_an_old_relay(start):
    """It is refused alone, and the next goes on the same connection."""
    old = await start(smtputf8=False)

    outcomes = await sink(old.port).deliver([with_email("用户@x.example"), item(2)])

    assert Refused("no_address", "the relay takes no address beyond ASCII") == outcomes[0]
    assert [Delivered] == [type(outcome) for outcome in outcomes[1:]]


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
@pytest.mark.parametrize("login", [LOGIN, ("pql@vendor.example", "pässword with blanks"), ("p", "=" * 200)])
async def test_a_login_over_tls(start, trusting, security, implicit, login):
    """Both ways the relay asks for a login, takes it once for all mails of a call, and they arrive."""
    fake = await start(login=login, implicit_tls=implicit)
    relay = {"security": security, "username": login[0], "password": login[1], "tls": trusting}

    outcomes = await sink(fake.port, relay).deliver([item(1), item(2)])

    assert [Delivered] * 2 == [type(outcome) for outcome in outcomes]
    assert ["PLAIN"] == fake.logins


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_relay_that_wants_a_login_and_gets_none(start, trusting, security, implicit):
    """Somebody must act: 530 is about us, and not about the mail."""
    fake = await start(login=LOGIN, implicit_tls=implicit)

    outcomes = await sink(fake.port, {"security": security, "tls": trusting}).deliver([item()])

    assert [Later("unauthorised", "sink", detail="mail 530 5.7.0")] == outcomes
    assert [] == fake.journal.effects


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_wrong_password(start, trusting, security, implicit):
    """
    Somebody must act, and nothing is thrown away; the check finds it too. It is offered once a connection, and one
    connection a call: relays lock accounts.
    """
    fake = await start(login=LOGIN, implicit_tls=implicit)
    to = sink(fake.port, {"security": security, "username": "pql", "password": "wrong", "tls": trusting})

    assert [Later("unauthorised", "sink", detail="login 535 5.7.8")] * 4 == [
        *await to.deliver([item(1), item(2), item(3)]),
        await to.check(),
    ]
    assert (["PLAIN"] * 2, 2) == (fake.logins, fake.connections)


@pytest.mark.parametrize(
    ("unknown", "outcome", "logins"),
    [
        (["PLAIN"], Delivered, ["PLAIN", "LOGIN"]),
        (["PLAIN", "LOGIN"], Later, ["PLAIN", "LOGIN"]),
    ],
)
async def test_a_mechanism_that_is_offered_and_not_known(start, trusting, unknown, outcome, logins):
    """The next one is tried; where none is left, somebody must act."""
    fake = await start(login=LOGIN, unknown=unknown)
    to = sink(fake.port, {"security": "starttls", "username": LOGIN[0], "password": LOGIN[1], "tls": trusting})

    outcomes = await to.deliver([item()])

    assert ([outcome], logins) == ([type(one) for one in outcomes], fake.logins)


async def test_logins_at_the_same_moment_offer_a_wrong_password_once(start, trusting):
    """
    Eight calls are under way when the password turns out to be wrong: the first asks the relay, and its answer is
    theirs. The next call asks again: whether one goes out is for the loop, which pauses the sink.
    """
    fake = await start(login=LOGIN)
    to = sink(fake.port, {"security": "starttls", "username": "pql", "password": "wrong", "tls": trusting})

    at_once = await asyncio.gather(*(to.deliver([item(number)]) for number in range(8)))
    later = await to.deliver([item(9)])

    assert [[Later("unauthorised", "sink", detail="login 535 5.7.8")]] * 9 == [*at_once, later]
    assert ["PLAIN"] * 2 == fake.logins


async def test_good_logins_at_the_same_moment_all_pass(start, trusting):
    """One after the other, and every mail arrives."""
    fake = await start(login=LOGIN)
    to = sink(fake.port, {"security": "starttls", "username": LOGIN[0], "password": LOGIN[1], "tls": trusting})

    outcomes = await asyncio.gather(*(to.deliver([item(number)]) for number in range(4)))

    assert [Delivered] * 4 == [type(one) for [one] in outcomes]
    assert ["PLAIN"] * 4 == fake.logins


async def test_a_relay_without_starttls_gets_nothing(relay):
    """No mail goes readable where TLS was asked for."""
    outcomes = await sink(relay.port, {"security": "starttls"}).deliver([item()])

    assert [Later("unauthorised", "sink", detail="the relay offers no STARTTLS, or no login")] == outcomes
    assert [] == relay.journal.requests


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_certificate_that_nobody_vouches_for(start, security, implicit):
    """Not connected, and nothing sent."""
    fake = await start(implicit_tls=implicit)

    [outcome] = await sink(fake.port, {"security": security, "tls": ssl.create_default_context()}).deliver([item()])

    assert ("not_connected", "sink") == (outcome.reason, outcome.scope)
    assert [] == fake.journal.requests


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "pql", "security": "tls"},
        {"password": LOGIN[1], "security": "tls"},
        {"username": "pql", "password": LOGIN[1], "security": "plain"},
        {"host": ""},
        {"host": "a..b"},
        {"port": 0},
    ],
)
def test_a_relay_that_cannot_work_stops_the_start(changes):
    """And the password is not shown, in no way."""
    with pytest.raises(InvalidSettings) as caught:
        Relay(**{"host": "localhost", "port": 25} | changes)

    assert LOGIN[1] not in f"{caught.value} {caught.value.why}"
    assert LOGIN[1] not in repr(Relay(host="x", port=25, username="u", password=LOGIN[1]))
