"""The delivery promise (CONTRACT.md 7) when workers are killed, stopped and frozen at their worst moments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from score_bench import ScoreBench
from score_checks import faults, repeats
from score_expected import Run
from score_feed import Placed, place, population, slices
from score_proxy import HoldingProxy

from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record

pytestmark = pytest.mark.system

PARTITIONS = 4
LEADS = 40
AT_MS = 1_767_571_200_000
SEND_AND_STORE = ("score_changed", "leads_changelog")


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path, request) -> Iterator[ScoreBench]:
    """Topics of four partitions, or as many as the test says, and no worker yet."""
    made = ScoreBench(kafka.bootstrap, topic_prefix, tmp_path, partitions=getattr(request, "param", PARTITIONS))
    made.create_topics()
    yield made
    made.close()
    kafka.delete_topics(topic_prefix)


@pytest.fixture
def proxy(kafka) -> Iterator[HoldingProxy]:
    """The road to the broker for a worker that is to be met between two of its steps."""
    with HoldingProxy(kafka.bootstrap) as made:
        yield made


def feed_of(seed: int, routes: tuple = ("home", "home", "away"), parts: int = 3) -> list[Placed]:
    """Records in *parts*; few enough that a test takes seconds."""
    return slices(place(population(seed), PARTITIONS, seed=seed, routes=routes), parts)


@contextmanager
def standing(bench: ScoreBench, proxy: HoldingProxy, topic: str, part: Placed) -> Iterator[None]:
    """
    Feed *part*; the block begins when the worker behind *proxy* has something under way to *topic*.

    By then it has committed whatever it thinks is done; behind the block what is under way arrives.
    """
    with proxy.held(getattr(bench.topics, topic)):
        bench.feed(part)
        bench.wait_for(lambda: proxy.stands)
        # A heartbeat every 0.6 s, a commit every 0.5 s.
        heartbeats = proxy.heartbeats
        bench.wait_for(lambda: proxy.heartbeats >= heartbeats + 2)
        yield


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
def test_a_worker_killed_in_the_middle_costs_nothing(bench, store):
    """
    kill -9 of one of two workers as soon as it has put something out, and its restart: nothing is missing,
    nothing is extra, every score is right, repeats are the same and in order.
    """
    first, second, third = feed_of(3)
    other = bench.start("a", PQL_STORE=store)
    killed = bench.start("b", PQL_STORE=store)
    bench.feed(first)
    bench.wait_all_committed()
    bench.wait_ready(other, killed)
    with bench.growing(bench.topics.score_changed):
        bench.feed(second)
    killed.kill()
    bench.start("b", PQL_STORE=store)
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


@pytest.mark.parametrize("held", SEND_AND_STORE)
def test_a_worker_killed_between_two_steps_costs_nothing(bench, proxy, held):
    """
    kill -9 of a worker whose outputs, or whose rows, are on their way and not written: the next one does
    it all again. Rows before outputs, or a commit before either, would lose something here.
    """
    first, second, third = feed_of(4)
    killed = bench.start(PQL_STORE="memory", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    with standing(bench, proxy, held, second):
        killed.kill()
        proxy.cut()
    bench.start(PQL_STORE="memory")
    bench.feed(third)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


def test_leads_on_two_routes_end_right_after_a_kill(bench, proxy):
    """
    Leads whose events come by two routes, and a worker that is killed with their changes written and their
    rows not: the last change is right, and no tier is announced under a second id.
    """
    first, second = feed_of(5, ("both",), 2)
    killed = bench.start(PQL_STORE="memory", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    with standing(bench, proxy, "leads_changelog", second):
        killed.kill()
        proxy.cut()
    bench.start(PQL_STORE="memory")
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


@pytest.mark.parametrize("bench", [12], indirect=True, ids=lambda count: f"{count} partitions")
def test_the_last_change_is_right_whichever_route_comes_first(bench, proxy):
    """
    A change is written and its row is not; after the restart an event of the other route comes first and
    makes the change void before it is made again: something must put it right.

    Which route comes first is a toss for each partition, so there are many.
    """
    killed = bench.start(PQL_STORE="memory", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(level_of_all(bench.partitions, "basic", 1))
    bench.wait_all_committed()
    with proxy.held(bench.topics.leads_changelog):
        # Frozen meanwhile, it finds the events of all partitions at once, and sends their outputs together.
        killed.freeze()
        bench.feed(level_of_all(bench.partitions, "advanced", 2))
        killed.thaw()
        bench.wait_for(lambda: proxy.stands)
        killed.kill()
        proxy.cut()
    bench.feed(level_of_all(bench.partitions, "basic", 3, away=1))
    forward(bench, 3)
    bench.start(PQL_STORE="memory")
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


def level_of_all(partitions: int, level: str, number: int, *, away: int = 0) -> Placed:
    """Event *number* of every lead says its compliance level; it lies *away* partitions from the lead's own."""
    placed: Placed = []
    for lead_id in (f"lead-{n}" for n in range(LEADS)):
        fields = {"event_id": f"{lead_id}-{number}", "user_id": lead_id, "properties": {"level": level}}
        fields |= {"event": "compliance_level_changed", "occurred_at": AT_MS + number}
        partition = (partition_of_lead(lead_id, partitions) + away) % partitions
        placed.append((partition, Record(json.dumps(fields).encode(), (), lead_id.encode(), AT_MS + number)))
    return placed


