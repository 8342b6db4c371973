"""
One batch from reading to its end.

What the delivery promise hangs on, the order of the effects, is the guarantee's: `at_least_once`, `exactly_once`.
No Faust and no client library here: where records go and states lie comes in as ports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pql_stream.core.profiles import ProfileState
from pql_stream.core.states import LeadState
from pql_stream.stream.effects import Counts, Effects
from pql_stream.stream.metrics import BatchReport, BatchStage, Meter, ModeReport
from pql_stream.stream.published import Ahead
from pql_stream.stream.scorer import Scorer
from pql_stream.wire.records import SourceBatch


class States(Protocol):
    """The states of leads."""

    def of(self, partition: int, expected: Iterable[bytes | None]) -> Callable[[str], LeadState | None]:
        """
        A function that gives the stored state of a lead of *partition*; good for one batch.

        *expected* are keys of leads that will be asked for, about in this order; others may be asked for, too.
        """


class Contacts(Protocol):
    """The contact data of leads."""

    def of(self, partition: int) -> Callable[[str], ProfileState | None]:
        """A function that gives the stored contact data of a lead of *partition*; good for one batch."""


class Guarantee(Protocol):
    """What is promised of the effects of a batch."""

    async def write(self, batch: SourceBatch, effects: Effects) -> Mapping[BatchStage, float]:
        """
        Make *effects* durable; on return nothing of *batch* can be lost any more. Returns the seconds it took.

        Raises:
            StreamLost: the partition may belong to somebody else.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """
    What a pipeline works on.

    *clock* is seconds since 1970. *log_bug* takes the traceback of a record that our own code failed on.
    """

    leads: States
    contacts: Contacts
    guarantee: Guarantee
    meter: Meter
    clock: Callable[[], float]
    log_bug: Callable[[str], None]


class Pipeline:
    """Scores batches. Those of one partition number share their leads: hand them in one at a time."""

    def __init__(self, scorer: Scorer, ports: Ports) -> None:
        self._scorer = scorer
        self._ports = ports

    async def handle(self, batch: SourceBatch, ahead: dict[str, Ahead] | None = None) -> None:
        """
        Score *batch*; on return nothing of it can be lost any more.

        *ahead* has the leads of the partition about which more is published than their rows know; those that
        have caught up are taken out.

        Raises:
            StreamLost: the partition may belong to somebody else; nothing more was written.
            InvalidState: a row cannot be continued from.
        """
        ports = self._ports
        started_at_s = ports.clock()
        published = ahead if ahead is not None else {}
        partition = batch.partition
        # Most producers write a record under the id of its lead.
        known = ports.leads.of(partition, (record.key for record in batch.records))
        effects = self._scorer.score(batch, known, published, ports.contacts.of(partition))
        scored_at_s = ports.clock()
        seconds: dict[BatchStage, float] = {
            "score": scored_at_s - started_at_s,
            **await ports.guarantee.write(batch, effects),
        }
        for lead_id in effects.caught_up:
            del published[lead_id]
        for bug in effects.bugs:
            ports.log_bug(bug)
        ports.meter.batch_done(_report(batch, effects, seconds, ports.clock()))


def _report(batch: SourceBatch, effects: Effects, seconds: Mapping[BatchStage, float], now_s: float) -> BatchReport:
    return BatchReport(
        topic=batch.topic,
        records=len(batch.records),
        seconds=seconds,
        modes={mode: _mode_report(counts, now_s) for mode, counts in effects.counts.items() if counts.records},
        skew_s=None if effects.skew_ms is None else effects.skew_ms / 1000,
    )


def _mode_report(counts: Counts, now_s: float) -> ModeReport:
    return ModeReport(
        accepted=counts.accepted,
        rejected=counts.rejected,
        rekeyed=counts.rekeyed,
        skipped=counts.skipped,
        leads_evaluated=counts.leads_evaluated,
        changed=counts.changed,
        qualified=counts.qualified,
        shadows=counts.shadows,
        # Producers write in batches, so many events of a backlog have the same millisecond.
        event_to_score_s={
            now_s - at_ms / 1000: count for at_ms, count in Counter(counts.timestamps_ms).items() if at_ms >= 0
        },
    )
