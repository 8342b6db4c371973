"""
Quix Streams: one stateful function in a StreamingDataFrame, RocksDB with its changelog, one output step.

The state of a lead is the row of our own wire, set as bytes, so that it costs no JSON.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models import SerializationContext, Serializer

from pql_stream.wire.rows import dump_state, load_state
from tests.bench.contenders.job import (
    COMMIT_EVERY_S,
    FETCH_WAIT_MS,
    LINGER_MS,
    EventScorer,
    Job,
    job_of_command_line,
)

ROW = "row"
POLL_S = 0.05

Output = tuple[bool, bytes]
"""Whether it is a qualification, and the record."""


class RecordOf(Serializer):
    """The record of an output."""

    def __call__(self, value: Output, ctx: SerializationContext) -> bytes:
        return value[1]


def run(job: Job) -> None:
    """Until SIGTERM."""
    app = Application(
        job.bootstrap,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_EVERY_S,
        consumer_poll_timeout=POLL_S,
        consumer_extra_config={"fetch.wait.max.ms": FETCH_WAIT_MS, "fetch.queue.backoff.ms": 5},
        producer_extra_config={"acks": "all", "linger.ms": LINGER_MS},
        state_dir=str(job.directory),
        loglevel="ERROR",
    )
    activity = app.topic(job.activity, key_deserializer="bytes", value_deserializer="bytes")
    changes, qualified = (
        app.topic(name, key_serializer="bytes", value_serializer=RecordOf()) for name in (job.changes, job.qualified)
    )
    scorer = EventScorer(job.activity)

    def score(value: bytes, _key: bytes, timestamp_ms: int, _headers: Any, state: State) -> list[Output]:
        message = message_context()
        row = state.get_bytes(ROW)
        before = None if row is None else load_state(row, scorer.pack)
        scored = scorer.score(before, value, message.partition, message.offset, timestamp_ms)
        if scored.state is not before:
            state.set_bytes(ROW, dump_state(scored.state, scorer.pack))
        outputs: list[Output] = []
        if scored.change is not None:
            outputs.append((False, scored.change))
        if scored.qualification is not None:
            outputs.append((True, scored.qualification))
        return outputs

    def topic_of(output: Output, *_: Any) -> Any:
        return qualified if output[0] else changes

    scored = app.dataframe(activity).apply(score, stateful=True, expand=True, metadata=True)
    scored.to_topic(topic_of)
    app.run()


if __name__ == "__main__":
    run(job_of_command_line())
