"""Deliveries of the demo as people see them."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from pql_stream.core.routes import Route
from pql_stream.ops.demo.deliveries import Arrival
from pql_stream.ops.demo.shown import examples, headline, lines_of
from pql_stream.testing.destinations.journal import Effect
from pql_stream.wire.deliveries import route_record


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "leads@example.com", "sales@example.com", "Gold lead"
    message.set_content("Ada Becker\n\nTier: gold\n")
    message.add_alternative("<p>Ada</p>", subtype="html")
    return message.as_bytes()


CONTACT = {"firstname": "Ada", "lastname": "Becker", "email": "ada@example.com", "lead_score": "86"}
TASK = {
    "hs_task_subject": "PQL - Gold",
    "hs_task_priority": "MEDIUM",
    "hs_timestamp": "1767571200000",
    "hs_task_body": "Call &amp; ask<br>Score 86",
}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "*Tier:* gold\n*Why* &lt;5"}}
MESSAGE = {
    "channel": "C-sales",
    "text": "Gold lead: A &amp; B",
    "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Gold lead"}}, SECTION],
}
MAIL = {"to": ["sales@example.com"], "subject": "Gold lead", "raw": mail()}
CHANGE = {"schema": "score-changed/1", "lead_id": "me", "tier_after": "unqualified", "score_after": 5}


@pytest.mark.parametrize(
    ("kind", "content", "line", "lines"),
    [
        ("contact", CONTACT, "contact Ada Becker: 86 points", ["Ada Becker <ada@example.com>", "lead_score 86"]),
        ("contact", {"pql_user_id": "u1"}, "contact u1", ["u1 <>", ""]),
        (
            "task",
            TASK,
            "task: PQL - Gold",
            ["PQL - Gold (medium, due 2026-01-05 00:00 UTC)", "Call & ask", "Score 86"],
        ),
        ("message", MESSAGE, "message in C-sales: Gold lead: A & B", ["Gold lead", "Tier: gold", "Why <5"]),
        (
            "mail",
            MAIL,
            "mail to sales@example.com: Gold lead",
            [
                "From: leads@example.com",
                "To: sales@example.com",
                "Subject: Gold lead",
                "Ada Becker",
                "",
                "Tier: gold",
            ],
        ),
        (
            "post",
            CHANGE,
            "score-changed of me: unqualified, 5 points",
            [
                "{",
                '  "schema": "score-changed/1",',
                '  "lead_id": "me",',
                '  "tier_after": "unqualified",',
                '  "score_after": 5',
                "}",
            ],
        ),
    ],
    ids=["contact", "contact_of_a_task", "task", "message", "mail", "post"],
)
def test_an_effect_is_shown_as_its_reader_sees_it(kind, content, line, lines):
    """
    One line, and all of it: without the escapes and marks that its destination takes away.
    """
    effect = Effect("fake", kind, "d", "", content)

    assert line == headline(effect)
    assert lines == lines_of(effect)


def test_the_examples_are_of_one_lead_where_it_has_any():
    """
    Of each kind the last one of the lead, or else the last of anybody, in a fixed order.
    """

    def arrival(kind: str, lead_id: str, place: int) -> Arrival:
        record = {"lead_id": lead_id, "qualification_id": f"{lead_id}:{place}"}
        route = Route("r", "pql-qualified", "s", "post")
        delivery = route_record(route, "pql-qualified", record, decided_at_ms=0)
        return Arrival(delivery, Effect("fake", kind, delivery.delivery_id, lead_id, {"place": place}))

    arrivals = [
        arrival("post", "u1", 1),
        arrival("post", "u1", 2),
        arrival("post", "u2", 3),
        arrival("task", "u2", 4),
    ]

    assert [("task", 4), ("post", 2)] == [
        (kind, effect.content["place"]) for kind, effect in examples(arrivals, "u1").items()
    ]
