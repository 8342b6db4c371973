"""A fake HubSpot that is set up, sinks that point at it, and items for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.sink import Item
from pql_stream.sinks.hubspot import HubSpotSettings, HubSpotSink, open_hubspot
from pql_stream.sinks.templates import Templates
from pql_stream.testing.destinations.hubspot import SERVICE_KEY, FakeHubSpot
from pql_stream.wire.deliveries import Delivery

NOW_S = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT."""


@dataclass
class World:
    fake: FakeHubSpot
    sinks: list[HubSpotSink] = field(default_factory=list)
    templates: Templates = field(default_factory=Templates)

    def sink(self, *, http=None, **settings):
        """A sink with *settings* that are not the default."""
        chosen = HubSpotSettings(**{"service_key": SERVICE_KEY, "base_url": self.fake.url, **settings})
        if http is None:
            sink = open_hubspot(chosen, self.templates, now_s=lambda: NOW_S)
        else:
            sink = HubSpotSink(chosen, self.templates, http, now_s=lambda: NOW_S)
        self.sinks.append(sink)
        return sink

    def calls(self, step):
        """The bodies of the calls whose path ends with *step*."""
        return [call.body for call in self.fake.calls if call.path.endswith(step)]

    def contact(self, lead_id):
        """The properties of a lead's contact; None if there is none."""
        record = self.fake.account.contacts.by_property("pql_user_id", lead_id)
        return record and record.properties

    def tasks(self):
        """The tasks, as they were made."""
        return list(self.fake.account.tasks.records.values())


@asynccontextmanager
async def hubspot_world(*, is_set_up=True) -> AsyncIterator[World]:
    world = World(await FakeHubSpot(clock=lambda: NOW_S).start())
    if is_set_up:
        await world.sink().set_up_properties()
    world.fake.calls.clear()
    world.fake.limits.new_day()
    world.fake.journal.requests.clear()
    yield world
    for sink in world.sinks:
        await sink.close()
    await world.fake.close()


def profile(number, **known):
    """Contact data of lead *number*."""
    fields = {"email": f"ada{number}@customer.example", "first_name": "Ada", "last_name": "Byron", **known}
    return LeadProfile(f"lead-{number}", **fields)


def changed(number, *, delivery=None, score=78, tier="silver", options=None, **profile_fields):
    """A change of lead *number*'s score, on its way to be a contact."""
    record = {
        "change_id": f"c-{number}",
        "schema": "score-changed/1",
        "mode": "live",
        "lead_id": f"lead-{number}",
        "account_id": "acme",
        "pack": "pql-100",
        "pack_version": 1,
        "sequence": 7,
        "occurred_at": "2027-01-15T07:59:58.000Z",
        "score_before": 55,
        "score_after": score,
        "tier_before": "bronze",
        "tier_after": tier,
        "groups": {"usage": 30, "engagement": 25, "business": 23},
        "contributions": [
            {"rule": "feature_adoption", "points": 15, "input": 7},
            {"rule": "workflow_success", "points": 15, "input": 50},
            {"rule": "compliance", "points": 10, "input": "advanced"},
            {"rule": "time_to_first_value", "points": 0, "input": None},
            {"rule": "community", "points": 4, "input": {"community_posts": 2, "feature_requests": 0}},
        ],
    }
    return _item(
        number,
        record,
        action="upsert",
        of="score-changed",
        delivery=delivery,
        options=options,
        profile_fields=profile_fields,
    )


def qualified(number, *, action="task", delivery=None, score=82.5, tier="gold", options=None, **profile_fields):
    """The qualification of lead *number*, on its way to be a task."""
    record = {
        "qualification_id": f"q-{number}",
        "schema": "pql-qualified/1",
        "mode": "live",
        "lead_id": f"lead-{number}",
        "account_id": "acme",
        "pack": "pql-100",
        "pack_version": 1,
        "tier": tier,
        "tier_before": "silver",
        "score": score,
        "sales_ready": True,
        "handoff": "standard",
        "occurred_at": "2027-01-15T07:59:58.000Z",
        "change_id": f"c-{number}",
        "reasons": ["Ran 12 workflows, <more> than most & growing"],
        "profile": {"team_size": 8},
    }
    return _item(
        number,
        record,
        action=action,
        of="pql-qualified",
        delivery=delivery,
        options=options,
        profile_fields=profile_fields,
    )


def _item(number, record, *, action, of, delivery, options, profile_fields):
    return Item(
        Delivery(
            delivery_id=f"{number if delivery is None else delivery:032x}",
            sink="hubspot",
            route="to-sales",
            action=action,
            lead_id=f"lead-{number}",
            of=of,
            record=record,
            options=options or {},
            decided_at_ms=int(NOW_S * 1000),
        ),
        profile(number, **profile_fields),
    )


def without_profile(item):
    return replace(item, profile=None)


def repeated(item):
    return replace(item, is_repeat=True)


def with_action(item, action):
    return replace(item, delivery=msgspec.structs.replace(item.delivery, action=action))
