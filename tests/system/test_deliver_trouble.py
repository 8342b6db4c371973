"""Redis killed and emptied, answers lost, a worker frozen: nothing is lost, and what comes twice is listed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from deliver_bench import DeliverBench, ids_of, published
from deliver_places import Place, slack_hook
from redis.asyncio import Redis
from score_proxy import OFFSET_COMMIT, HoldingProxy

from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.stream.names import DELIVER_APP_ID, PRODUCT_ACTIVITY, SCORE_CHANGED
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.simulation import simulate

pytestmark = pytest.mark.system

LEADS = 12
RECORDS = [record for record in published(LEADS) if record[0] == SCORE_CHANGED]
PARTITIONS = 2


class Slack:
    """A Slack channel behind an incoming webhook, which knows no repeat, and what is to arrive there."""

    def __init__(self, place: Place, bench: DeliverBench, ledger: RedisLedger) -> None:
        self.place = place
        self.bench = bench
        self.ledger = ledger
        self.expected = {place.id_of(one, SCORE_CHANGED) for one in ids_of(RECORDS, SCORE_CHANGED)}

    def has(self, count: int) -> bool:
        return len(self.place.seen()) >= count

    async def all_done(self) -> None:
        """Until everything has arrived and is committed."""
        await self.bench.wait_for(lambda: self.has(len(self.expected)))
        await self.bench.done()

    def again(self) -> Counter[str]:
        """What came more than once, and how often more."""
        return self.place.seen() - Counter(self.expected)

    async def listed(self) -> set[str]:
        return set((await self.ledger.repeats()).delivery_ids)


@asynccontextmanager
async def slack_of(kafka, redis_url: str, prefix: str, directory: Path) -> AsyncIterator[Slack]:
    """It, with topics and a settings file; no worker yet."""
    async with AsyncExitStack() as stack:
        place, fake = await slack_hook()
        stack.push_async_callback(fake.close)
        bench = DeliverBench(
            kafka.bootstrap, redis_url, prefix, directory, place.tables(SCORE_CHANGED), partitions=PARTITIONS
        )
        stack.callback(bench.close)
        bench.environment = dict(place.environment)
        bench.create_topics([place.name])
        connection = RedisConnection(redis_url)
        stack.push_async_callback(connection.close)
        yield Slack(place, bench, RedisLedger(connection, prefix=prefix, sink=place.name))
    kafka.delete_topics(prefix)


@pytest.fixture
async def slack(kafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Slack]:
    """With the Redis that is everybody's."""
    async with slack_of(kafka, redis_url, topic_prefix, tmp_path) as made:
        yield made


async def test_scoring_goes_on_while_redis_is_away_and_nothing_comes_twice(kafka, own_redis, topic_prefix, tmp_path):
    """
    Redis is killed with deliveries under way. Delivery pauses, and scoring does not. When Redis is back with its rows,
    all arrive, each once, though the destination would not know a repeat.
    """
    async with slack_of(kafka, own_redis.url, topic_prefix, tmp_path) as slack:
        events = [(PRODUCT_ACTIVITY, one.key, one.value) for one in simulate(leads=LEADS, seed=7)]
        half = len(events) // 2
        slack.bench.publish(events[:half])
        slack.bench.start(command=("worker",))
        await slack.bench.wait_for(lambda: slack.has(1))
        own_redis.kill()
        slack.bench.publish(events[half:])
        await slack.bench.written(SCORE_CHANGED, len(slack.expected))

        assert not slack.has(len(slack.expected))

        own_redis.start()
        await slack.all_done()

        assert Counter(slack.expected) == slack.place.seen()
        assert set() == await slack.listed()


async def test_an_emptied_redis_costs_repeats_and_no_delivery(slack):
    """
    A worker dies when all has arrived and nothing is committed, and Redis forgets everything: the next one repeats
    each delivery once, for nobody knows better, and none is missing.
    """
    bench = slack.bench
    with ExitStack() as stack:
        proxy = stack.enter_context(HoldingProxy(bench.bootstrap))
        group = bench.prefix + DELIVER_APP_ID
        stack.enter_context(proxy.held(group, OFFSET_COMMIT))
        stack.callback(proxy.cut)
        bench.publish(RECORDS)
        first = bench.start("a", bootstrap=proxy.bootstrap)
        await bench.wait_for(lambda: slack.has(len(slack.expected)))
        first.kill()
        first.wait()
    async with Redis.from_url(bench.redis_url) as redis:
        await redis.unlink(*[key async for key in redis.scan_iter(match=f"pql:{bench.prefix}:*")])
    bench.start("b")
    await slack.all_done()

    assert slack.expected == set(slack.place.seen())
    assert {2} == set(slack.place.seen().values())


async def test_lost_answers_and_a_frozen_worker_repeat_what_was_under_way(slack):
    """
    Some answers get lost, then a worker freezes with calls under way, another takes over, and the first one wakes up.
    At most these deliveries come twice, each is listed, and none is missing.
    """
    bench, faults = slack.bench, slack.place.faults
    lost = 3
    faults.then(*[None] * 4, *[Fault("close_after")] * lost, *[None] * 4, Fault("hang_after"))
    bench.publish(RECORDS)
    frozen = bench.start("a")
    await faults.hanging.wait()
    frozen.send_signal(signal.SIGSTOP)
    bench.start("b")
    await bench.wait_for(lambda: slack.has(len(slack.expected)))
    frozen.send_signal(signal.SIGCONT)
    await slack.all_done()
    frozen.terminate()
    await bench.wait_for(lambda: frozen.poll() is not None)

    again = slack.again()
    assert slack.expected == set(slack.place.seen())
    assert lost < again.total() <= lost + PARTITIONS * DeliverySettings().calls_max
    assert {1} == set(again.values())
    assert again.keys() <= await slack.listed()
