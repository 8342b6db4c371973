"""Slack: what we send is what slack_sdk sends and its models allow, and what Slack says is understood."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block
from slack_sdk.models.metadata import Metadata
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient
from slack_world import NOW_S, TEMPLATES, item, with_options

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Route
from pql_stream.delivery.outcomes import Delivered, Later, Refused
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import AioHttp
from pql_stream.sinks.slack import SlackSink, SlackWebhookSink
from pql_stream.sinks.slack_message import MESSAGE_CHARS_MAX, check_route, cut_mrkdwn, escape, message_of
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.slack import TOKEN, WEBHOOK_CHANNEL, WEBHOOK_PATH

texts = st.text(st.characters(exclude_categories=()), max_size=80)
long_texts = st.builds(lambda text, times: text * times, texts, st.integers(1, 200))


def shown(message) -> str:
    return "\n\n".join(block["text"]["text"] for block in message["blocks"])


def test_a_message_says_what_a_salesperson_needs():
    """Tier, score, every reason, the next step, and the way to the CRM."""
    text = shown(message_of(item(), TEMPLATES))

    for part in ("Platinum lead", "97.5", "50 successful workflow runs (+15)", "*Next step:* Contact this lead now"):
        assert part in text
    assert "<https://crm.example/leads/u1?a=1&amp;b=2|Open in the CRM>" in text


def test_a_message_carries_the_id_of_its_delivery():
    """As metadata, by which it is found again."""
    metadata = message_of(item(7), TEMPLATES)["metadata"]

    assert {"event_type": "pql_delivery", "event_payload": {"delivery_id": f"{7:032x}"}} == metadata


@given(name=long_texts, reasons=st.lists(long_texts, max_size=120), tier=texts, lead=texts)
def test_slack_sdk_takes_every_message(name, reasons, tier, lead):
    """
    Whatever a producer wrote, the official models find every block valid, and the whole is short enough.
    """
    profile = LeadProfile(lead_id=lead, email=name, first_name=name, company=name, title=tier)

    message = message_of(item(profile=profile, tier=tier, reasons=reasons, lead_id=lead), TEMPLATES)

    orjson.dumps(message)
    assert len(message["blocks"]) <= 50
    assert len(shown(message)) <= MESSAGE_CHARS_MAX + 600
    for block in Block.parse_all(message["blocks"]):
        block.validate_json()
        assert 0 < len(block.text.text)
    assert message["blocks"] == [block.to_dict() for block in Block.parse_all(message["blocks"])]


@given(text=st.text(st.sampled_from("&<>ampltg;| ht"), max_size=60), chars_max=st.integers(8, 40))
def test_a_cut_leaves_no_half_mark(text, chars_max):
    """An escape, or a link, is there whole or not at all."""
    whole = f"{escape(text)}<https://x.example|{escape(text)}>&amp;"

    cut = cut_mrkdwn(whole, chars_max)

    assert len(cut) <= chars_max
    assert cut.count("<") == cut.count(">")
    assert cut in (whole, cut.removesuffix("…") + "…")
    assert not any(
        cut.removesuffix("…").endswith(half) for half in ("&", "&a", "&am", "&amp", "&l", "&lt", "&g", "&gt")
    )


def test_nobody_can_be_called_by_a_leads_name():
    """`<!channel>` and a link of somebody else's are shown as they stand; and Slack looks for none by itself."""
    hostile = LeadProfile(lead_id="u1", company="<!channel> <https://evil.example|x> & Co")

    message = message_of(item(profile=hostile), TEMPLATES)

    assert "&lt;!channel&gt; &lt;https://evil.example|x&gt; &amp; Co" in shown(message)
    assert "<!channel>" not in message["text"]
    assert {True} == {block["text"].get("verbatim") for block in message["blocks"] if "section" == block["type"]}


async def test_the_official_bot_client_sends_the_same(slack, bot):
    """slack_sdk, pointed at the same workspace, makes the same request of the same message."""
    await bot.deliver([item()])
    message = message_of(item(), TEMPLATES)
    client = AsyncWebClient(TOKEN, base_url=f"{slack.url}/api/", retry_handlers=[])

    await client.chat_postMessage(
        channel="C-sales",
        text=message["text"],
        blocks=Block.parse_all(message["blocks"]),
        metadata=Metadata(**message["metadata"]),
        unfurl_links=False,
        unfurl_media=False,
    )

    ours, official = slack.bodies
    assert official == ours
    assert [("POST", "/api/chat.postMessage")] * 2 == slack.journal.requests


