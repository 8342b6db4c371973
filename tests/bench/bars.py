"""The bars: what the worker must reach beside the others, and whether it did in this run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.lineup import BARE_CONFLUENT, FAUST, KAFKA_STREAMS, OURS, OURS_EXACTLY_ONCE, QUIX, Contender
from tests.bench.load import Stream
from tests.bench.results import Results, Run, spread_of

KAFKA_STREAMS_GOAL, KAFKA_STREAMS_LEAST = 1.0, 0.6
QUIX_LEAST = 3.0
FAUST_LEAST = 20.0
BARE_CPU_MOST = 2.0
STEADY_EVENTS_PER_S_LEAST = 100_000.0
EXACTLY_ONCE_MOST = 1.3
DELIVERIES_PER_S_LEAST = 500.0
DELIVERY_P99_MS_BELOW = 250.0
LIVE_P99_MS_BELOW, LIVE_P99_SLOW_MS_BELOW = 100.0, 30.0
LIVE_SLOW_PER_S = 100
"""Up to so many events a second the second of the two counts."""
REPLAY_LEAST = 1.5
REPLAY_TWO_LEAST = 1.7


@dataclass(frozen=True, slots=True)
class Bar:
    """One requirement; *met* is None where it could not be measured here."""

    what: str
    found: str
    met: bool | None
    is_goal: bool = False
    """Aimed at, not demanded."""


@dataclass(frozen=True, slots=True)
class _Field:
    stream: Stream
    leads: int

    def __str__(self) -> str:
        return f"{self.stream}, {self.leads:,} leads"


def bars_of(results: Results) -> list[Bar]:
    """Every bar, for every stream and number of leads that was run."""
    fields = dict.fromkeys(_Field(run.case.stream, run.case.leads) for run in results.throughput)
    return [
        *(bar for field in fields for bar in _bars_of_field(results, field)),
        *_bars_of_delivery(results),
        *_bars_of_replay(results),
        *_bars_of_backfill(results),
    ]


def _bars_of_backfill(results: Results) -> Iterator[Bar]:
    for rate in dict.fromkeys(one.rate for one in results.backfill):
        same = [one for one in results.backfill if one.rate == rate]
        below_ms = LIVE_P99_SLOW_MS_BELOW if rate <= LIVE_SLOW_PER_S else LIVE_P99_MS_BELOW
        what = f"backfill: live p99 beside it below {below_ms:g} ms at {rate:,} events/s"
        if any(one.failed for one in same):
            yield Bar(what, "not measured", None)
            continue
        alone_ms, beside_ms = (
            statistics.median(p99_ms) for p99_ms in zip(*((one.p99_alone_ms, one.p99_ms) for one in same), strict=True)
        )
        yield Bar(what, f"{beside_ms:.1f} ms, {beside_ms / alone_ms:.1f}x of alone", beside_ms < below_ms)


def _bars_of_replay(results: Results) -> Iterator[Bar]:
    """Beside the worker's steady stream of as many leads, where that was run too."""
    for leads in dict.fromkeys(one.leads for one in results.replay):
        one, two = (_replay_rate(results, leads, processes) for processes in (1, 2))
        worker = _rate(results, _Field("steady", leads), OURS)
        yield _at_least(f"replay, {leads:,} leads: rate of our worker", _ratio(one, worker), REPLAY_LEAST)
        yield _at_least(f"replay, {leads:,} leads: two processes, rate of one", _ratio(two, one), REPLAY_TWO_LEAST)


def _replay_rate(results: Results, leads: int, processes: int) -> float | None:
    same = [one for one in results.replay if (one.leads, one.processes) == (leads, processes)]
    return statistics.median(one.events_per_s for one in same) if same and not any(o.failed for o in same) else None


def _bars_of_delivery(results: Results) -> Iterator[Bar]:
    fine = [one for one in results.delivery if not one.failed]
    if not results.delivery:
        return
    rate = statistics.median(one.deliveries_per_s for one in fine) if fine else None
    p99_ms = statistics.median(one.p99_ms for one in fine) if fine else None
    yield Bar(
        f"delivery: at least {DELIVERIES_PER_S_LEAST:g} deliveries/s to one webhook",
        "not measured" if rate is None else f"{rate:,.0f} deliveries/s",
        None if rate is None else rate >= DELIVERIES_PER_S_LEAST,
    )
    yield Bar(
        f"delivery: record to request, p99 below {DELIVERY_P99_MS_BELOW:g} ms at half of that",
        "not measured" if p99_ms is None else f"{p99_ms:.1f} ms",
        None if p99_ms is None else p99_ms < DELIVERY_P99_MS_BELOW,
    )


def _bars_of_field(results: Results, field: _Field) -> Iterator[Bar]:
    ours = _rate(results, field, OURS)
    streams = _ratio(ours, _rate(results, field, KAFKA_STREAMS))
    yield _at_least(f"{field}: Kafka Streams, goal", streams, KAFKA_STREAMS_GOAL, is_goal=True)
    yield _at_least(f"{field}: Kafka Streams, least", streams, KAFKA_STREAMS_LEAST)
    yield _at_least(f"{field}: Quix Streams", _ratio(ours, _rate(results, field, QUIX)), QUIX_LEAST)
    yield _at_least(f"{field}: plain Faust", _ratio(ours, _rate(results, field, FAUST)), FAUST_LEAST)
    cpu = _ratio(_cpu(results, field, OURS), _cpu(results, field, BARE_CONFLUENT))
    yield _at_most(f"{field}: CPU of bare confluent-kafka", cpu, BARE_CPU_MOST)
    if field.stream == "steady":
        found = "not measured" if ours is None else f"{ours:,.0f} events/s"
        met = None if ours is None else ours >= STEADY_EVENTS_PER_S_LEAST
        yield Bar(f"{field}: at least {STEADY_EVENTS_PER_S_LEAST:,.0f} events/s on one core", found, met)
    exactly_once = _ratio(ours, _rate(results, field, OURS_EXACTLY_ONCE))
    yield _at_most(f"{field}: exactly once, time of at least once", exactly_once, EXACTLY_ONCE_MOST)


def _at_least(what: str, ratio: float | None, least: float, *, is_goal: bool = False) -> Bar:
    met = None if ratio is None else ratio >= least
    return Bar(f"{what}: at least {least:g}x", _shown(ratio), met, is_goal)


def _at_most(what: str, ratio: float | None, most: float) -> Bar:
    met = None if ratio is None else ratio <= most
    return Bar(f"{what}: at most {most:g}x", _shown(ratio), met)


def _shown(ratio: float | None) -> str:
    return "not measured" if ratio is None else f"{ratio:.2f}x"


def _ratio(over: float | None, under: float | None) -> float | None:
    return None if over is None or under is None else over / under


def _runs(results: Results, field: _Field, contender: Contender) -> list[Run]:
    """Of a contender whose outputs are right, in runs that are long enough: any other speed says nothing."""
    runs = [
        run
        for run in results.throughput
        if (run.case.stream, run.case.leads, run.case.contender) == (field.stream, field.leads, contender.name)
    ]
    return runs if all(run.is_right and run.throughput and not run.throughput.is_short for run in runs) else []


def _rate(results: Results, field: _Field, contender: Contender) -> float | None:
    found = spread_of(_runs(results, field, contender), lambda throughput: throughput.events_per_s)
    return None if found is None else found.median


def _cpu(results: Results, field: _Field, contender: Contender) -> float | None:
    found = spread_of(_runs(results, field, contender), lambda throughput: throughput.cpu_s_per_million)
    return None if found is None else found.median
