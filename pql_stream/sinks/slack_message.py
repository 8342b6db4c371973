"""
A delivery as a Slack message: a header, sections of text, and the delivery's id as metadata.

What is too long for Slack is cut, not refused: half a reason is better than no message. slack_sdk's models look at
each block before it is sent.
"""

from __future__ import annotations

import re
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block, HeaderBlock, MarkdownTextObject, PlainTextObject, SectionBlock

from pql_stream.core.routes import Action, Route
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.template_context import cut
from pql_stream.sinks.templates import RenderFailed, Templates

EVENT_TYPE = "pql_delivery"
"""Names our metadata among that of other apps."""
SUBJECT_OPTION, TEXT_OPTION, CHANNEL_OPTION = "subject", "text", "channel"
"""Options of a route: a template of a line, one of Slack's mrkdwn, and the channel (not with an incoming webhook)."""
ACTION: Action = "message"

HEADER_CHARS_MAX = 150
SECTION_CHARS_MAX = 3_000
SECTIONS_MAX = 45
"""A message has at most 50 blocks."""
MESSAGE_CHARS_MAX = 12_000
"""All blocks together; at about 13,000 Slack answers msg_blocks_too_long."""

_DEFAULTS = {SUBJECT_OPTION: "sales_subject.txt", TEXT_OPTION: "sales_slack.txt"}
_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
# The start of an escape, or of a link, whose end was cut off.
_HALF = re.compile(r"&[a-z]{0,3}$|<[^<>]*$")


class Unfit(Exception):
    """No message can be made of an item. Its text has no value of the lead."""


def message_of(item: Item, templates: Templates) -> dict[str, Any]:
    """
    The fields of chat.postMessage, without the channel; an incoming webhook takes the same.

    Raises:
        Unfit: a template fails or is missing, or there is nothing to say.
    """
    try:
        subject = templates.get(_option(item, SUBJECT_OPTION), "line", item.delivery.of).render(item)
        text = templates.get(_option(item, TEXT_OPTION), "slack", item.delivery.of).render(item)
        blocks = [block.to_dict() for block in _blocks(subject, text)]
    except InvalidSettings as exc:
        raise Unfit(exc.what) from exc
    except (RenderFailed, SlackObjectFormationError) as exc:
        raise Unfit(str(exc)) from exc
    if not blocks:
        raise Unfit("the message is empty")
    return {
        "text": escape(subject) or cut_mrkdwn(text, HEADER_CHARS_MAX),  # what a notification shows
        "blocks": blocks,
        "metadata": {"event_type": EVENT_TYPE, "event_payload": {"delivery_id": item.delivery.delivery_id}},
        "unfurl_links": False,
        "unfurl_media": False,
    }


def check_route(route: Route, templates: Templates, *, has_channel: bool) -> None:
    """
    Look at a route to Slack, and load its templates. *has_channel*: it is for a bot, which must be told where.

    Raises:
        InvalidSettings: something is wrong with it.
    """
    known = {SUBJECT_OPTION, TEXT_OPTION} | ({CHANNEL_OPTION} if has_channel else set())
    if strange := sorted(route.options.keys() - known):
        raise _bad_route(route, f"Slack has no option {strange[0]!r}", f"use {', '.join(sorted(known))}")
    if route.action != ACTION:
        raise _bad_route(route, f"Slack cannot do {route.action!r}", f"write action: {ACTION}")
    if has_channel and not route.options.get(CHANNEL_OPTION):
        raise _bad_route(route, "it names no channel", f"write the channel's id as option {CHANNEL_OPTION}")
    templates.get(str(route.options.get(SUBJECT_OPTION, _DEFAULTS[SUBJECT_OPTION])), "line", route.of)
    templates.get(str(route.options.get(TEXT_OPTION, _DEFAULTS[TEXT_OPTION])), "slack", route.of)


def escape(text: str) -> str:
    """*text* as Slack shows it: these three and no others have a meaning of their own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut_mrkdwn(text: str, chars_max: int) -> str:
    """*text*, or its beginning and an ellipsis; no link and no escape is cut in two."""
    return text if len(text) <= chars_max else _HALF.sub("", text[: chars_max - 1]) + "…"


def _option(item: Item, name: str) -> str:
    return str(item.delivery.options.get(name, _DEFAULTS[name]))


def _blocks(subject: str, text: str) -> list[Block]:
    """The header, and a section for each paragraph of *text*."""
    blocks: list[Block] = []
    if subject:
        # Slack takes plain text alone here, although slack_sdk would let mrkdwn pass.
        blocks.append(HeaderBlock(text=PlainTextObject(text=cut(subject, HEADER_CHARS_MAX), emoji=False)))
    paragraphs = [part.strip() for part in _PARAGRAPHS.split(cut_mrkdwn(text.strip(), MESSAGE_CHARS_MAX))]
    for paragraph in [part for part in paragraphs if part][:SECTIONS_MAX]:
        # Verbatim: Slack makes links and mentions of nothing but what the template says is one.
        shown = MarkdownTextObject(text=cut_mrkdwn(paragraph, SECTION_CHARS_MAX), verbatim=True)
        blocks.append(SectionBlock(text=shown))
    return blocks


def _bad_route(route: Route, why: str, what_to_do: str) -> InvalidSettings:
    return InvalidSettings(f"the route {route.name} cannot be used", why=why, what_to_do=what_to_do)
