"""Drives workers that deliver, on a real Kafka and a real Redis: published records in, effects at fake destinations."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import DELIVER_APP_ID, PQL_QUALIFIED, SCORE_CHANGED
from pql_stream.stream.partitioner import partition_of
from pql_stream.testing.simulation import simulate
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed
from tests.program import Program

PARTITIONS = 4
SESSION_TIMEOUT_S = 6
WAIT_S = 60.0
DELIVERS = ("worker", "--only", "deliver")
_STEP_S = 0.05

Published = tuple[str, bytes, bytes]
"""Topic without its prefix, key, value."""


def published(leads: int, *, seed: int = 7) -> list[Published]:
    """What scoring publishes of so many simulated trial users, in its order."""
    pack = compile_pack(load_pack("pql-100"))
    states: dict[str, LeadState] = {}
    records: list[Published] = []
    for offset, simulated in enumerate(simulate(leads=leads, seed=seed)):
        event = decode_event(simulated.value, "product-activity", 0, offset)
        step = advance(states.get(event.lead_id), event, pack)
        states[event.lead_id] = step.state
        key = event.lead_id.encode()
        if step.change is not None:
            records.append((SCORE_CHANGED, key, encode_score_changed(step.change)))
        if step.qualification is not None:
            records.append((PQL_QUALIFIED, key, encode_pql_qualified(step.qualification)))
    return records


class DeliverBench:
    """Everything under one topic prefix: topics, records, workers, and their settings file."""

    def __init__(
        self,
        bootstrap: str,
        redis_url: str,
        prefix: str,
        directory: Path,
        settings_file: str,
        *,
        partitions: int = PARTITIONS,
    ) -> None:
        self.bootstrap = bootstrap
        self.redis_url = redis_url
        self.prefix = prefix
        self.partitions = partitions
        self.directory = directory
        self.environment: dict[str, str] = {}
        self.topics: tuple[str, ...] = ()
        """Every topic that delivery commits."""
        self.workers: list[Program[bytes]] = []
        self._file = directory / "pql.toml"
        self._file.write_text(settings_file)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0})
        self._group = Consumer({"bootstrap.servers": bootstrap, "group.id": prefix + DELIVER_APP_ID, "log_level": 0})

    def create_topics(self, sinks: Iterable[str]) -> None:
        """The topics that delivery reads and writes."""
        sinks = tuple(sinks)
        queues = [f"delivery-{sink}{end}" for sink in sinks for end in ("", "-parked")]
        self.topics = (SCORE_CHANGED, PQL_QUALIFIED, *queues)
        TopicCluster({"bootstrap.servers": self.bootstrap}).apply(
            declared.on_cluster(prefix=self.prefix, partitions=self.partitions)
            for declared in load_declarations(sinks=sinks)
        )

    def publish(self, records: Iterable[Published]) -> None:
        """Write *records* as scoring does, and wait for the broker."""
        for topic, key, value in records:
            self._producer.produce(self.prefix + topic, value, key, partition=partition_of(key, self.partitions))
            self._producer.poll(0)
        self._producer.flush()

    def start(self, name: str = "a", command: Sequence[str] = DELIVERS, bootstrap: str | None = None) -> Program[bytes]:
        """
        A worker, by default one that delivers; its log lies under its *name*.

        *bootstrap*: its way to the broker, if it is not the straight one.
        """
        with (self.directory / f"{name}.log").open("ab") as log:
            worker = Program(
                *command, env=self.environment_of(name, bootstrap), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.workers.append(worker)
        return worker

    def environment_of(self, name: str = "a", bootstrap: str | None = None) -> dict[str, str]:
        """What the worker *name* is started with."""
        given = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap or self.bootstrap,
            "PQL_TOPIC_PREFIX": self.prefix,
            "PQL_CONFIG": str(self._file),
            "PQL_DATA_DIR": str(self.directory / name),
            "PQL_HTTP_PORT": "0",
            "PQL_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "PQL_LOG_FORMAT": "json",
            "REDIS_URL": self.redis_url,
        }
        return os.environ | given | self.environment

    def log(self, name: str = "a") -> str:
        """What the workers of this *name* wrote."""
        return (self.directory / f"{name}.log").read_text()

    def close(self) -> None:
        """End what still runs, and print every log: pytest shows it when the test failed."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._group.close()
        for path in sorted(self.directory.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text()[-20_000:]}")  # noqa: T201  # for whom the test fails

    async def wait_for(self, happened: Callable[[], bool]) -> None:
        """Return when *happened*; fail when it takes too long."""
        async with asyncio.timeout(WAIT_S):
            while not happened():  # noqa: ASYNC110  # what other processes do sets no event of ours
                await asyncio.sleep(_STEP_S)

    async def done(self, *topics: str) -> None:
        """Return when every record of *topics* (without their prefix), by default of all, is committed."""
        async with asyncio.timeout(WAIT_S):
            # In a thread: the fakes answer in this loop, and would stand still meanwhile.
            while await asyncio.to_thread(self._left, topics or self.topics):  # noqa: ASYNC110  # as above
                await asyncio.sleep(_STEP_S)

    async def written(self, topic: str, count: int) -> None:
        """Return when *topic* has *count* records."""
        partitions = [TopicPartition(self.prefix + topic, partition) for partition in range(self.partitions)]
        async with asyncio.timeout(WAIT_S):
            while await asyncio.to_thread(self._ends, partitions) < count:  # noqa: ASYNC110  # as above
                await asyncio.sleep(_STEP_S)

    def _left(self, topics: Iterable[str]) -> int:
        partitions = [
            TopicPartition(self.prefix + topic, partition) for topic in topics for partition in range(self.partitions)
        ]
        committed = [max(at.offset, 0) for at in self._group.committed(partitions, timeout=10)]
        return self._ends(partitions) - sum(committed)

    def _ends(self, partitions: Iterable[TopicPartition]) -> int:
        return sum(self._group.get_watermark_offsets(at, timeout=10)[1] for at in partitions)


def ids_of(records: Iterable[Published], topic: str) -> list[str]:
    """The ids of the records of *topic*."""
    field = "change_id" if topic == SCORE_CHANGED else "qualification_id"
    return [json.loads(value)[field] for of, _, value in records if of == topic]


def in_order(effects: Iterable[Mapping[str, object]]) -> bool:
    """Are the changes of each lead in the order of their sequence, where repeats are left out?"""
    last: dict[object, int] = {}
    for content in effects:
        lead, sequence = content["lead_id"], int(str(content["sequence"]))
        if sequence <= last.get(lead, 0):
            return False
        last[lead] = sequence
    return True
