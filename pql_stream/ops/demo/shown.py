"""Deliveries as the people see them who get them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default as modern
from typing import Any

import orjson

from pql_stream.ops.demo.deliveries import Arrival
from pql_stream.testing.destinations.journal import Effect

KINDS = ("contact", "task", "message", "mail", "post")
_POST_FIELDS = ("schema", "lead_id", "tier", "tier_after", "score", "score_after", "handoff")
"""What matters most of a published record, which is posted whole."""


def headline(effect: Effect) -> str:
    """One line about it."""
    content = effect.content
    match effect.kind:
        case "contact":
            # One that a task brought along says who the lead is, and nothing of its score.
            score = content.get("lead_score")
            return f"contact {_name(content)}" + (f": {score} points" if score else "")
        case "task":
            return f"task: {content['hs_task_subject']}"
        case "message":
            return f"message in {content['channel']}: {_unescaped(content['text'])}"
        case "mail":
            return f"mail to {', '.join(content['to'])}: {content['subject']}"
        case _:
            score, tier = (content.get(name, content.get(f"{name}_after")) for name in ("score", "tier"))
            return f"{content['schema'].partition('/')[0]} of {content['lead_id']}: {tier}, {score:g} points"


def lines_of(effect: Effect) -> list[str]:
    """All of it; of a post what matters most."""
    return list(_WRITERS[effect.kind](effect.content))


def examples(arrivals: Sequence[Arrival], lead_id: str) -> dict[str, Effect]:
    """Of each kind the last effect, that of the lead *lead_id* if there is one."""
    found: dict[str, Effect] = {}
    for wanted in (False, True):
        found |= {one.effect.kind: one.effect for one in arrivals if (one.delivery.lead_id == lead_id) is wanted}
    return {kind: found[kind] for kind in KINDS if kind in found}


def _contact(content: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_name(content)} <{content.get('email', '')}>"
    names = ("lead_score", "score_category", "features_used", "total_workflows", "compliance_level")
    yield ", ".join(f"{name} {content[name]}" for name in names if name in content)


def _task(content: Mapping[str, Any]) -> Iterator[str]:
    due = datetime.fromtimestamp(int(content["hs_timestamp"]) / 1000, tz=UTC)
    yield f"{content['hs_task_subject']} ({content['hs_task_priority'].lower()}, due {due:%Y-%m-%d %H:%M} UTC)"
    body = content["hs_task_body"].replace("<br>", "\n")
    yield from html.unescape(body).splitlines()


def _message(content: Mapping[str, Any]) -> Iterator[str]:
    for block in content["blocks"]:
        text = _unescaped(block["text"]["text"])
        yield from (text if block["type"] == "header" else text.replace("*", "")).splitlines()


def _mail(content: Mapping[str, Any]) -> Iterator[str]:
    mail = message_from_bytes(content["raw"], policy=modern)
    yield from (f"{name}: {mail[name]}" for name in ("From", "To", "Subject"))
    body = mail.get_body(("plain",))
    if body is not None:
        yield from body.get_content().splitlines()


def _post(content: Mapping[str, Any]) -> Iterator[str]:
    known = {name: content[name] for name in _POST_FIELDS if content.get(name) is not None}
    yield from orjson.dumps(known, option=orjson.OPT_INDENT_2).decode().splitlines()


_WRITERS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "contact": _contact,
    "task": _task,
    "message": _message,
    "mail": _mail,
    "post": _post,
}


def _name(content: Mapping[str, Any]) -> str:
    names = (content.get(name, "") for name in ("firstname", "lastname"))
    return " ".join(filter(None, names)) or str(content.get("pql_user_id", ""))


def _unescaped(text: str) -> str:
    """What Slack shows of its mrkdwn's escapes."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
