"""A workspace with a bot and an incoming webhook."""

from __future__ import annotations

import pytest
from slack_world import NOW_S, TEMPLATES

from pql_stream.sinks.http import AioHttp
from pql_stream.sinks.slack import SlackSink, SlackWebhookSink
from pql_stream.testing.destinations.slack import TOKEN, WEBHOOK_PATH, FakeSlack


@pytest.fixture
async def slack():
    """A workspace."""
    fake = FakeSlack()
    fake.url = await fake.start()
    yield fake
    await fake.close()


@pytest.fixture
async def bot(slack):
    """A bot in it."""
    sink = SlackSink(TOKEN, TEMPLATES, AioHttp(), now_s=lambda: NOW_S, base_url=f"{slack.url}/api/")
    yield sink
    await sink.close()


@pytest.fixture
async def webhook(slack):
    """An incoming webhook of it."""
    sink = SlackWebhookSink(f"{slack.url}{WEBHOOK_PATH}", TEMPLATES, AioHttp(), now_s=lambda: NOW_S)
    yield sink
    await sink.close()