async def test_the_official_webhook_client_sends_the_same(slack, webhook):
    """Likewise for an incoming webhook."""
    await webhook.deliver([item()])
    message = message_of(item(), TEMPLATES)

    await AsyncWebhookClient(f"{slack.url}{WEBHOOK_PATH}", retry_handlers=[]).send(**message)

    ours, official = slack.bodies
    assert official == ours


async def test_the_official_client_finds_what_we_posted(slack, bot):
    """The look for a repeat asks as slack_sdk does, and both see the id."""
    await bot.deliver([item(5)])
    client = AsyncWebClient(TOKEN, base_url=f"{slack.url}/api/", retry_handlers=[])

    answer = await client.conversations_history(channel="C-sales", include_all_metadata=True, limit=200)
    found = await bot.deliver([item(5, is_repeat=True)])

    assert f"{5:032x}" == answer["messages"][0]["metadata"]["event_payload"]["delivery_id"]
    assert [Delivered(f"C-sales/{answer['messages'][0]['ts']}", was_there=True)] == found
    assert [("GET", "/api/conversations.history")] * 2 == slack.journal.requests[1:]


async def test_a_repeat_is_found_some_pages_back(slack, bot):
    """The channel is busy: the look turns the page."""
    slack.page_max = 2
    await bot.deliver([item(number) for number in range(1, 6)])

    outcomes = await bot.deliver([item(1, is_repeat=True)])

    assert [Delivered] == [type(outcome) for outcome in outcomes]
    assert 5 == len(slack.messages["C-sales"])


async def test_the_look_for_a_repeat_ends(slack, bot):
    """After five pages it is sent again, which the loop has marked."""
    slack.page_max = 1
    await bot.deliver([item(number) for number in range(1, 8)])

    await bot.deliver([item(1, is_repeat=True)])

    assert 5 == slack.journal.requests.count(("GET", "/api/conversations.history"))
    assert 8 == len(slack.messages["C-sales"])


async def test_the_look_for_a_repeat_begins_where_the_delivery_was_decided(slack, bot):
    """What was posted long before cannot be it, and is not read."""
    slack.page_max = 1
    await bot.deliver([item(number) for number in range(1, 4)])
    late = item(9, is_repeat=True)
    decided_at_ms = late.delivery.decided_at_ms + 3_600_000

    await bot.deliver([replace(late, delivery=msgspec.structs.replace(late.delivery, decided_at_ms=decided_at_ms))])

    assert 1 == slack.journal.requests.count(("GET", "/api/conversations.history"))


async def test_a_bot_that_may_not_look_sends_again(slack, bot):
    """Without the scope channels:history a repeat is sent; better twice than never."""
    await bot.deliver([item(1)])
    slack.scopes.discard("channels:history")

    outcomes = await bot.deliver([item(1, is_repeat=True)])

    assert [Delivered] == [type(outcome) for outcome in outcomes]
    assert {f"{1:032x}": 2} == slack.journal.seen()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (
            Fault("status", status=429, headers={"Retry-After": "7"}),
            Later("rate_limited", "channel", 7.0, "status 429"),
        ),
        (Fault("status", status=503), Later("unavailable", "sink", None, "status 503")),
        (
            Fault("garbage"),
            Later("unavailable", "sink", detail="looking for an earlier attempt: an answer that is none of Slack's"),
        ),
        (
            Fault("status", status=200, body=b'{"ok":false,"error":"token_revoked"}'),
            Later("unauthorised", "sink", None, "token_revoked"),
        ),
    ],
    ids=["429", "503", "garbage", "revoked"],
)
async def test_nothing_is_sent_while_slack_cannot_say(slack, bot, fault, outcome):
    """As long as the look fails for a while, the repeat waits."""
    await bot.deliver([item(1)])
    slack.faults.then(fault)

    assert [outcome] == await bot.deliver([item(1, is_repeat=True)])
    assert 1 == len(slack.messages["C-sales"])


