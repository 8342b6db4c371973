"""
One batch from reading to its end.

What the delivery promise hangs on, the order of the effects, is the guarantee's: `at_least_once`, `exactly_once`.
No Faust and no client library here: where records go and states lie comes in as ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pql_stream.stream.metrics import BatchReport, BatchStage
from pql_stream.stream.published import Ahead
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.slices import SLICE_RECORDS, Ports, Slices
from pql_stream.wire.records import SourceBatch, SourceRecord


class Guarantee(Protocol):
    """What is promised of the effects of a batch."""

    async def write(self, batch: SourceBatch, slices: Slices) -> Mapping[BatchStage, float]:
        """
        Score *slices*, which are *batch*, and make durable what they do: on return nothing of it can be lost any more.

        Returns the seconds that it took beside the scoring.

        Raises:
            StreamLost: the partition may belong to somebody else.
        """


def _nothing_more() -> Sequence[SourceRecord]:
    return ()


class Pipeline:
    """
    Scores batches. Those of one partition number share their leads: hand them in one at a time.

    A slice has *slice_records*.
    """

    def __init__(
        self, scorer: Scorer, ports: Ports, guarantee: Guarantee, *, slice_records: int = SLICE_RECORDS
    ) -> None:
        self._scorer = scorer
        self._ports = ports
        self._guarantee = guarantee
        self._slice_records = slice_records

    async def handle(
        self,
        batch: SourceBatch,
        ahead: dict[str, Ahead] | None = None,
        more: Callable[[], Sequence[SourceRecord]] = _nothing_more,
    ) -> None:
        """
        Score *batch*; on return nothing of it can be lost any more.

        *ahead* has the leads of the partition about which more is published than their rows know; those that
        have caught up are taken out. *more* gives what has come behind the batch meanwhile: it is a part of it then.

        Raises:
            StreamLost: the partition may belong to somebody else; nothing more was written.
            InvalidState: a row cannot be continued from.
        """
        known = {} if ahead is None else ahead
        slices = Slices(self._scorer, self._ports, batch, known, more, records_max=self._slice_records)
        seconds = await self._guarantee.write(batch, slices)
        self._ports.meter.batch_done(BatchReport(records=slices.count, seconds={"score": slices.seconds, **seconds}))
