"""The Slack sinks and their workspace, for the contract suite."""

from typing import Self

from sink_bench import NOW_S, TOTAL_TIMEOUT_S, closed_port, make_item

from pql_stream.delivery.sink import Item, Sink
from pql_stream.sinks.http import AioHttp
from pql_stream.sinks.slack import SlackSink, SlackWebhookSink
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.slack import TOKEN, WEBHOOK_PATH, FakeSlack


class SlackBench:
    """`SinkBench` of a bot that may read its channel."""

    is_http = True
    finds_repeats = True
    detects_no_op = True
    secrets = (TOKEN, WEBHOOK_PATH.rpartition("/")[2])

    def __init__(self, fake: FakeSlack, url: str) -> None:
        self._fake = fake
        self._url = url
        self.faults = fake.faults
        self.journal = fake.journal

    @classmethod
    async def start(cls) -> Self:
        fake = FakeSlack()
        return cls(fake, await fake.start())

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> Sink:
        base = f"http://127.0.0.1:{closed_port()}" if is_down else self._url
        http = AioHttp(total_timeout_s=total_timeout_s)
        return SlackSink(TOKEN, Templates(), http, now_s=lambda: NOW_S, base_url=f"{base}/api")

    def item(self, number: int) -> Item:
        return make_item(number, sink="slack", action="message", options={"channel": "C-sales"})

    def bad_item(self, number: int) -> Item:
        return make_item(number, sink="slack", action="message", options={"channel": "C-gone"})

    async def close(self) -> None:
        await self._fake.close()


class SlackWebhookBench(SlackBench):
    """`SinkBench` of an incoming webhook, which cannot look back."""

    finds_repeats = False

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> Sink:
        base = f"http://127.0.0.1:{closed_port()}" if is_down else self._url
        http = AioHttp(total_timeout_s=total_timeout_s)
        return SlackWebhookSink(f"{base}{WEBHOOK_PATH}", Templates(), http, now_s=lambda: NOW_S)

    def item(self, number: int) -> Item:
        return make_item(number, sink="slack", action="message")

    def bad_item(self, number: int) -> Item:
        return make_item(number, sink="slack", action="message", options={"text": "no-such-template.txt"})
