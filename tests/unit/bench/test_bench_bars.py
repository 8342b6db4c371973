"""The bars, and the tables around them."""

import pytest

from tests.bench.bars import bars_of
from tests.bench.check import Checked
from tests.bench.measure import Throughput
from tests.bench.report import report
from tests.bench.results import Beside, Case, Delivery, Latency, Restore, Results, Run
from tests.bench.run_bench import ours_is_wrong

RIGHT = Checked(leads=1, changes=2, qualifications=1, leads_by_oracle=1, faults=())
WRONG = Checked(leads=1, changes=2, qualifications=1, leads_by_oracle=1, faults=("user-1: a score of 5 instead of 10",))


def run(contender, rate, *, cpu=10.0, checked=RIGHT, is_short=False):
    """A run of the steady stream."""
    case = Case(contender=contender, stream="steady", leads=2_000, events=1_000, event_bytes=300)
    throughput = Throughput(
        events=1_000,
        events_per_s=rate,
        cpu_s_per_million=cpu,
        memory_peak_mb=100,
        seconds=10,
        is_short=is_short,
    )
    return Run(case=case, throughput=throughput, checked=checked)


def verdicts(*runs):
    """Bar -> met, without the words that all of them begin with."""
    bars = bars_of(Results(throughput=list(runs)))
    return {bar.what.removeprefix("steady, 2,000 leads: "): bar.met for bar in bars}


@pytest.mark.parametrize(
    ("others", "name", "met"),
    [
        ([run("kafka-streams", 100_000)], "Kafka Streams, goal: at least 1x", True),
        ([run("kafka-streams", 101_000)], "Kafka Streams, goal: at least 1x", False),
        ([run("kafka-streams", 160_000)], "Kafka Streams, least: at least 0.6x", True),
        ([run("kafka-streams", 170_000)], "Kafka Streams, least: at least 0.6x", False),
        ([run("quix", 34_000)], "Quix Streams: at least 3x", False),
        ([run("faust", 5_000)], "plain Faust: at least 20x", True),
        ([run("bare-confluent", 1, cpu=5.0)], "CPU of bare confluent-kafka: at most 2x", True),
        ([run("bare-confluent", 1, cpu=4.9)], "CPU of bare confluent-kafka: at most 2x", False),
        ([run("exactly-once", 76_000)], "exactly once, time of at least once: at most 1.3x", False),
        ([], "at least 100,000 events/s on one core", True),
    ],
)
def test_a_bar_is_met_or_not(others, name, met):
    """Each bar compares our worker, at 100,000 events/s and 10 CPU s a million, with what it names."""
    assert met is verdicts(run("rocksdb", 100_000), *others)[name]


@pytest.mark.parametrize(
    "quix",
    [[], [run("quix", 1_000, checked=WRONG)], [run("quix", 1_000, is_short=True)]],
    ids=["absent", "wrong", "too short"],
)
def test_a_speed_that_says_nothing_is_not_measured(quix):
    """Who is absent, wrong, or done before it was warm, meets no bar and misses none."""
    assert verdicts(run("rocksdb", 100_000), *quix)["Quix Streams: at least 3x"] is None


def test_the_median_counts():
    """One slow run of three does not miss a bar."""
    runs = [run("rocksdb", rate) for rate in (1, 120_000, 110_000)]

    assert verdicts(*runs)["at least 100,000 events/s on one core"] is True


def test_only_our_own_faults_end_the_benchmark_with_1():
    """A contender may be wrong, and is shown so; our worker may not."""
    assert not ours_is_wrong(Results(throughput=[run("rocksdb", 1), run("quix", 1, checked=WRONG)]))
    assert ours_is_wrong(Results(throughput=[run("memory", 1, checked=WRONG)]))
    assert ours_is_wrong(Results(restore=[Restore(store="rocksdb", kept=True, leads=1, faults=("WRONG",))]))


def test_a_wrong_contender_is_reported_as_wrong():
    """The tables name the fault in the place of the number of outputs, and keep the others in order of speed."""
    results = Results(
        throughput=[run("quix", 7, checked=WRONG), run("rocksdb", 9), run("rocksdb", 11)],
        latency=[Latency(contender="faust", rate=2_000, rate_fed=0, sent=9, answered=0, failed="no answer")],
        unavailable={"kafka-streams": "no javac"},
    )

    lines = report(results, bars_of(results)).splitlines()

    rows = [line for line in lines if line.startswith(("| pql", "| Quix", "| plain", "| Kafka"))]
    assert [
        "| pql-stream worker, RocksDB | 1,000 | 10 (9-11) | 10.0 | 100 | right: 2 changes, 1 qualifications |",
        "| Quix Streams, RocksDB | 1,000 | 7 | 10.0 | 100 | WRONG: user-1: a score of 5 instead of 10 |",
        "| plain Faust agent, RocksDB | 2,000 | - | - | - | failed: no answer |",
        "| Kafka Streams (Java), RocksDB | no javac |",
    ] == rows


@pytest.mark.parametrize(
    ("found", "met"),
    [
        ([Delivery(deliveries_per_s=500, p99_ms=249.9)], [True, True]),
        ([Delivery(deliveries_per_s=499, p99_ms=250)], [False, False]),
        ([Delivery(deliveries_per_s=rate, p99_ms=1) for rate in (100, 600, 700)], [True, True]),
        ([Delivery(failed="it ended with 1")], [None, None]),
        ([], []),
    ],
    ids=["met", "missed", "a median", "failed", "not run"],
)
def test_delivery_has_its_bars(found, met):
    """The median of the runs is held against what delivery must reach; what failed says nothing, and shows."""
    results = Results(delivery=found)
    bars = bars_of(results)

    assert met == [bar.met for bar in bars]
    assert any(one.failed for one in found) == ("failed: it ended with 1" in report(results, bars))
    assert any(one.failed for one in found) == ours_is_wrong(results)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([Beside(rate=100, p99_alone_ms=10, p99_ms=29)], (True, "29.0 ms, 2.9x of alone")),
        ([Beside(rate=100, p99_alone_ms=10, p99_ms=30)], (False, "30.0 ms, 3.0x of alone")),
        ([Beside(rate=2_000, p99_alone_ms=50, p99_ms=ms) for ms in (10, 99, 200)], (True, "99.0 ms, 2.0x of alone")),
        ([Beside(rate=2_000, failed="history ended before that")], (None, "not measured")),
    ],
    ids=["met", "missed", "a median", "failed"],
)
def test_live_latency_beside_a_backfill_has_its_bars(found, expected):
    """At a low rate less is allowed than at a high one; what failed says nothing, and shows."""
    results = Results(backfill=found)
    (bar,) = bars_of(results)

    assert expected == (bar.met, bar.found)
    assert any(one.failed for one in found) == ("failed: history" in report(results, [bar])) == ours_is_wrong(results)
