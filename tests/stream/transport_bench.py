"""Starts counting workers (transport_worker.py) as processes, feeds them, and reads what they wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

PARTITIONS = 4
WAIT_S = 60.0
_STEP_S = 0.1
_SCRIPT = Path(__file__).with_name("transport_worker.py")
_ROOT = Path(__file__).parents[2]


class Bench:
    """One app id with its topics, its workers, and its records."""

    def __init__(self, bootstrap: str, app_id: str, directory: Path) -> None:
        self.bootstrap = bootstrap
        self.app_id = app_id
        self.directory = directory
        self.source, self.out, self.changelog = f"{app_id}-in", f"{app_id}-out", f"{app_id}-counts-changelog"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.fed = 0
        self._producer = Producer({"bootstrap.servers": bootstrap})
        self._group = Consumer({"bootstrap.servers": bootstrap, "group.id": app_id})

    def topics(self) -> list[str]:
        """Source, output and changelog."""
        return [self.source, self.out, self.changelog]

    def close(self) -> None:
        """End what is still running."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._group.close()

    def start(self, *options: str, name: str = "a") -> subprocess.Popen[bytes]:
        """Start a worker; its state and its log lie under its *name*."""
        command = [sys.executable, str(_SCRIPT), self.bootstrap, self.app_id]
        with (self.directory / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [*command, "--datadir", str(self.directory / name), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
            )
        self.workers.append(worker)
        return worker

    def log_of(self, name: str = "a") -> str:
        """What the worker wrote."""
        return (self.directory / f"{name}.log").read_text()

    def feed(self, count: int, *, keys: int = 20, partition: int = -1) -> None:
        """Write *count* records, each with a value of its own, spread over *keys* keys."""
        self._producer.list_topics(self.source, timeout=10)
        for number in range(self.fed, self.fed + count):
            self.put(self.source, b"key-%d" % (number % keys), b"%d" % number, partition)
        self.fed += count
        self._producer.flush()

    def put(self, topic: str, key: bytes, value: bytes | None, partition: int = -1) -> None:
        """Write one record."""
        self._producer.produce(topic, key=key, value=value, partition=partition)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait for what was `put`."""
        self._producer.flush()

    def committed(self) -> int:
        """Records that the workers have committed; 0 while a fresh broker has no group coordinator yet."""
        tps = [TopicPartition(self.source, partition) for partition in range(PARTITIONS)]
        try:
            return sum(max(tp.offset, 0) for tp in self._group.committed(tps, timeout=10))
        except KafkaException:
            return 0

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Wait until *happened*; fail when it does not, or when a worker ends."""
        for _ in range(int(WAIT_S / _STEP_S)):
            if happened():
                return
            for worker in self.workers:
                ended = worker.returncode is None and worker.poll() is not None
                assert not ended, f"a worker ended with {worker.returncode}"
            with suppress(subprocess.TimeoutExpired):
                self.workers[-1].wait(_STEP_S)
        raise AssertionError(f"it did not happen in {WAIT_S} s; committed {self.committed()} of {self.fed}")

    def wait_all_committed(self) -> None:
        """Wait until the workers have committed everything that was fed."""
        self.wait_for(lambda: self.committed() == self.fed)

    def records(self, topic: str) -> list[tuple[bytes, bytes | None]]:
        """Keys and values of everything in *topic*, every partition in order."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": f"{self.app_id}-reader"}
        reader = Consumer({**settings, "enable.partition.eof": False, "enable.auto.commit": False})
        ends = {p: reader.get_watermark_offsets(TopicPartition(topic, p))[1] for p in range(PARTITIONS)}
        reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
        found: list[tuple[bytes, bytes | None]] = []
        left = {p for p, end in ends.items() if end > reader.get_watermark_offsets(TopicPartition(topic, p))[0]}
        while left:
            for message in reader.consume(1000, timeout=0.2):
                assert not message.error()
                found.append((message.key(), message.value()))
                if message.offset() + 1 >= ends[message.partition()]:
                    left.discard(message.partition())
        reader.close()
        return found

    def rows(self) -> dict[bytes, bytes | None]:
        """The last row of every key in the changelog."""
        return dict(self.records(self.changelog))

    def counted(self) -> int:
        """The sum of all counters."""
        return sum(int(value) for value in self.rows().values() if value is not None)

    def outputs(self) -> Counter[bytes]:
        """How often each record was put out."""
        return Counter(value for _, value in self.records(self.out) if value is not None)

    def stop(self, workers: Iterable[subprocess.Popen[bytes]]) -> list[int]:
        """SIGTERM to *workers*; their exit codes."""
        for worker in workers:
            worker.terminate()
        return [worker.wait(30) for worker in workers]
