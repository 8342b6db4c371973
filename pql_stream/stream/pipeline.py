"""
One batch from reading to its end, in the order that the delivery promise hangs on (DESIGN.md 4).

No Faust and no client library here: where records go and rows lie comes in as ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pql_stream.stream.leads import Leads
from pql_stream.stream.metrics import BatchReport, BatchStage, Meter
from pql_stream.stream.names import Topics
from pql_stream.stream.records import OutRecord, SourceBatch
from pql_stream.stream.scorer import Effects, Scorer


class Sender(Protocol):
    """The way out."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Send *records* in order; returns when all are acknowledged."""


@dataclass(frozen=True, slots=True)
class Ports:
    """
    What a pipeline works on.

    *confirm_lease* raises `StreamLost` when the partitions may have another owner by now; after an outage
    of the broker it waits until the group has spoken. *clock* is
    seconds since 1970. *log_bug* takes the traceback of a record that our own code failed on.
    """

    leads: Leads
    sender: Sender
    meter: Meter
    confirm_lease: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    log_bug: Callable[[str], None]


class Pipeline:
    """Scores batches. Those of one partition number share their rows: hand them in one at a time."""

    def __init__(self, scorer: Scorer, topics: Topics, ports: Ports) -> None:
        self._scorer = scorer
        self._topics = topics
        self._ports = ports

    async def handle(self, batch: SourceBatch) -> None:
        """
        Score *batch*; on return nothing of it can be lost any more, and its offset may be committed.

        Sends before it stores: a crash in between repeats the events, and the repeat folds to the same
        state and writes the same ids. The other order would lose changes, because the stored row would
        already be the new one.

        Raises:
            StreamLost: the partition may belong to somebody else; nothing more was written.
            InvalidState: a row cannot be continued from.
        """
        ports = self._ports
        started_at_s = ports.clock()
        effects = self._scorer.score(batch, ports.leads.of(batch.partition))
        scored_at_s = ports.clock()
        await ports.confirm_lease()
        await self._send(batch.partition, effects)
        sent_at_s = ports.clock()
        if effects.states:
            await ports.confirm_lease()
            await ports.leads.store(batch.partition, effects.states)
        stored_at_s = ports.clock()
        for bug in effects.counts.bugs:
            ports.log_bug(bug)
        seconds: dict[BatchStage, float] = {
            "score": scored_at_s - started_at_s,
            "send": sent_at_s - scored_at_s,
            "store": stored_at_s - sent_at_s,
        }
        ports.meter.batch_done(_report(batch, effects, seconds, stored_at_s))

    async def _send(self, partition: int, effects: Effects) -> None:
        """
        All outputs, dead letters and re-keyed records, acknowledged.

        Outputs go to the partition of their lead, which is the number of the input's: all topics keyed by
        lead have the same count.
        """
        topics, send = self._topics, self._ports.sender.send
        sends = [send(topics.activity_rekeyed, home, records) for home, records in effects.rekeyed.items()]
        for topic, records in (
            (topics.activity_dlq, effects.dead_letters),
            (topics.score_changed, effects.changes),
            (topics.qualified, effects.qualifications),
        ):
            if records:
                sends.append(send(topic, partition, records))
        await asyncio.gather(*sends)


def _report(batch: SourceBatch, effects: Effects, seconds: dict[BatchStage, float], now_s: float) -> BatchReport:
    counts = effects.counts
    return BatchReport(
        topic=batch.topic,
        records=len(batch.records),
        seconds=seconds,
        accepted=counts.accepted,
        rejected=counts.rejected,
        rekeyed=counts.rekeyed,
        skipped=counts.skipped,
        leads_evaluated=counts.leads_evaluated,
        changed=counts.changed,
        qualified=counts.qualified,
        event_to_score_s=[now_s - at_ms / 1000 for at_ms in effects.timestamps_ms if at_ms >= 0],
    )
