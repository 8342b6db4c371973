"""The section that waits: from an event's sending to the reading of its change, at a fixed rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.bench.cluster import Cluster, wait_for
from tests.bench.lineup import KAFKA_STREAMS, Contender, Place
from tests.bench.load import Keyed, Load, keyed_events
from tests.bench.results import Latency
from tests.bench.session import Session, say

LEADS = 2_000
WARM_UP_EVENTS = 150_000
"""Of a contender with a share of 1, as fast as it can, before the clock starts."""
WARM_UP_JVM_EVENTS = 500_000
SETTLE_S = 3.0
LAST_ANSWER_S = 5.0
_ID_START = len(b'{"event_id":"')
_TICK_S = 0.001
_CAUSE, _CAUSE_ID = b'"cause"', b'"event_id":"'


class AnswerReader:
    """Notes when the first change that an event caused was read; a thread of its own, to its end."""

    def __init__(self, cluster: Cluster, topic: str, partitions: int) -> None:
        self.read_at_s: dict[bytes, float] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": cluster.bootstrap,
                "group.id": "bench-latency",  # required by the client, and never joined
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        self._consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while not self._over.is_set():
            messages: list[Any] = self._consumer.consume(1_000, 0.005)
            for message in messages:
                if message.error() is None:
                    self.read_at_s.setdefault(cause_of(message.value()), time.perf_counter())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._consumer.close()


def cause_of(change: bytes) -> bytes:
    """The id of the event that caused *change*, found without reading the JSON: thousands a second come by."""
    start = change.index(_CAUSE_ID, change.rindex(_CAUSE)) + len(_CAUSE_ID)
    return change[start : change.index(b'"', start)]


def _id_of(event: bytes) -> bytes:
    return event[_ID_START : event.index(b'"', _ID_START)]


class Feeder:
    """Sends the events of one load: first a crowd of them, then so many a second."""

    def __init__(self, cluster: Cluster, topic: str, events: Iterator[Keyed]) -> None:
        self._topic = topic
        self._events = events
        self._producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap,
                "partitioner": "murmur2_random",
                # The client's own default: with less each event is a request, and what is measured is the broker.
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )
        self._producer.list_topics(topic, timeout=10)

    def crowd(self, count: int) -> None:
        """*count* events at once."""
        for key, value in islice(self._events, count):
            self._producer.produce(self._topic, value, key)
        self._producer.flush(60)

    def pace(self, rate: int, seconds: float) -> dict[bytes, float]:
        """*rate* events a second; when each was handed to the client, by event id."""
        sent_at_s: dict[bytes, float] = {}
        started_s = time.perf_counter()
        count, total = 0, int(rate * seconds)
        while count < total:
            due = min(total, int((time.perf_counter() - started_s) * rate) + 1)
            for key, value in islice(self._events, due - count):
                sent_at_s[_id_of(value)] = time.perf_counter()
                self._producer.produce(self._topic, value, key)
            count = due
            self._producer.poll(0)
            time.sleep(_TICK_S)
        self._producer.flush(10)
        return sent_at_s


def wait_times(session: Session, contender: Contender, rates: Sequence[int], seconds: float) -> list[Latency]:
    """*contender* at each of *rates*, one after the other, warm."""
    warm_up = WARM_UP_JVM_EVENTS if contender is KAFKA_STREAMS else int(WARM_UP_EVENTS * contender.share)
    place = session.place(f"latency-{contender.name}-", partitions=4)
    try:
        with warmed(session, contender, place, warm_up, paced_events(rates, seconds)) as (feeder, reader):
            return [at_rate(contender, feeder, reader, rate, seconds) for rate in rates]
    except TimeoutError as exc:
        return [
            Latency(contender=contender.name, rate=rate, rate_fed=0, sent=0, answered=0, failed=str(exc))
            for rate in rates
        ]


def paced_events(rates: Sequence[int], seconds: float) -> int:
    """As many as `at_rate` may take at all of *rates*."""
    return sum(int(rate * (SETTLE_S + seconds)) + rate for rate in rates)


@contextmanager
def warmed(
    session: Session, contender: Contender, place: Place, warm_up: int, paced: int
) -> Iterator[tuple[Feeder, AnswerReader]]:
    """
    *contender* at *place*, whose topics are made and go with it, when it is through with its *warm_up* events; the
    feeder has *paced* more.

    Raises:
        TimeoutError: it does not get through with them.
    """
    load = Load(stream="cold", leads=LEADS, events=warm_up + paced)
    topics, cluster = place.topics, session.cluster
    cluster.make_topics(place.prefix, place.partitions, inputs=True)
    positions = cluster.positions(topics.activity, contender.group(place))
    try:
        with (
            session.started(contender, place),
            AnswerReader(cluster, topics.score_changed, place.partitions) as reader,
        ):
            feeder = Feeder(cluster, topics.activity, keyed_events(load))
            feeder.crowd(warm_up)
            wait_for(lambda: positions.committed() >= warm_up, "the warm-up is done", 120)
            yield feeder, reader
    finally:
        positions.close()
        cluster.delete_topics(place.prefix)


def at_rate(contender: Contender, feeder: Feeder, reader: AnswerReader, rate: int, seconds: float) -> Latency:
    """One rate, after it has settled; *contender* is warm."""
    feeder.pace(rate, SETTLE_S)
    sent_at_s = feeder.pace(rate, seconds)
    until_s = time.monotonic() + LAST_ANSWER_S
    while time.monotonic() < until_s and not sent_at_s.keys() <= reader.read_at_s.keys():
        time.sleep(0.05)
    read_at_s = reader.read_at_s
    waits_ms = sorted((read_at_s[id_] - at_s) * 1000 for id_, at_s in sent_at_s.items() if id_ in read_at_s)
    duration_s = max(sent_at_s.values()) - min(sent_at_s.values())
    count = len(waits_ms)
    found = Latency(
        contender=contender.name,
        rate=rate,
        rate_fed=(len(sent_at_s) - 1) / duration_s,
        sent=len(sent_at_s),
        answered=count,
        p50_ms=waits_ms[count // 2] if count else 0,
        p99_ms=waits_ms[count * 99 // 100] if count else 0,
        max_ms=waits_ms[-1] if count else 0,
        failed="" if count else "no answer",
    )
    say(
        f"  {contender.title} at {found.rate_fed:,.0f}/s: p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, "
        f"{found.answered:,} of {found.sent:,} answered"
    )
    return found
