"""The other side of the demo: the shipped fakes of HubSpot, Slack, a mail relay and a webhook, on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from pql_stream.ops.demo.settings_file import CHANNEL, CHAT, CRM, HOOK, MAIL, WEBHOOK_SECRET, Addresses
from pql_stream.testing.destinations.hubspot import FakeHubSpot
from pql_stream.testing.destinations.journal import Effect, Journal
from pql_stream.testing.destinations.slack import FakeSlack
from pql_stream.testing.destinations.smtp import FakeSmtp
from pql_stream.testing.destinations.webhook import FakeWebhook

START_S_MAX = 20.0

_T = TypeVar("_T")


class Destinations:
    """
    The fakes, in a thread of their own; `with Destinations() as destinations:` runs them.

    *addresses* is where they listen, while they run.
    """

    addresses: Addresses

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="destinations", daemon=True)
        self._running = AsyncExitStack()
        self._journals: Mapping[str, Journal] = {}
        self._seen: dict[str, int] = {}

    def __enter__(self) -> Self:
        with ExitStack() as unfinished:
            unfinished.callback(self._close)  # also after a Ctrl-C in the middle of it
            self._thread.start()
            self.addresses = self._in_thread(self._start())
            unfinished.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def effects(self) -> dict[str, list[Effect]]:
        """All that was accepted, by sink."""
        return {sink: list(journal.effects) for sink, journal in self._journals.items()}

    def arrived(self) -> Iterator[tuple[str, Effect]]:
        """What has come since this was asked last, with its sink."""
        for sink, journal in self._journals.items():
            effects = journal.effects[self._seen.get(sink, 0) :]
            self._seen[sink] = self._seen.get(sink, 0) + len(effects)
            yield from ((sink, effect) for effect in effects)

    async def _start(self) -> Addresses:
        hubspot, slack, smtp, webhook = FakeHubSpot(), FakeSlack((CHANNEL,)), FakeSmtp(), FakeWebhook([WEBHOOK_SECRET])
        for fake in (hubspot, slack, smtp, webhook):
            self._running.push_async_callback(fake.close)
        self._journals = {CRM: hubspot.journal, CHAT: slack.journal, MAIL: smtp.journal, HOOK: webhook.journal}
        await hubspot.start()
        return Addresses(hubspot.url, await slack.start(), await webhook.start(), await smtp.start())

    def _in_thread(self, work: Coroutine[Any, Any, _T]) -> _T:
        future: Future[_T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(START_S_MAX)

    def _close(self) -> None:
        if self._thread.is_alive():
            self._in_thread(self._running.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
