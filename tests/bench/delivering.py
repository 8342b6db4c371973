"""The section that delivers: published changes to one local webhook, with the ledger in a real Redis."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from confluent_kafka import Producer

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.ops.brokers.redis import EmbeddedRedis
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import SCORE_CHANGED, prefixed
from pql_stream.stream.partitioner import partition_of
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.score_changed import encode_score_changed
from tests.bench.cluster import wait_for
from tests.bench.load import Load, keyed_events
from tests.bench.processes import MeasuredProcess
from tests.bench.receiver import Receiver, id_of
from tests.bench.results import Delivery
from tests.bench.session import Session, say

RATE = 250
"""Records a second where the time to the request is measured: half of what is asked of the worker."""
LEADS = 2_000
PARTITIONS = 4
WARM_UP = 500
CROWD = 8_000
SETTLE_S = 2.0
SECONDS = 12.0
WAIT_S_MAX = 60.0
_TICK_S = 0.001
_PREFIX = "delivery-bench-"
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_SETTINGS = f"""
[sinks.hook]
type = "webhook"
url = {{ env = "BENCH_URL" }}
secrets = [{{ env = "BENCH_SECRET" }}]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]
rate = {{ calls = 100000, period_s = 1 }}

[[routes]]
name = "to-hook"
of = "{SCORE_CHANGED}"
sink = "hook"
action = "post"
"""

Change = tuple[bytes, bytes]
"""Key and value of a published change."""


def changes() -> Iterator[Change]:
    """What scoring publishes of a cold stream, in order: lead after lead, so that few have two under way."""
    pack = compile_pack(load_pack("pql-100"))
    states: dict[bytes, LeadState] = {}
    for offset, (key, value) in enumerate(keyed_events(Load(stream="cold", leads=LEADS, events=1_000_000))):
        step = advance(states.get(key), decode_event(value, "product-activity", 0, offset), pack)
        states[key] = step.state
        if step.change is not None:
            yield key, encode_score_changed(step.change)


class Publisher:
    """Writes changes to the topic that scoring writes them to."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._topic = prefixed(SCORE_CHANGED, prefix)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0.5, "log_level": 0})

    def crowd(self, records: Sequence[Change]) -> None:
        """All at once."""
        for record in records:
            self._write(record)
        self._producer.flush(60)

    def pace(self, records: Sequence[Change]) -> dict[bytes, float]:
        """`RATE` a second; when each was handed to the client, by change id."""
        sent_at_s: dict[bytes, float] = {}
        started_s = time.perf_counter()
        count = 0
        while count < len(records):
            due = min(len(records), int((time.perf_counter() - started_s) * RATE) + 1)
            for record in records[count:due]:
                sent_at_s[id_of(record[1])] = time.perf_counter()
                self._write(record)
            count = due
            self._producer.poll(0)
            time.sleep(_TICK_S)
        self._producer.flush(10)
        return sent_at_s

    def _write(self, record: Change) -> None:
        key, value = record
        self._producer.produce(self._topic, value, key, partition=partition_of(key, PARTITIONS))


def deliveries(session: Session, reps: int) -> Iterator[Delivery]:
    """*reps* times: a crowd of changes as fast as they go, then a steady rate."""
    for rep in range(reps):
        place = session.place(f"{_PREFIX}{rep}-", PARTITIONS)
        TopicCluster({"bootstrap.servers": place.bootstrap}).apply(
            declared.on_cluster(prefix=place.prefix, partitions=PARTITIONS)
            for declared in load_declarations(sinks=("hook",))
        )
        try:
            with EmbeddedRedis(place.directory / "redis") as redis, Receiver() as receiver:
                process = _worker(session, place.prefix, place.directory, redis.url, receiver.url)
                with process:
                    yield _measured(process, receiver, Publisher(place.bootstrap, place.prefix))
        finally:
            session.cluster.delete_topics(place.prefix)


def _worker(session: Session, prefix: str, directory: Path, redis_url: str, url: str) -> MeasuredProcess:
    config = directory / "pql.toml"
    config.write_text(_SETTINGS, encoding="utf-8")
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "KAFKA_BOOTSTRAP_SERVERS": session.cluster.bootstrap,
        "PQL_TOPIC_PREFIX": prefix,
        "PQL_DATA_DIR": str(directory / "data"),
        "PQL_HTTP_PORT": "0",
        "PQL_CONFIG": str(config),
        "PQL_LOG_FORMAT": "json",
        "REDIS_URL": redis_url,
        "BENCH_URL": url,
        "BENCH_SECRET": _SECRET,
    }
    command = [sys.executable, "-m", "pql_stream", "worker", "--only", "deliver"]
    return MeasuredProcess(command, environment, directory / "worker.log", session.cores.worker(0))


def _measured(process: MeasuredProcess, receiver: Receiver, publisher: Publisher) -> Delivery:
    stream, came = changes(), receiver.came_at_s
    records = list(islice(stream, WARM_UP + CROWD + int(RATE * (SETTLE_S + SECONDS))))
    warm_up, crowd, settling = records[:WARM_UP], records[WARM_UP:][:CROWD], records[WARM_UP + CROWD :]
    paced = settling[int(RATE * SETTLE_S) :]
    try:
        publisher.crowd(warm_up)
        wait_for(lambda: len(came) >= WARM_UP, "the warm-up is delivered", WAIT_S_MAX)
        cpu_s = process.cpu_s()
        publisher.crowd(crowd)
        wait_for(lambda: len(came) >= WARM_UP + CROWD, "the crowd is delivered", WAIT_S_MAX)
        cpu_s = process.cpu_s() - cpu_s
        publisher.pace(settling[: int(RATE * SETTLE_S)])
        sent_at_s = publisher.pace(paced)
        wait_for(lambda: len(came) >= len(records), "all is delivered", WAIT_S_MAX)
    except TimeoutError as exc:
        return Delivery(failed=f"{exc}: {len(came)} of {len(records)} came: {process.log_tail()}")
    times_s = sorted(came[id_of(value)] for _, value in crowd)
    begin, end = len(times_s) // 10, len(times_s) * 9 // 10
    waits_ms = sorted((came[id_] - at_s) * 1000 for id_, at_s in sent_at_s.items())
    found = Delivery(
        records=len(records),
        repeats=receiver.repeats,
        deliveries_per_s=(end - begin) / (times_s[end] - times_s[begin]),
        cpu_ms_each=cpu_s / CROWD * 1000,
        memory_peak_mb=process.memory_peak_mb(),
        rate_fed=(len(sent_at_s) - 1) / (max(sent_at_s.values()) - min(sent_at_s.values())),
        p50_ms=statistics.median(waits_ms),
        p99_ms=waits_ms[len(waits_ms) * 99 // 100],
    )
    say(
        f"  {found.deliveries_per_s:,.0f} deliveries/s, {found.cpu_ms_each:.2f} ms CPU each; at {found.rate_fed:.0f}/s "
        f"from record to request p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms; {found.repeats} repeats"
    )
    return found