def forward(bench: ScoreBench, number: int) -> None:
    """Forward event *number* of every lead, as another worker that has the wrong partitions would."""
    (activity,) = bench.read(bench.topics.activity)
    for record in activity:
        fields = json.loads(record.value or b"")
        if fields["event_id"] == f"{fields['user_id']}-{number}":
            bench.produce(
                bench.topics.activity_rekeyed,
                partition_of_lead(fields["user_id"], bench.partitions),
                record.key,
                record.value,
                headers=[
                    ("pql-origin-topic", record.topic.encode()),
                    ("pql-origin-partition", str(record.partition).encode()),
                    ("pql-origin-offset", str(record.offset).encode()),
                    ("pql-origin-timestamp", str(record.timestamp_ms).encode()),
                ],
            )
    bench.flush()


def test_sigterm_ends_in_good_order(bench, proxy):
    """
    SIGTERM with batches in work: exit 0 within ten seconds, what was done is committed, the other worker
    and the next start do the rest, and nothing is written twice.
    """
    first, second, third = feed_of(7)
    stopped = bench.start("a", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    other = bench.start("b")
    bench.feed(first)
    bench.wait_all_committed()
    bench.wait_ready(stopped, other)
    with standing(bench, proxy, "leads_changelog", second):
        stopped.terminate()
    ended_with = stopped.process.wait(10)
    bench.start("a")
    bench.feed(third)
    bench.wait_all_committed()
    run = Run.of(bench)

    assert 0 == ended_with
    assert [] == faults(run)
    assert 0 == repeats(run)


@pytest.mark.parametrize("held", SEND_AND_STORE)
def test_a_frozen_worker_spoils_nothing_when_it_wakes_up(bench, proxy, held):
    """
    A worker is frozen with outputs, or rows, on the road until another one has its partitions and has gone
    on; then they arrive, and it wakes up. The last row and the last change of each lead are right all the
    same; nothing is extra; repeats are the same.
    """
    first, second, third = feed_of(8, ("home",))
    frozen = bench.start("a", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed(first)
    bench.wait_all_committed()
    # Of one partition, so that nothing else is on the road behind what is held.
    with standing(bench, proxy, held, [placed for placed in second if placed[0] == 0]):
        frozen.freeze()
        heir = bench.start("b")
        bench.feed([placed for placed in second if placed[0] != 0])
        bench.feed(third)
        bench.wait_all_committed()
    frozen.thaw()
    bench.wait_for(lambda: not frozen.running or bench.members() == 2)
    # An owner that leaves in good order has looked after its partitions before.
    for worker in (frozen, heir):
        if worker.running:
            worker.stop()

    assert [] == faults(Run.of(bench))


def test_the_group_goes_on_after_a_freeze(bench):
    """
    A worker that was frozen for longer than its session ends or joins again; what comes afterwards is
    scored once.
    """
    first, second, third = feed_of(9)
    frozen = bench.start("a")
    heir = bench.start("b")
    bench.feed(first)
    bench.wait_all_committed()
    bench.wait_ready(frozen, heir)
    frozen.freeze()
    bench.feed(second)
    bench.wait_all_committed()
    frozen.thaw()
    bench.feed(third)
    bench.wait_for(lambda: not frozen.running or bench.members() == 2)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))
