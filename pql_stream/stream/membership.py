"""Where an app is in its consumer group, and how far the recovery of its rows is. No Faust, no clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from pql_stream.stream.metrics import PartitionId, PartitionMeter

Phase = Literal["joining", "recovering", "running"]
"""Waiting for partitions; reading the rows of those that came back from the changelog; handing out records."""


@dataclass(frozen=True, slots=True)
class RecoveryProgress:
    """
    How far the rows of one assignment are, in partitions of changelogs and in their offsets.

    An offset is a row, or one that was compacted away: what is known beforehand is where a changelog ends.
    """

    partitions: int
    partitions_done: int
    rows: int
    rows_done: int

    @property
    def left(self) -> int:
        """What is still to be read."""
        return self.rows - self.rows_done

    @property
    def percent(self) -> int:
        """What is done of all, rounded down: 100 only when nothing is left."""
        return 100 if self.rows == 0 else self.rows_done * 100 // self.rows


class Membership:
    """
    What the transport tells of one app's life in its group. *clock*: seconds that never go back.

    Attributes: `phase`; `assignments` counts those that came.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.phase: Phase = "joining"
        self.assignments = 0
        self._clock = clock
        self._since_s = clock()
        self._meter: PartitionMeter | None = None
        self._first: dict[PartitionId, int] = {}

    def watched_by(self, meter: PartitionMeter) -> None:
        """Tell *meter* from here on."""
        self._meter = meter

    def joining(self) -> None:
        """The group deals its partitions anew: ours are gone."""
        if self.phase != "joining":
            self._enter("joining")

    def assigned(self) -> None:
        """Partitions came, if only none; their rows are to be read back."""
        took_s = self._enter("recovering")
        self.assignments += 1
        self._first.clear()
        if self._meter is not None:
            self._meter.rebalanced(took_s)
            self._meter.recovery_started()

    def running(self) -> None:
        """Records are handed out."""
        if self.phase != "recovering":
            return
        took_s = self._enter("running")
        if self._meter is not None:
            self._meter.recovery_ended(took_s)

    def recovery(self, reached: Mapping[PartitionId, tuple[int, int]]) -> RecoveryProgress:
        """
        How far the recovery of this assignment is.

        *reached* has the last offset that was read, and the last one that is to be, of each partition of a
        changelog; -1 for none. Where reading began is where it was when it was asked for first.
        """
        rows = rows_done = partitions_done = 0
        for partition, (at, last) in reached.items():
            first = self._first[partition] = min(self._first.get(partition, at), at, last)
            rows += last - first
            rows_done += min(at, last) - first
            partitions_done += at >= last
        progress = RecoveryProgress(len(reached), partitions_done, rows, rows_done)
        if self._meter is not None and self.phase == "recovering":
            self._meter.recovery_left(progress.left)
        return progress

    def _enter(self, phase: Phase) -> float:
        """The seconds that the phase before took."""
        now_s = self._clock()
        took_s, self._since_s = now_s - self._since_s, now_s
        self.phase = phase
        return took_s
