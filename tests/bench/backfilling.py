"""The section of live latency beside a backfill: one worker at the same rates, alone and then with history as well."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Producer

from tests.bench.latency import SETTLE_S, WARM_UP_EVENTS, at_rate, paced_events, warmed
from tests.bench.lineup import OURS
from tests.bench.load import Keyed, Load, keyed_events
from tests.bench.results import Beside, Latency
from tests.bench.session import Session, say

PAST_LEADS = 20_000
FILLED_PER_S_MAX = 60_000
"""More than a worker fills in beside live events, so that history does not end before the measuring does."""
_LIVE, _PAST = b"user-", b"past-"
_SEED = 8
"""Not that of live events: it is a part of an event's id, by which answers are told apart."""
_QUEUED = 10_000


def past_events(events: int) -> Iterator[Keyed]:
    """A steady stream of leads that no live event is of: those that are measured go on changing the score."""
    for key, value in keyed_events(Load(stream="steady", leads=PAST_LEADS, events=events, seed=_SEED)):
        yield key.replace(_LIVE, _PAST), value.replace(_LIVE, _PAST, 1)


def waits_beside_backfill(session: Session, rates: Sequence[int], seconds: float) -> list[Beside]:
    """Our worker at each of *rates*: alone, and beside a backfill that lasts all the while."""
    past = int(FILLED_PER_S_MAX * (SETTLE_S + seconds) * (len(rates) + 1))
    place = session.place("backfill-", partitions=4)
    topic, cluster = place.topics.activity_backfill, session.cluster
    try:
        with warmed(session, OURS, place, WARM_UP_EVENTS, 2 * paced_events(rates, seconds)) as (feeder, reader):
            alone = [at_rate(OURS, feeder, reader, rate, seconds) for rate in rates]
            filled = cluster.positions(topic, OURS.group(place))
            _fill(cluster.bootstrap, topic, past)
            found = []
            for rate, before in zip(rates, alone, strict=True):
                done, started_s = filled.committed(), time.monotonic()
                after = at_rate(OURS, feeder, reader, rate, seconds)
                filled_per_s = (filled.committed() - done) / (time.monotonic() - started_s)
                is_over = filled.committed() >= filled.end()
                found.append(_beside(before, after, filled_per_s, "history ended before that" if is_over else ""))
            filled.close()
            return found
    except TimeoutError as exc:
        return [Beside(rate=rate, failed=str(exc)) for rate in rates]


def _fill(bootstrap: str, topic: str, events: int) -> None:
    """As fast as it goes: what the worker has of it by then does not count."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "batch.size": 500_000,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
        }
    )
    producer.list_topics(topic, timeout=10)
    for number, (key, value) in enumerate(past_events(events)):
        producer.produce(topic, value, key)
        if number % _QUEUED == 0:
            producer.poll(0)
            while len(producer) > _QUEUED * 10:
                producer.poll(0.05)
    producer.flush(60)


def _beside(alone: Latency, beside: Latency, filled_per_s: float, failed: str) -> Beside:
    found = Beside(
        rate=alone.rate,
        p50_alone_ms=alone.p50_ms,
        p99_alone_ms=alone.p99_ms,
        p50_ms=beside.p50_ms,
        p99_ms=beside.p99_ms,
        answered=beside.answered,
        sent=beside.sent,
        filled_per_s=filled_per_s,
        failed=alone.failed or beside.failed or failed,
    )
    p99 = f"{found.p99_alone_ms:.1f} -> {found.p99_ms:.1f} ms"
    say(f"  beside {filled_per_s:,.0f} events/s of history: p99 {p99} {failed}")
    return found
