"""kill -9 at every step between claim and commit, at every kind of destination, on a real Kafka and a real Redis."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from deliver_bench import WAIT_S, DeliverBench, Published, ids_of, published
from deliver_places import Place, open_places
from redis_proxy import HoldingRedis
from score_proxy import OFFSET_COMMIT, HoldingProxy

from pql_stream.core.profiles import ProfileState
from pql_stream.delivery.ledger import Ref, State
from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.stream.names import DELIVER_APP_ID, LEAD_PROFILES, PQL_QUALIFIED
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.testing.destinations.faults import Fault
from pql_stream.wire.lead_profiles import dump_profile

pytestmark = pytest.mark.system

A_STEP = 4
"""Deliveries to each sink at each step."""


@dataclass
class Step:
    """
    Where a worker dies: *state* is what the ledger then says of its deliveries, *arrived* whether one has arrived.
    """

    name: str
    state: State
    arrived: bool


STEPS = (
    Step("claim asked", "pending", arrived=False),
    Step("claim made", "sending", arrived=False),
    Step("request sent", "sending", arrived=False),
    Step("request carried out", "sending", arrived=True),
    Step("settle asked", "sending", arrived=True),
    Step("settle made", "delivered", arrived=True),
    Step("commit asked", "delivered", arrived=True),
)


def qualifications(count: int) -> list[Published]:
    """The first qualification of so many leads: one delivery a lead and sink, so that none waits for another."""
    firsts: dict[bytes, Published] = {}
    for record in published(4 * count):
        if record[0] == PQL_QUALIFIED:
            firsts.setdefault(record[1], record)
    assert len(firsts) >= count
    return list(firsts.values())[:count]


def profile_of(record: Published) -> Published:
    """Contact data of the lead of *record*: a CRM takes no lead without."""
    _, key, _ = record
    lead_id = key.decode()
    said = {"email": f"{lead_id}@customer.example", "first_name": "Ada", "last_name": lead_id, "company": "Customer"}
    state = ProfileState(**{name: (JAN_5_MS, "e1", value) for name, value in said.items()})
    return LEAD_PROFILES, key, dump_profile(lead_id, state)


@dataclass
class Story:
    """Workers that die one after the other, and what is known of their deliveries."""

    bench: DeliverBench
    redis: HoldingRedis
    places: list[Place]
    ledgers: dict[str, RedisLedger]
    expected: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    lost: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """At each place, deliveries that had arrived when a worker died that had not written it down."""

    def publish(self, records: list[Published]) -> dict[str, list[str]]:
        """Their deliveries, by place."""
        ids = {
            place.name: [place.id_of(one, PQL_QUALIFIED) for one in ids_of(records, PQL_QUALIFIED)]
            for place in self.places
        }
        for name, of_place in ids.items():
            self.expected[name].update(of_place)
        self.bench.publish(records)
        return ids

    async def states(self, name: str, ids: list[str]) -> list[State]:
        known = await self.ledgers[name].look_up([Ref(one, "", 0) for one in ids])
        return [one.row.state for one in known]

    async def unsettled(self, name: str, ids: list[str]) -> bool:
        return bool(set(await self.states(name, ids)) - {"delivered"})

    def all_arrived(self) -> bool:
        return all(self.expected[place.name] <= place.seen().keys() for place in self.places)

    async def settle(self) -> None:
        """Until all is delivered and written down."""
        await self.bench.wait_for(self.all_arrived)
        async with asyncio.timeout(WAIT_S):
            for name, ids in self.expected.items():
                while await self.unsettled(name, list(ids)):
                    pass  # it asks Redis, and so gives way

    async def die_at(self, step: Step, records: list[Published]) -> None:
        """A worker that delivers *records* dies at *step*, at every place."""
        bench = self.bench
        with ExitStack() as stack:
            if step.name == "commit asked":
                proxy = stack.enter_context(HoldingProxy(bench.bootstrap))
                worker = bench.start(bootstrap=proxy.bootstrap)
                await self.settle()
                await bench.done()
                group = bench.prefix + DELIVER_APP_ID
                stack.enter_context(proxy.held(group, OFFSET_COMMIT))
                stack.callback(proxy.cut)
            else:
                worker = bench.start()
                await self.settle()
            stands = self.hold(step)
            ids = self.publish(records)
            await bench.wait_for(stands)
            if step.name == "commit asked":
                await self.settle()
                await bench.wait_for(lambda: proxy.stands(group))
            worker.kill()
            worker.wait()
        await self.note(step, ids)
        self.let_go()

    def hold(self, step: Step) -> Callable[[], bool]:
        """Let no delivery get further than *step*; tells whether one stands there at every place."""
        names = {place.name for place in self.places}
        match step.name.split():
            case ["claim" | "settle" as kind, "asked" | "made" as moment]:
                self.redis.hold(kind, moment)
                return lambda: self.redis.standing == names
            case ["request", *how]:
                for place in self.places:
                    place.hang(Fault("hang_before" if how == ["sent"] else "hang_after"))
                return lambda: all(place.faults.hanging.is_set() for place in self.places)
            case _:
                return self.all_arrived

    def let_go(self) -> None:
        self.redis.let_pass()
        for place in self.places:
            place.hang(None)

    async def note(self, step: Step, ids: dict[str, list[str]]) -> None:
        """Was the worker where it was to die? And whose answers are lost?"""
        for place in self.places:
            states = dict(zip(ids[place.name], await self.states(place.name, ids[place.name]), strict=True))
            arrived = [one for one in ids[place.name] if place.seen()[one]]

            assert (step.name, place.name, step.arrived) == (step.name, place.name, bool(arrived))
            assert step.state in states.values(), (step.name, place.name)

            self.lost[place.name].update(one for one in arrived if states[one] != "delivered")


@pytest.fixture
async def story(kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Story]:
    """All places, and topics with one partition: no worker yet."""
    async with open_places() as places, HoldingRedis(redis_url) as redis:
        settings = "".join(place.tables(PQL_QUALIFIED) for place in places)
        bench = DeliverBench(kafka.bootstrap, redis.url, topic_prefix, tmp_path, settings, partitions=1)
        # One static member: who comes after a dead one need not wait for the end of its session.
        bench.environment = {"PQL_INSTANCE_ID": "only"}
        for place in places:
            bench.environment |= place.environment
        bench.create_topics([place.name for place in places])
        connection = RedisConnection(redis_url)
        ledgers = {place.name: RedisLedger(connection, prefix=topic_prefix, sink=place.name) for place in places}
        yield Story(bench, redis, places, ledgers)
        bench.close()
        await connection.close()
        kafka.delete_topics(topic_prefix)


async def test_kill_9_at_every_step_loses_nothing_and_repeats_what_it_must(story):
    """
    Workers die at each step between claim and commit, one after the other, with deliveries to every kind of sink at
    that step. All arrive. Where a repeat is seen, each arrives once; elsewhere one arrives twice at most as often as a
    worker died whose answer was lost, and the ledger lists it.
    """
    records = qualifications(A_STEP * len(STEPS))
    # Before any worker: one that waits for contact data has not got to the step that it is to die at.
    story.bench.publish([*map(profile_of, records)])
    for number, step in enumerate(STEPS):
        await story.die_at(step, records[number * A_STEP :][:A_STEP])
    story.bench.start()
    await story.settle()
    await story.bench.done()

    for place in story.places:
        seen, lost = place.seen(), story.lost[place.name]
        again = {one: times - 1 for one, times in seen.items() if times > 1}
        listed = (await story.ledgers[place.name].repeats()).delivery_ids

        assert (place.name, story.expected[place.name]) == (place.name, set(seen))
        assert lost, f"{place.name}: no answer was lost, so nothing was proved"
        if place.knows_repeats:
            assert (place.name, {}) == (place.name, again)
        else:
            assert again, f"{place.name}: nothing came twice, so nothing was proved"
            assert all(times <= lost[one] for one, times in again.items())
            assert again.keys() <= set(listed)
