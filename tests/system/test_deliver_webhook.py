"""Delivery to webhooks on a real Kafka and a real Redis: whatever fails, each once, in order, and nothing lost."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from deliver_bench import PARTITIONS, DeliverBench, ids_of, in_order, published

from pql_stream.delivery.settings import DeliverySettings
from pql_stream.stream.names import PQL_QUALIFIED, SCORE_CHANGED
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.webhook import FakeWebhook

pytestmark = pytest.mark.system

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = """
[sinks.{sink}]
type = "webhook"
url = {{ env = "{variable}" }}
secrets = [{{ env = "TEST_WEBHOOK_SECRET" }}]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]
rate = {{ calls = 100000, period_s = 1 }}
[sinks.{sink}.breaker]
backoff = {{ first_s = 0.2, most_s = 1 }}

[[routes]]
name = "{sink}-changes"
of = "score-changed"
sink = "{sink}"
action = "post"

[[routes]]
name = "{sink}-qualified"
of = "pql-qualified"
sink = "{sink}"
action = "post"
where = {{ sales_ready = true }}
"""
SINKS = ("one", "two")
RECORDS = published(10)
SALES_READY = [record for record in RECORDS if record[0] == PQL_QUALIFIED and b'"sales_ready":true' in record[2]]
EXPECTED = len(ids_of(RECORDS, SCORE_CHANGED)) + len(SALES_READY)


@pytest.fixture
async def fakes() -> AsyncIterator[dict[str, FakeWebhook]]:
    """A receiver for each sink."""
    made = {sink: FakeWebhook([SECRET]) for sink in SINKS}
    yield made
    for fake in made.values():
        await fake.close()


@pytest.fixture
async def bench(kafka, redis_url: str, topic_prefix: str, tmp_path: Path, fakes) -> AsyncIterator[DeliverBench]:
    """Two webhook sinks that both get everything, their receivers running; no worker yet."""
    settings = "".join(SETTINGS.format(sink=sink, variable=f"TEST_URL_{sink.upper()}") for sink in SINKS)
    made = DeliverBench(kafka.bootstrap, redis_url, topic_prefix, tmp_path, settings)
    made.environment = {"TEST_WEBHOOK_SECRET": SECRET}
    for sink, fake in fakes.items():
        made.environment[f"TEST_URL_{sink.upper()}"] = await fake.start()
    made.create_topics(SINKS)
    yield made
    made.close()
    kafka.delete_topics(topic_prefix)


def changes(fake: FakeWebhook) -> Iterator[dict[str, object]]:
    """The score changes that a receiver took, without the repeats that it recognised."""
    return (effect.content for effect in fake.journal.effects if not effect.was_there and "sequence" in effect.content)


def all_arrived(fake: FakeWebhook) -> bool:
    return len(fake.journal.seen()) >= EXPECTED


async def test_every_record_reaches_every_sink_once_and_in_order(bench, fakes):
    """
    What the routes take arrives, signed, once at each sink, each lead's changes in their order; all is committed, and
    SIGTERM ends the worker in good order.
    """
    bench.publish(RECORDS)
    worker = bench.start()
    await bench.wait_for(lambda: all(map(all_arrived, fakes.values())))
    await bench.done()
    worker.terminate()

    assert 0 == worker.wait(15)
    for fake in fakes.values():
        assert {1} == set(fake.journal.seen().values())
        assert EXPECTED == len(fake.journal.effects)
        assert in_order(changes(fake))


async def test_kill_9_with_requests_under_way_loses_nothing(bench, fakes):
    """
    A worker is killed while one receiver has taken a delivery and not answered; the next one sends it again under the
    same id, and the receiver recognises it.
    """
    one = fakes["one"]
    one.faults.then(*[None] * 20, Fault("hang_after"))
    # The same static member: the second need not wait for the end of the first one's session.
    bench.environment["PQL_INSTANCE_ID"] = "only"
    bench.publish(RECORDS)
    first = bench.start("a")
    await one.faults.hanging.wait()
    first.kill()
    first.wait()
    bench.start("b")
    await bench.wait_for(lambda: all(map(all_arrived, fakes.values())))
    await bench.done()

    for fake in fakes.values():
        assert EXPECTED == len(fake.journal.seen())
        assert {1} == set(fake.journal.seen().values())
        assert in_order(changes(fake))


async def test_a_dead_sink_delays_no_other(bench, fakes):
    """
    While one receiver answers 503, the other gets everything and is done; when it is back it gets everything too, in
    order, and nothing went to its dead letters.
    """
    one, two = fakes["one"], fakes["two"]
    one.faults.always = Fault("status", 503)
    bench.publish(RECORDS)
    bench.start()
    await bench.wait_for(lambda: all_arrived(two))
    await bench.done("delivery-two")

    assert {} == one.journal.seen()

    one.faults.always = None
    await bench.wait_for(lambda: all_arrived(one))
    await bench.done()

    assert {1} == set(one.journal.seen().values())
    assert in_order(changes(one))


async def test_a_410_holds_for_every_worker_to_come(bench, fakes):
    """
    A receiver answers 410, and would take everything from then on. The worker sends nothing more there, nor does the
    next one, and both tell it; what was for it is among the dead letters, and the other receiver gets everything.
    """
    one, two = fakes["one"], fakes["two"]
    one.faults.then(*[Fault("status", 410)] * PARTITIONS * DeliverySettings().calls_max)
    half = len(RECORDS) // 2
    bench.publish(RECORDS[:half])
    first = bench.start("a")
    await bench.wait_for(lambda: len(two.journal.seen()) > 0)
    await bench.done()
    first.terminate()
    first.wait(15)
    requests = len(one.journal.requests)
    bench.publish(RECORDS[half:])
    bench.start("b")
    await bench.wait_for(lambda: all_arrived(two))
    await bench.done()

    assert ({}, requests) == (one.journal.seen(), len(one.journal.requests))
    await bench.written("delivery-one-dlq", EXPECTED)
    assert all('"sink_disabled"' in bench.log(name) for name in ("a", "b"))


async def test_sigterm_ends_a_worker_whose_sink_is_away(bench, fakes):
    """
    The batch that waits out an outage gives way at once: exit 0, nothing of it is committed, and the next worker
    delivers it.
    """
    one = fakes["one"]
    one.faults.always = Fault("status", 503)
    bench.publish(RECORDS)
    worker = bench.start("a")
    await bench.wait_for(lambda: all_arrived(fakes["two"]) and len(one.journal.requests) > 0)
    worker.terminate()

    assert 0 == worker.wait(15)

    one.faults.always = None
    bench.start("b")
    await bench.wait_for(lambda: all_arrived(one))
    await bench.done()

    assert {1} == set(one.journal.seen().values())
    assert in_order(changes(one))


async def test_a_frozen_worker_that_wakes_up_overtakes_nobody(bench, fakes):
    """
    A worker freezes with a request under way, another takes over and delivers all; when the first one wakes up, what it
    still sends is recognised, and the order of no lead is broken.
    """
    one = fakes["one"]
    one.faults.then(*[None] * 20, Fault("hang_before"))
    bench.publish(RECORDS)
    frozen = bench.start("a")
    await one.faults.hanging.wait()
    frozen.send_signal(signal.SIGSTOP)
    bench.start("b")
    await bench.wait_for(lambda: all(map(all_arrived, fakes.values())))
    frozen.send_signal(signal.SIGCONT)
    await bench.done()
    frozen.terminate()
    await bench.wait_for(lambda: frozen.poll() is not None)

    for fake in fakes.values():
        assert EXPECTED == len(fake.journal.seen())
        assert {1} == set(fake.journal.seen().values())
        assert in_order(changes(fake))
