"""The webhook sink and its receiver, for the contract suite."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Self

import msgspec
from sink_bench import NOW_S, TOTAL_TIMEOUT_S, closed_port, make_item

from pql_stream.delivery.sink import Item
from pql_stream.sinks.webhook import Endpoint, WebhookSink, open_webhook
from pql_stream.testing.destinations.webhook import FakeWebhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "T0K3N-of-the-url"


class WebhookBench:
    """`SinkBench` of the webhook."""

    is_http = True
    finds_repeats = True
    detects_no_op = False
    secrets = (SECRET.removeprefix("whsec_"), TOKEN)

    def __init__(self, fake: FakeWebhook, url: str) -> None:
        self._fake = fake
        self._url = url
        self.faults = fake.faults
        self.journal = fake.journal

    @classmethod
    async def start(cls) -> Self:
        fake = FakeWebhook([SECRET], now_s=lambda: NOW_S)
        return cls(fake, await fake.start())

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> WebhookSink:
        base = f"http://127.0.0.1:{closed_port()}" if is_down else self._url
        return open_webhook(
            Endpoint(url=f"{base}/in/{TOKEN}", secrets=(SECRET,), is_http_allowed=True),
            now_s=lambda: NOW_S,
            allowed_networks=[ip_network("127.0.0.0/8")],
            total_timeout_s=total_timeout_s,
        )

    def item(self, number: int) -> Item:
        return make_item(number, sink="webhook", action="post")

    def bad_item(self, number: int) -> Item:
        item = self.item(number)
        too_much = {**item.delivery.record, "reasons": ["x" * 30_000]}
        return replace(item, delivery=msgspec.structs.replace(item.delivery, record=too_much))

    async def close(self) -> None:
        await self._fake.close()
