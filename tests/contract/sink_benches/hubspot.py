"""The HubSpot sink and its fake, for the contract suite: once as contacts, once as tasks."""

from dataclasses import replace
from typing import Self

import msgspec
from sink_bench import NOW_S, TOTAL_TIMEOUT_S, closed_port, make_item

from pql_stream.delivery.sink import Item
from pql_stream.sinks.hubspot import HubSpotSettings, HubSpotSink, open_hubspot
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.hubspot import SERVICE_KEY, FakeHubSpot
from pql_stream.testing.destinations.journal import Effect, Journal


class HubSpotContactsBench:
    """`SinkBench` of HubSpot's contacts."""

    is_http = True
    finds_repeats = True
    detects_no_op = True
    secrets = (SERVICE_KEY,)
    action = "upsert"

    def __init__(self, fake: FakeHubSpot) -> None:
        self._fake = fake
        self.faults = fake.faults
        self.journal = fake.journal

    @classmethod
    async def start(cls) -> Self:
        fake = FakeHubSpot(clock=lambda: NOW_S)
        return cls(await ready(fake))

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> HubSpotSink:
        url = f"http://127.0.0.1:{closed_port()}" if is_down else self._fake.url
        return open_hubspot(
            HubSpotSettings(service_key=SERVICE_KEY, base_url=url),
            Templates(),
            now_s=lambda: NOW_S,
            total_timeout_s=total_timeout_s,
        )

    def item(self, number: int) -> Item:
        return make_item(number, sink="hubspot", action=self.action)

    def bad_item(self, number: int) -> Item:
        item = self.item(number)
        return replace(item, profile=msgspec.structs.replace(item.profile, email="no-address"))

    async def close(self) -> None:
        await self._fake.close()


class HubSpotTasksBench(HubSpotContactsBench):
    """
    `SinkBench` of HubSpot's tasks: only they are deliveries here, their contacts are taken for granted.
    """

    action = "task"

    @classmethod
    async def start(cls) -> Self:
        fake = FakeHubSpot(clock=lambda: NOW_S, journal=_TaskJournal())
        return cls(await ready(fake, without_faults=("/crm/objects/2026-09/contacts/",)))


class _TaskJournal(Journal):
    """Notes tasks only."""

    def accept(self, effect: Effect) -> None:
        if effect.kind == "task":
            super().accept(effect)


async def ready(fake: FakeHubSpot, *, without_faults: tuple[str, ...] = ()) -> FakeHubSpot:
    """*fake*, started, with the properties that the set-up makes."""
    await fake.start(without_faults=without_faults)
    sink = open_hubspot(HubSpotSettings(service_key=SERVICE_KEY, base_url=fake.url), Templates(), now_s=lambda: NOW_S)
    await sink.set_up_properties()
    await sink.close()
    fake.calls.clear()
    fake.journal.requests.clear()
    return fake
