"""Every kind of destination, each a running fake and the tables of pql.toml that point to it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pql_stream.core.routes import Action, Route, delivery_id
from pql_stream.sinks.hubspot import HubSpotSettings, open_hubspot
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.faults import Fault, FaultScript
from pql_stream.testing.destinations.hubspot import SERVICE_KEY, FakeHubSpot
from pql_stream.testing.destinations.journal import Effect, Journal
from pql_stream.testing.destinations.salesforce import FakeSalesforce
from pql_stream.testing.destinations.slack import TOKEN, WEBHOOK_PATH, FakeSlack
from pql_stream.testing.destinations.smtp import FakeSmtp
from pql_stream.testing.destinations.webhook import FakeWebhook

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_ASKS = ("/search", "/oauth2/")
"""Parts of the paths of requests that look for something: no deliveries."""


@dataclass(frozen=True)
class Place:
    """
    One sink of the settings file.

    *knows_repeats*: the destination, or the sink that looks there first, sees that it has a delivery already.
    """

    name: str
    action: Action
    faults: FaultScript
    journal: Journal
    sink: str
    options: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    knows_repeats: bool = True

    def tables(self, of: str) -> str:
        """For pql.toml: the sink, and a route that takes all records of the topic *of*."""
        return f"""
[sinks.{self.name}]
{self.sink}
rate = {{ calls = 100000, period_s = 1 }}
[sinks.{self.name}.breaker]
backoff = {{ first_s = 0.2, most_s = 1 }}

[[routes]]
name = "to-{self.name}"
of = "{of}"
sink = "{self.name}"
action = "{self.action}"
{self.options}
"""

    def id_of(self, record_id: str, of: str) -> str:
        """The delivery of a record to here."""
        route = Route(f"to-{self.name}", of, self.name, self.action)  # type: ignore[arg-type]  # one of two words
        return delivery_id(route, record_id)

    def seen(self) -> Counter[str]:
        """Delivery id -> how often a customer noticed it."""
        return self.journal.seen()

    def hang(self, fault: Fault | None) -> None:
        """From now on every delivery here hangs like *fault*; None: no more."""
        self.faults.always = fault
        self.faults.hanging.clear()


class WritesOnly(FaultScript):
    """Errs only where the request is a delivery, and not where something is looked up before it."""

    def __init__(self, journal: Journal, asks: tuple[str, ...] = _ASKS) -> None:
        super().__init__()
        self._journal = journal
        self._asks = asks

    def next(self) -> Fault | None:
        method, path = self._journal.requests[-1]
        if method == "GET" or any(part in path for part in self._asks):
            return None
        return super().next()


class _Tasks(Journal):
    """Notes tasks only: the contact or lead that is written along with one is no delivery."""

    def accept(self, effect: Effect) -> None:
        if effect.kind == "task":
            super().accept(effect)


class _Fake(Protocol):
    async def close(self) -> None: ...


@asynccontextmanager
async def open_places() -> AsyncIterator[list[Place]]:
    """All of them, running."""
    async with AsyncExitStack() as stack:
        places = []
        for opened in (
            webhook(),
            hubspot("upsert", Journal()),
            hubspot("task", _Tasks()),
            salesforce("upsert", Journal()),
            salesforce("task", _Tasks()),
            slack(),
            slack_hook(),
            mail(),
        ):
            place, fake = await opened
            stack.push_async_callback(fake.close)
            places.append(place)
        yield places


async def webhook(name: str = "webhook") -> tuple[Place, _Fake]:
    fake = FakeWebhook([WEBHOOK_SECRET])
    variable = f"TEST_URL_{name.upper()}"
    sink = f"""
type = "webhook"
url = {{ env = "{variable}" }}
secrets = [{{ env = "TEST_WEBHOOK_SECRET" }}]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]
"""
    environment = {variable: await fake.start(), "TEST_WEBHOOK_SECRET": WEBHOOK_SECRET}
    return Place(name, "post", fake.faults, fake.journal, sink, environment=environment), fake


async def hubspot(action: Action, journal: Journal) -> tuple[Place, _Fake]:
    fake = FakeHubSpot(journal=journal)
    fake.faults = WritesOnly(journal, (*_ASKS, "/contacts/") if action == "task" else _ASKS)
    await fake.start()
    settings = HubSpotSettings(service_key=SERVICE_KEY, base_url=fake.url)
    sink = open_hubspot(settings, Templates(), now_s=time.time)
    await sink.set_up_properties()
    await sink.close()
    table = f"""
type = "hubspot"
service_key = {{ env = "TEST_HUBSPOT_KEY" }}
base_url = "{fake.url}"
"""
    environment = {"TEST_HUBSPOT_KEY": SERVICE_KEY}
    return Place(f"hubspot-{action}", action, fake.faults, journal, table, environment=environment), fake


async def salesforce(action: Action, journal: Journal) -> tuple[Place, _Fake]:
    fake = FakeSalesforce(journal=journal)
    fake.faults = WritesOnly(journal)
    table = f"""
type = "salesforce"
base_url = "{await fake.start()}"
client_id = "fake-client"
client_secret = {{ env = "TEST_SALESFORCE_SECRET" }}
"""
    # A lead carries the delivery's id, so that its effects can be counted.
    options = 'options = { fields = { PQL_Delivery_Id__c = "delivery_id" } }' if action == "upsert" else ""
    environment = {"TEST_SALESFORCE_SECRET": "fake-secret"}
    name = f"salesforce-{action}"
    return Place(name, action, fake.faults, journal, table, options, environment), fake


async def slack() -> tuple[Place, _Fake]:
    fake = FakeSlack()
    fake.faults = WritesOnly(fake.journal)
    table = f"""
type = "slack"
token = {{ env = "TEST_SLACK_TOKEN" }}
base_url = "{await fake.start()}/api"
"""
    options = 'options = { channel = "C-sales" }'
    environment = {"TEST_SLACK_TOKEN": TOKEN}
    return Place("slack", "message", fake.faults, fake.journal, table, options, environment), fake


async def slack_hook() -> tuple[Place, _Fake]:
    fake = FakeSlack()
    environment = {"TEST_SLACK_HOOK": f"{await fake.start()}{WEBHOOK_PATH}"}
    table = """
type = "slack"
webhook_url = { env = "TEST_SLACK_HOOK" }
"""
    place = Place("slack-hook", "message", fake.faults, fake.journal, table, "", environment, knows_repeats=False)
    return place, fake


async def mail() -> tuple[Place, _Fake]:
    fake = FakeSmtp()
    table = f"""
type = "email"
host = "127.0.0.1"
port = {await fake.start()}
security = "plain"
sender = "pql@vendor.example"
"""
    options = 'options = { to = "sales@vendor.example", subject = "sales_subject.txt", text = "sales_mail.txt" }'
    return Place("mail", "mail", fake.faults, fake.journal, table, options, knows_repeats=False), fake
