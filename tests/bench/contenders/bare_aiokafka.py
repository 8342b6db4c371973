"""
A bare aiokafka client, as `bare_confluent`: states in a dict, rows to a changelog, prepared batches out.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from pql_stream.core.states import LeadState
from pql_stream.wire.rows import dump_state
from tests.bench.contenders.job import COMMIT_EVERY_S, FETCH_WAIT_MS, EventScorer, Job, job_of_command_line

BATCH_BYTES = 900_000
"""Below the broker's limit for one batch, 1 MiB."""

Pair = tuple[bytes, bytes]


class BareScorer:
    """One consumer, one producer, a dict."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._scorer = EventScorer(job.activity)
        self._states: dict[bytes, LeadState] = {}
        self._pending: list[asyncio.Future[object]] = []
        self._consumer = AIOKafkaConsumer(
            job.activity,
            bootstrap_servers=job.bootstrap,
            group_id=job.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=job.bootstrap, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
        )

    async def run(self) -> None:
        """Until SIGTERM."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await self._consumer.start()
        await self._producer.start()
        commit_at_s = time.monotonic() + COMMIT_EVERY_S
        while not stop.is_set():
            polled = await self._consumer.getmany(timeout_ms=FETCH_WAIT_MS)
            for at, records in polled.items():
                await self._handle(at.partition, records)
            if time.monotonic() >= commit_at_s:
                await self._commit()
                commit_at_s = time.monotonic() + COMMIT_EVERY_S
        await self._commit()
        await self._consumer.stop()
        await self._producer.stop()

    async def _handle(self, partition: int, records: Iterable[ConsumerRecord]) -> None:
        states, score = self._states, self._scorer.score
        touched: dict[bytes, LeadState] = {}
        changes: list[Pair] = []
        qualified: list[Pair] = []
        for record in records:
            key = record.key
            before = states.get(key)
            scored = score(before, record.value, partition, record.offset, record.timestamp)
            if scored.state is not before:
                states[key] = touched[key] = scored.state
            if scored.change is not None:
                changes.append((key, scored.change))
            if scored.qualification is not None:
                qualified.append((key, scored.qualification))
        rows = [(key, dump_state(state, self._scorer.pack)) for key, state in touched.items()]
        await self._send(self._job.changes, partition, changes)
        await self._send(self._job.qualified, partition, qualified)
        await self._send(self._job.changelog, partition, rows)

    async def _send(self, topic: str, partition: int, pairs: list[Pair]) -> None:
        timestamp_ms = int(time.time() * 1000)
        batch = self._producer.create_batch()
        for key, value in pairs:
            if batch.append(timestamp=timestamp_ms, key=key, value=value) is None:
                self._pending.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                batch.append(timestamp=timestamp_ms, key=key, value=value)
        if batch.record_count():
            self._pending.append(await self._producer.send_batch(batch, topic, partition=partition))

    async def _commit(self) -> None:
        await asyncio.gather(*self._pending)
        self._pending.clear()
        await self._consumer.commit()


async def run(job: Job) -> None:
    """Until SIGTERM. The clients want to be made where the event loop runs."""
    await BareScorer(job).run()


if __name__ == "__main__":
    asyncio.run(run(job_of_command_line()))
