"""The Salesforce sink and its fake org, for the contract suite: once for each thing that it does."""

from typing import ClassVar, Self

from sink_bench import NOW_S, TOTAL_TIMEOUT_S, closed_port, make_item

from pql_stream.core.routes import Action
from pql_stream.delivery.sink import Item
from pql_stream.sinks.salesforce import SalesforceSink, open_salesforce
from pql_stream.sinks.salesforce_auth import ClientCredentials
from pql_stream.sinks.salesforce_settings import SalesforceSettings
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.journal import Effect, Journal
from pql_stream.testing.destinations.salesforce import FakeSalesforce

CLIENT_SECRET = "S3CRET-of-the-app"
WRONG_TYPE = {"PQL_Score__c": "tier"}
"""A word where the org wants a number: the whole request is refused for it."""


class SalesforceTaskBench:
    """`SinkBench` of Salesforce's tasks: only they are deliveries here, their leads are taken for granted."""

    is_http = True
    finds_repeats = True
    detects_no_op = True
    secrets = (CLIENT_SECRET, "00Dfake!")
    action: Action = "task"
    fields: ClassVar[dict[str, str]] = {}

    def __init__(self, fake: FakeSalesforce, url: str) -> None:
        self._fake = fake
        self._url = url
        self.faults = fake.faults
        self.journal = fake.journal

    @staticmethod
    def journal_of() -> Journal:
        return _TaskJournal()

    @classmethod
    async def start(cls) -> Self:
        fake = FakeSalesforce(
            journal=cls.journal_of(), client_id="app", client_secret=CLIENT_SECRET, clock=lambda: NOW_S
        )
        return cls(fake, await fake.start())

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> SalesforceSink:
        url = f"http://127.0.0.1:{closed_port()}" if is_down else self._url
        return open_salesforce(
            SalesforceSettings(base_url=url),
            ClientCredentials("app", CLIENT_SECRET),
            Templates(),
            now_s=lambda: NOW_S,
            total_timeout_s=total_timeout_s,
        )

    def item(self, number: int) -> Item:
        return self._item(number, self.fields)

    def bad_item(self, number: int) -> Item:
        return self._item(number, {**self.fields, **WRONG_TYPE})

    async def close(self) -> None:
        await self._fake.close()

    def _item(self, number: int, fields: dict[str, str]) -> Item:
        return make_item(number, sink="salesforce", action=self.action, options={"fields": fields})


class SalesforceUpsertBench(SalesforceTaskBench):
    """`SinkBench` of Salesforce's leads. They carry the delivery's id, so that its effect can be counted."""

    action = "upsert"
    fields: ClassVar[dict[str, str]] = {"PQL_Delivery_Id__c": "delivery_id"}

    @staticmethod
    def journal_of() -> Journal:
        return Journal()


class _TaskJournal(Journal):
    """Notes tasks only."""

    def accept(self, effect: Effect) -> None:
        if effect.kind == "task":
            super().accept(effect)
