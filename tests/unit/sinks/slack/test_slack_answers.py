"""What Slack says, and that the workspace of these tests says it too."""

from __future__ import annotations

import orjson
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_world import item

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.slack import TOKEN


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("channel_not_found", Refused("not_found", "channel_not_found")),
        ("not_in_channel", Refused("not_found", "not_in_channel")),
        ("is_archived", Refused("gone", "is_archived")),
        ("msg_too_long", Refused("too_large", "msg_too_long")),
        ("msg_blocks_too_long", Refused("too_large", "msg_blocks_too_long")),
        ("no_text", Refused("invalid", "no_text")),
        ("invalid_blocks", Refused("invalid", "invalid_blocks")),
        ("some_error_of_next_year", Refused("invalid", "some_error_of_next_year")),
        ("invalid_auth", Later("unauthorised", "sink", detail="invalid_auth")),
        ("token_revoked", Later("unauthorised", "sink", detail="token_revoked")),
        ("account_inactive", Later("unauthorised", "sink", detail="account_inactive")),
        ("missing_scope", Later("unauthorised", "sink", detail="missing_scope")),
        ("ratelimited", Later("rate_limited", "channel", 12.0, "ratelimited")),
        ("service_unavailable", Later("unavailable", "sink", 12.0, "service_unavailable")),
        ("request_timeout", Later("busy", "item", detail="request_timeout")),
        ("internal_error", Unknown("internal_error")),
        ("fatal_error", Unknown("fatal_error")),
        ("Ada Lovelace <ada@customer.example>", Unknown("an answer that is none of Slack's")),
    ],
)
async def test_error_codes(slack, bot, code, outcome):
    """`ok: false` comes with status 200; each code means something of its own."""
    body = orjson.dumps({"ok": False, "error": code})
    slack.faults.then(Fault("status", status=200, headers={"Retry-After": "12"}, body=body))

    assert [outcome] == await bot.deliver([item()])


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (400, "invalid_payload", Refused("invalid", "invalid_payload")),
        (400, "no_text", Refused("invalid", "no_text")),
        (403, "action_prohibited", Refused("invalid", "action_prohibited")),
        (403, "invalid_token", Later("unauthorised", "sink", detail="invalid_token")),
        (404, "channel_not_found", Refused("not_found", "channel_not_found")),
        (404, "no_service", Later("unauthorised", "sink", detail="no_service")),
        (410, "channel_is_archived", Refused("gone", "channel_is_archived")),
        (429, "rate_limited", Later("rate_limited", "channel", 12.0, "rate_limited")),
        (500, "rollup_error", Later("unavailable", "sink", 12.0, "rollup_error")),
        (200, "ok\n", Delivered()),
        (200, "fine", Unknown("an answer that is none of Slack's")),
        (204, "", Unknown("status 204")),
        (302, "", Later("unavailable", "sink", 12.0, "status 302")),
    ],
)
async def test_answers_of_a_webhook(slack, webhook, status, text, outcome):
    """A status and a word."""
    slack.faults.then(Fault("status", status=status, headers={"Retry-After": "12"}, body=text.encode()))

    assert [outcome] == await webhook.deliver([item()])


@pytest.mark.parametrize(
    "answer", [b"[]", b'"ok"', b"null", b'{"ok":true}', b'{"ok":true,"ts":1,"channel":2}', b"[" * 9_000]
)
async def test_an_answer_that_is_none_of_slacks(slack, bot, answer):
    """Status 200 and JSON that says nothing: nobody knows."""
    slack.faults.then(Fault("status", status=200, headers={"Content-Type": "application/json"}, body=answer))

    assert [Unknown] == [type(outcome) for outcome in await bot.deliver([item()])]


def section(text: str, kind: str = "mrkdwn") -> dict:
    return {"type": "section", "text": {"type": kind, "text": text}}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 3_001)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("a < b")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("Ampère & Sons")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 3_000)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"text": "x", "channel": "C-gone"}, "channel_not_found"),
        ({"text": "x", "channel": "C-old"}, "is_archived"),
    ],
)
async def test_the_fake_refuses_what_slack_refuses(slack, fields, code):
    """Otherwise our messages would prove nothing there."""
    slack.messages["C-old"] = []
    slack.archived.add("C-old")
    client = AsyncWebClient(TOKEN, base_url=f"{slack.url}/api/", retry_handlers=[])

    with pytest.raises(SlackApiError) as caught:
        await client.api_call("chat.postMessage", json={"channel": "C-sales"} | fields)

    assert code == caught.value.response["error"]
    assert [] == slack.journal.effects
