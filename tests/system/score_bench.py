"""Drives real workers on a real broker: topics, records in, kills and freezes, and what was written."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    NewPartitions,
)

from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import TopicDeclaration, load_declarations
from pql_stream.stream.names import APP_ID, PRODUCT_ACTIVITY, Topics
from tests.oracle.render import Record
from tests.program import Program, run
from tests.proof import proof

WAIT_S = 90.0
GUARANTEES = ("at_least_once", "exactly_once")
MOSTLY_AT_LEAST_ONCE = ("at_least_once", proof("exactly_once"))
"""Of tests whose other guarantee is another case of what the tests of that guarantee show."""
SESSION_TIMEOUT_S = 6
_STEP_S = 0.1
_RECORD_BYTES_MAX = 64 * 1024 * 1024
_FOR_EVER = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
"""The oracle's records have a time of their own, which a broker would find too old or too far ahead."""


@dataclass(frozen=True)
class Stored:
    """A record as Kafka holds it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Worker:
    """One `pql-stream worker`; what it wrote to stderr lies in *log_path*."""

    process: subprocess.Popen[bytes]
    log_path: Path
    log_from: int
    may_end: bool = field(default=False)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        """What this process wrote; one of the same name before it wrote to the same file."""
        return self.log_path.read_bytes()[self.log_from :].decode()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's entries of this name."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line["event"] == event]

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; it must have logged "worker_starting"."""
        url = f"{self.logged('worker_starting')[0]['http']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Every thread stands still until `thaw`."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on as if nothing had been. What it finds may end it."""
        self.may_end = True
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM."""
        self.may_end = True
        self.process.terminate()

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and its exit code."""
        self.terminate()
        return self.process.wait(seconds)


class ScoreBench:
    """Everything under one topic prefix: its topics, its records, its workers."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        directory: Path,
        *,
        partitions: int = 4,
        guarantee: str = "at_least_once",
    ) -> None:
        self.bootstrap = bootstrap
        self.guarantee = guarantee
        self.prefix = prefix
        self.directory = directory
        self.partitions = partitions
        self.topics = Topics.under(prefix)
        self.workers: list[Worker] = []
        self._client = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._admin = AdminClient(self._client)
        self._producers: dict[str, Producer] = {}
        self._group = Consumer({**self._client, "group.id": f"{prefix}{APP_ID}"})
        self._never = threading.Event()

    def end(self) -> None:
        """End what still runs."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self._group.close()

    def close(self) -> None:
        """End what still runs, and print every log: pytest shows it when the test failed."""
        self.end()
        for path in sorted(self.directory.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text()[-20_000:]}")  # noqa: T201  # for whom the test fails

    # --- topics

    def create_topics(self, partitions_of: Mapping[str, int] | None = None, *, leave_out: Sequence[str] = ()) -> None:
        """Every declared topic; *partitions_of* and *leave_out* spoil it, by names without the prefix."""
        TopicCluster(self._client).apply(
            _for_ever(declared).on_cluster(
                prefix=self.prefix, partitions=(partitions_of or {}).get(declared.name, self.partitions)
            )
            for declared in load_declarations()
            if declared.name not in leave_out
        )

    def add_partitions(self, partitions: int) -> None:
        """Give every topic so many, which only an administrator can do: `topics apply` refuses."""
        names = [name for name in self._admin.list_topics(timeout=10).topics if name.startswith(self.prefix)]
        wait(self._admin.create_partitions([NewPartitions(name, partitions) for name in names]).values(), timeout=30)

        # The broker answers before it tells whoever asks for the number.
        def all_have_them() -> bool:
            known = self._admin.list_topics(timeout=10).topics
            return all(len(known[name].partitions) == partitions for name in names)

        self.wait_for(all_have_them)

    def delete_topics(self) -> None:
        """Every topic under the prefix."""
        names = [name for name in self._admin.list_topics(timeout=10).topics if name.startswith(self.prefix)]
        if names:
            wait(self._admin.delete_topics(names).values(), timeout=30)

    # --- records in

    def feed(self, placed: Iterable[tuple[int, Record]], *, compression: str = "none") -> None:
        """Write records to the partitions they were placed on, in order, and wait for the broker."""
        self.send(placed, compression=compression)
        self.flush()

    def send(self, placed: Iterable[tuple[int, Record]], *, compression: str = "none") -> None:
        """Write records to the partitions they were placed on, in order, without waiting."""
        for partition, record in placed:
            self.produce(
                self.topics.activity,
                partition,
                record.key,
                record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
                compression=compression,
            )

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int = 0,
        compression: str = "none",
    ) -> None:
        """Write one record, without waiting; *timestamp_ms* 0 is now."""
        if compression not in self._producers:
            config = {"compression.type": compression, "enable.idempotence": True}
            self._producers[compression] = Producer(
                {**self._client, **config, "message.max.bytes": _RECORD_BYTES_MAX, "linger.ms": 0}
            )
            # What is produced before the metadata is known may be reordered.
            self._producers[compression].list_topics(topic, timeout=10)
        producer = self._producers[compression]
        producer.produce(
            topic, value, key, partition, headers=list(headers), timestamp=timestamp_ms, on_delivery=_acknowledged
        )
        producer.poll(0)

    def is_flushed(self) -> bool:
        """The broker has taken all that was produced."""
        return all(producer.flush(0) == 0 for producer in self._producers.values())

    def flush(self) -> None:
        """Wait for what was produced."""
        for producer in self._producers.values():
            assert producer.flush(WAIT_S) == 0, "the broker did not take all records"

    # --- workers

    def environment(self, name: str = "a", **settings: str) -> dict[str, str]:
        """The environment of the worker *name*."""
        ours = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "PQL_TOPIC_PREFIX": self.prefix,
            "PQL_DATA_DIR": str(self.directory / f"{name}-data"),
            "PQL_HTTP_PORT": "0",
            "PQL_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "PQL_LOG_FORMAT": "json",
            "PQL_PROCESSING_GUARANTEE": self.guarantee,
        }
        return {**os.environ, **ours, **settings}

    def start(self, name: str = "a", **settings: str) -> Worker:
        """Start a worker; its state and its log lie under its *name*."""
        log_path = self.directory / f"{name}.log"
        with log_path.open("ab") as log:
            log_from = log.tell()
            process = Program(
                "worker", stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(name, **settings)
            )
        self.workers.append(Worker(process, log_path, log_from))
        return self.workers[-1]

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `pql-stream` with *arguments* to its end."""
        return run(*arguments, env=self.environment(**settings), timeout=WAIT_S)

    # --- waiting

    def wait_for(self, happened: Callable[[], bool], *, seconds: float = WAIT_S) -> None:
        """Wait until *happened*; fail when it does not, or when a worker ends that must not."""
        until_s = time.monotonic() + seconds
        while not happened():
            for worker in self.workers:
                ended = not worker.running and worker.process.returncode != -signal.SIGKILL
                assert worker.may_end or not ended, f"a worker ended with {worker.process.returncode}"
            assert time.monotonic() < until_s, f"it did not happen in {seconds:.0f} s; not done: {self.not_committed()}"
            # Nothing tells us of another process's deeds, so ask again in a moment.
            self._never.wait(_STEP_S)

    def wait_all_committed(self) -> None:
        """Wait until the group has committed all of the input topics."""
        self.wait_for(lambda: not self.not_committed())

    def wait_ready(self, *workers: Worker) -> None:
        """Wait until the group has settled on *workers*, and each has its partitions and their rows."""
        self.wait_for(lambda: all(worker.logged("worker_starting") for worker in workers))
        self.wait_for(lambda: self.members() == len(workers))
        self.wait_for(lambda: all(worker.get("/readyz")[0] == 200 for worker in workers))

    def wait_ended(self, worker: Worker) -> int:
        """Wait until *worker* ends by itself; its exit code."""
        worker.may_end = True
        return worker.process.wait(WAIT_S)

    def not_committed(self) -> dict[str, int]:
        """How many records of which input partition are not committed."""
        ends: dict[tuple[str, int], int] = {}
        starts: dict[tuple[str, int], int] = {}
        for topic in self.topics.sources:
            committed = self.committed(topic)
            for partition, end in self.ends(topic).items():
                if end > committed.get(partition, 0):
                    ends[topic, partition], starts[topic, partition] = end, committed.get(partition, 0)
        left = self._have_records(starts) if self.guarantee == "exactly_once" else ends.keys()
        return {f"{topic}-{partition}": ends[topic, partition] - starts[topic, partition] for topic, partition in left}

    def _have_records(self, starts: Mapping[tuple[str, int], int]) -> set[tuple[str, int]]:
        """Those partitions that have a record from their start on; transactions leave offsets that have none."""
        with self._reading([TopicPartition(*at, start) for at, start in starts.items()]) as records:
            return {(record.topic, record.partition) for record in records}

    @contextmanager
    def _reading(self, assigned: Collection[TopicPartition]) -> Iterator[Iterator[Stored]]:
        """The committed records of *assigned*, from its offsets up to the ends that the partitions have now."""
        config = {"group.id": f"{self.prefix}reader", "enable.auto.commit": False, "enable.partition.eof": True}
        reader = Consumer({**self._client, **config})
        reader.assign(list(assigned))
        try:
            yield self._read_to_ends(reader, {(at.topic, at.partition) for at in assigned})
        finally:
            reader.close()

    def _read_to_ends(self, reader: Consumer, left: set[tuple[str, int]]) -> Iterator[Stored]:
        until_s = time.monotonic() + WAIT_S
        while left:
            message = reader.poll(1.0)
            if message is not None and message.error() is None:
                yield _stored(message)
            elif message is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                left.discard((message.topic(), message.partition()))
            assert time.monotonic() < until_s, f"{left} could not be read to the end"

    def committed(self, topic: str) -> dict[int, int]:
        """The group's offsets; none while a fresh broker has no group coordinator, or is away."""
        asked = [TopicPartition(topic, partition) for partition in range(self.partitions)]
        try:
            return {tp.partition: max(tp.offset, 0) for tp in self._group.committed(asked, timeout=10)}
        except KafkaException:
            return {}

    def notes(self) -> dict[int, list[str]]:
        """What the group has committed beside its offsets, by partition."""
        found: dict[int, list[str]] = {}
        for tp, committed in asyncio.run(self._committed()).items():
            found.setdefault(tp.partition, []).append(committed.metadata)
        return found

    async def _committed(self) -> Any:
        # confluent-kafka reads beyond the end of such a text.
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            return await admin.list_consumer_group_offsets(f"{self.prefix}{APP_ID}")
        finally:
            await admin.close()

    def ends(self, topic: str) -> dict[int, int]:
        """The offset behind the last record of each partition."""
        return {
            partition: self._group.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)[1]
            for partition in range(self.partitions)
        }

    def size(self, topic: str) -> int:
        """How many records *topic* has."""
        return sum(self.ends(topic).values())

    @contextmanager
    def growing(self, topic: str) -> Iterator[None]:
        """Wait behind the block until *topic* has a record more than before it."""
        before = self.size(topic)
        yield
        self.wait_for(lambda: self.size(topic) > before)

    def members(self) -> int:
        """How many workers the group has; 0 while they come and go, or the broker does not say."""
        group = f"{self.prefix}{APP_ID}"
        try:
            described = self._admin.describe_consumer_groups([group], request_timeout=5.0)[group].result()
        except KafkaException:
            # The client of a broker that was killed may never hear from the next one.
            self._admin = AdminClient(self._client)
            return 0
        return len(described.members) if described.state == ConsumerGroupState.STABLE else 0

    # --- records out

    def read(self, *topics: str) -> list[list[Stored]]:
        """Everything committed in each of *topics*, partition by partition, in order."""
        assigned = {TopicPartition(topic, at, OFFSET_BEGINNING) for topic in topics for at in range(self.partitions)}
        found: dict[str, list[Stored]] = {topic: [] for topic in topics}
        with self._reading(assigned) as records:
            for record in records:
                found[record.topic].append(record)
        return [sorted(records, key=lambda record: (record.partition, record.offset)) for records in found.values()]


def _for_ever(declared: TopicDeclaration) -> TopicDeclaration:
    # From the start: a change of a topic takes effect some time after it was answered, and what was written before that
    # would be deleted.
    if declared.name != PRODUCT_ACTIVITY:
        return declared
    return replace(declared, config={**declared.config, **_FOR_EVER})


def _stored(message: Any) -> Stored:
    return Stored(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


def _acknowledged(error: object, _message: object) -> None:
    assert error is None, f"the broker refused a record: {error}"


@contextmanager
def bench_on(kafka: Any, prefix: str, directory: Path, **options: Any) -> Iterator[ScoreBench]:
    """A `ScoreBench` on the shared broker *kafka* whose topics are there as long as it is."""
    made = ScoreBench(kafka.bootstrap, prefix, directory, **options)
    made.create_topics()
    yield made
    made.close()
    kafka.delete_topics(prefix)
