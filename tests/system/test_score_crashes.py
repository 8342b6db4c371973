"""The delivery promise (CONTRACT.md 7) when workers are killed, stopped and frozen at their worst moments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from score_bench import ScoreBench, bench_on
from score_checks import faults, repeats
from score_expected import Run
from score_feed import Placed, place, population, slices
from score_proxy import OFFSET_COMMIT, HoldingProxy

from pql_stream.stream.names import APP_ID
from pql_stream.stream.transport.settings import TransportSettings
from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record
from tests.proof import proof

pytestmark = pytest.mark.system

PARTITIONS = 4
BATCH_RECORDS_MAX = TransportSettings().batch_records_max
AT_MS = 1_767_571_200_000
SEND_AND_STORE = ("score_changed", "leads_changelog")


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=PARTITIONS) as made:
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
    name = getattr(bench.topics, topic)
    with proxy.held(name):
        bench.feed(part)
        bench.wait_for(lambda: proxy.stands(name))
        # A heartbeat every 0.6 s, a commit every 0.5 s.
        heartbeats = proxy.heartbeats
        bench.wait_for(lambda: proxy.heartbeats >= heartbeats + 2)
        yield


@pytest.mark.parametrize("store", ["rocksdb", proof("memory")])
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


@pytest.mark.parametrize("held", [proof(SEND_AND_STORE[0]), SEND_AND_STORE[1]])
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


def test_the_last_change_is_right_when_the_other_route_comes_first(bench, proxy):
    """
    A change is written and its row is not; after the restart an event of the other route comes first and
    makes the change void before it is made again: a correction puts the last change right.
    """
    with_a_void_change(bench, proxy)
    bench.start(PQL_STORE="memory")
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


@pytest.mark.parametrize("change", [proof("on its way"), "written"])
def test_a_correction_survives_a_kill(bench, proxy, change):
    """
    The next worker is killed in the middle of its correction: the one after it does the rest.
    """
    changes, changelog = bench.topics.score_changed, bench.topics.leads_changelog
    with_a_void_change(bench, proxy)
    with HoldingProxy(bench.bootstrap) as road, ExitStack() as holds:
        killed = bench.start("b", PQL_STORE="memory", KAFKA_BOOTSTRAP_SERVERS=road.bootstrap)
        # The correction is its first change, but not its first row.
        with road.held(changes):
            bench.wait_for(lambda: road.stands(changes))
            if change == "written":
                holds.enter_context(road.held(changelog))
            else:
                killed.kill()
                road.cut()
        bench.wait_for(lambda: not killed.running or road.stands(changelog))
        killed.kill()
        road.cut()
    bench.start(PQL_STORE="memory")
    bench.wait_all_committed()
    run = Run.of(bench)

    assert [] == faults(run)
    assert [1, 2, 3] == [json.loads(change.value)["sequence"] for change in run.changes]


def with_a_void_change(bench: ScoreBench, proxy: HoldingProxy) -> None:
    """
    Leave u1 with a change that is written, whose row is not, and that an event of the other route makes void.

    That event comes first because full batches stand before the change's: so many that the other topic has surely been
    read by then, though its first offset takes one more question to the broker.
    """
    home = partition_of_lead("u1", PARTITIONS)
    killed = bench.start(PQL_STORE="memory", KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    bench.feed([(home, level("basic", 1))])
    bench.wait_all_committed()
    group, changelog = f"{bench.prefix}{APP_ID}", bench.topics.leads_changelog
    with proxy.held(group, OFFSET_COMMIT), proxy.held(changelog):
        bench.feed([(home, Record(None, (), b"nobody", AT_MS))] * (10 * BATCH_RECORDS_MAX))
        bench.feed([(home, level("advanced", 2))])
        bench.wait_for(lambda: proxy.stands(changelog))
        killed.kill()
        proxy.cut()
    bench.feed([((home + 1) % PARTITIONS, level("basic", 3))])
    forward_last(bench, (home + 1) % PARTITIONS)


def level(word: str, number: int) -> Record:
    """Event *number* of the lead u1 says its compliance level."""
    fields = {"event_id": f"e{number}", "user_id": "u1", "properties": {"level": word}}
    fields |= {"event": "compliance_level_changed", "occurred_at": AT_MS + number}
    return Record(json.dumps(fields).encode(), (), b"u1", AT_MS + number)


def forward_last(bench: ScoreBench, partition: int) -> None:
    """Forward the last record of *partition* to where u1 belongs, as another worker that owns it would."""
    (activity,) = bench.read(bench.topics.activity)
    record = [record for record in activity if record.partition == partition][-1]
    origin = (record.topic, record.partition, record.offset, record.timestamp_ms)
    names = ("pql-origin-topic", "pql-origin-partition", "pql-origin-offset", "pql-origin-timestamp")
    bench.produce(
        bench.topics.activity_rekeyed,
        partition_of_lead("u1", PARTITIONS),
        record.key,
        record.value,
        headers=[(name, str(value).encode()) for name, value in zip(names, origin, strict=True)],
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


def test_a_clean_hand_over_leaves_nothing_to_look_for(bench):
    """
    What is committed with the sources says that all of score-changed is in order: the next owner reads nothing.
    """
    worker = bench.start()
    bench.feed(feed_of(6)[0])
    bench.wait_all_committed()
    worker.stop()
    ends = bench.ends(bench.topics.score_changed)

    assert all(ends.values())
    assert {partition: f"score-changed={end}" for partition, end in ends.items()} == {
        partition: max(notes, key=lambda note: int(note.removeprefix("score-changed=")))
        for partition, notes in bench.notes().items()
    }


@pytest.mark.parametrize("held", [SEND_AND_STORE[0], proof(SEND_AND_STORE[1])])
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
