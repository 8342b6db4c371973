"""
A plain Faust agent as its documentation has it: one event, one read and one write of a RocksDB table, its outputs.

Rows are the bytes of our own wire, so that the table costs no JSON.
"""

from __future__ import annotations

import sys
from typing import Any

from pql_stream.core.states import LeadState
from pql_stream.wire.rows import dump_state, load_state
from tests.bench.contenders.job import COMMIT_EVERY_S, EventScorer, Job, job_of_command_line

SESSION_TIMEOUT_S = 6.0
HEARTBEAT_S = 1.0


def run(job: Job) -> None:
    """Until SIGTERM."""
    sys.argv = sys.argv[:1]  # Faust reads the command line when it is imported
    import faust

    app = faust.App(
        job.group,
        broker=f"kafka://{job.bootstrap}",
        store="rocksdb://?driver=rocksdict",
        web_enabled=False,
        topic_partitions=job.partitions,
        topic_replication_factor=1,
        datadir=str(job.directory),
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=COMMIT_EVERY_S,
        stream_wait_empty=False,
    )
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    activity, changes, qualified = (app.topic(name, **raw) for name in (job.activity, job.changes, job.qualified))
    leads = app.Table("leads", partitions=job.partitions, key_type=bytes, value_type=bytes)
    scorer = EventScorer(job.activity)

    @app.agent(activity)
    async def score(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            message = event.message
            key = message.key
            row = leads.get(key)
            before: LeadState | None = None if row is None else load_state(row, scorer.pack)
            timestamp_ms = int(message.timestamp * 1000)
            scored = scorer.score(before, event.value, message.partition, message.offset, timestamp_ms)
            if scored.change is not None:
                await changes.send(key=key, value=scored.change)
            if scored.qualification is not None:
                await qualified.send(key=key, value=scored.qualification)
            if scored.state is not before:
                leads[key] = dump_state(scored.state, scorer.pack)

    sys.argv = [sys.argv[0], "worker", "--loglevel", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    run(job_of_command_line())