async def test_a_channel_per_item(slack, bot):
    """It is the limit's bucket, and it is where the message goes."""
    slack.messages["C-vip"] = []

    await bot.deliver([item(1, channel="C-vip"), item(2)])

    assert ["C-vip", "C-sales"] == [bot.channel_of(item(1, channel="C-vip")), bot.channel_of(item(2))]
    assert [1, 1] == [len(slack.messages["C-vip"]), len(slack.messages["C-sales"])]


async def test_no_channel_is_no_request(slack, bot):
    """An item without one is refused before anything is sent."""
    outcomes = await bot.deliver([with_options(item())])

    assert [Refused("invalid", "the route names no channel")] == outcomes
    assert [] == slack.journal.requests


async def test_a_template_that_fails_is_a_refusal_without_a_value(slack, bot, tmp_path):
    """What the dead letter says has the template and the line."""
    (tmp_path / "own.txt").write_text("{{ 1 // (score - 13) }}")
    sink = SlackSink(
        TOKEN,
        Templates(TemplateSettings(directory=tmp_path)),
        AioHttp(),
        now_s=lambda: NOW_S,
        base_url=f"{slack.url}/api",
    )

    outcomes = await sink.deliver([with_options(item(score=13), channel="C-sales", text="own.txt")])
    await sink.close()

    assert [Refused("invalid", "template own.txt, line 1: ZeroDivisionError")] == outcomes


async def test_a_webhook_posts_into_its_one_channel(slack, webhook):
    """And the message carries the id all the same."""
    outcomes = await webhook.deliver([item(3)])

    assert [Delivered(None)] == outcomes
    assert f"{3:032x}" == slack.messages[WEBHOOK_CHANNEL][0]["metadata"]["event_payload"]["delivery_id"]
    assert "" == webhook.channel_of(item())


async def test_checks_tell_a_bad_credential(slack):
    """A token, or a webhook, that was taken back."""
    bot = SlackSink("xoxb-old", TEMPLATES, AioHttp(), now_s=lambda: NOW_S, base_url=f"{slack.url}/api")
    webhook = SlackWebhookSink(f"{slack.url}/services/T0/B0/old", TEMPLATES, AioHttp(), now_s=lambda: NOW_S)

    assert Later("unauthorised", "sink", detail="invalid_auth") == await bot.check()
    assert Later("unauthorised", "sink", detail="no_service") == await webhook.check()
    await bot.close()
    await webhook.close()


@pytest.mark.parametrize("token", ["", "s3cret", "xoxb-1\r\nX: y", "xoxb-é"])
def test_a_token_that_is_none_stops_the_start(token):
    """And is not shown."""
    with pytest.raises(InvalidSettings) as caught:
        SlackSink(token, TEMPLATES, AioHttp(), now_s=lambda: NOW_S)

    assert token not in str(caught.value) + caught.value.why or not token


@pytest.mark.parametrize("url", ["", "hooks.slack.com/services/T/B/s3cret", "https://[::1/s3cret", "ftp://x/s3cret"])
def test_a_webhook_address_that_is_none_stops_the_start(url):
    """And is not shown."""
    with pytest.raises(InvalidSettings) as caught:
        SlackWebhookSink(url, TEMPLATES, AioHttp(), now_s=lambda: NOW_S)

    assert "s3cret" not in str(caught.value) + caught.value.why


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (Route("r", "pql-qualified", "slack", "message"), "it names no channel"),
        (Route("r", "pql-qualified", "slack", "task", options={"channel": "C1"}), "Slack cannot do 'task'"),
        (Route("r", "pql-qualified", "slack", "message", options={"chanel": "C1"}), "Slack has no option 'chanel'"),
        (
            Route("r", "pql-qualified", "slack", "message", options={"channel": "C1", "text": "x.txt"}),
            "neither the template directory nor pql-stream itself has one of this name",
        ),
    ],
)
def test_a_route_that_cannot_work_stops_the_start(route, why):
    """What, why and what to do."""
    with pytest.raises(InvalidSettings) as caught:
        check_route(route, TEMPLATES, has_channel=True)

    assert why == caught.value.why
    assert caught.value.what_to_do


def test_a_route_with_the_shipped_templates_works():
    """For both kinds of record."""
    for kind in ("pql-qualified", "score-changed"):
        check_route(Route("r", kind, "slack", "message", options={"channel": "C1"}), TEMPLATES, has_channel=True)
        check_route(Route("r", kind, "slack", "message"), TEMPLATES, has_channel=False)
