"""A fake Salesforce org, sinks that point at it, and what they did there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pql_stream.sinks.http import AioHttp
from pql_stream.sinks.salesforce import SalesforceSink
from pql_stream.sinks.salesforce_auth import ClientCredentials
from pql_stream.sinks.salesforce_settings import SalesforceSettings
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.salesforce import FakeSalesforce

NOW_S = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT."""
UPSERT = "/services/data/v66.0/composite/sobjects/Lead/PQL_User_Id__c"
COMPOSITE = "/services/data/v66.0/composite"
QUERY = "/services/data/v66.0/query/"
CREDENTIALS = ClientCredentials("fake-client", "fake-secret")


@dataclass
class World:
    fake: FakeSalesforce
    url: str
    sinks: list[SalesforceSink] = field(default_factory=list)
    time_s: float = NOW_S
    """What the sinks' clock shows."""
    step_s: float = 0.0
    """What each look at it takes."""

    def sink(self, *, grant=CREDENTIALS, total_timeout_s=30.0, **settings):
        """A sink with *settings* that are not the default."""
        sink = SalesforceSink(
            SalesforceSettings(**{"base_url": self.url, **settings}),
            grant,
            Templates(),
            AioHttp(total_timeout_s=total_timeout_s),
            now_s=self.now_s,
        )
        self.sinks.append(sink)
        return sink

    def now_s(self):
        self.time_s += self.step_s
        return self.time_s

    def bodies(self, path):
        """The bodies of the requests for *path*."""
        return [one.body for one in self.fake.received if one.path == path]

    def paths(self):
        """(method, path) of all requests but those for tokens, also of those that went wrong."""
        return [(method, path) for method, path in self.fake.journal.requests if "oauth2" not in path]

    def forget(self):
        """Forget the requests so far."""
        self.fake.received.clear()
        self.fake.journal.requests.clear()

    def lead(self, lead_id):
        """The fields of a lead."""
        (lead,) = self.fake.org.leads(lead_id)
        return lead

    def tasks(self):
        """The tasks, as they were made."""
        return list(self.fake.org.records["Task"].values())


@asynccontextmanager
async def salesforce_world(**options) -> AsyncIterator[World]:
    fake = FakeSalesforce(**{"clock": lambda: NOW_S, **options})
    world = World(fake, await fake.start())
    yield world
    for sink in world.sinks:
        await sink.close()
    await fake.close()


def with_lead_id(item, lead_id):
    """*item*, of another lead."""
    delivery = msgspec.structs.replace(
        item.delivery, lead_id=lead_id, record={**item.delivery.record, "lead_id": lead_id}
    )
    return replace(item, delivery=delivery, profile=msgspec.structs.replace(item.profile, lead_id=lead_id))


def key_pair():
    """A private and a public RSA key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
