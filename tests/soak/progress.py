"""How far the group is with every input partition, and how long each stood still."""

from __future__ import annotations

from confluent_kafka import KafkaException
from score_bench import ScoreBench

Partition = tuple[str, int]

_ANSWER_S = 2.0


class Progress:
    """
    Fed with samples of what is committed and what is there; seconds are those of the caller's clock.

    A partition stands still while it has something that is not committed, and its commit does not move.
    """

    def __init__(self) -> None:
        self._committed: dict[Partition, int] = {}
        self._still_since_s: dict[Partition, float] = {}
        self._left: dict[Partition, int] = {}
        self.gap_s_max = 0.0

    def sample(self, at_s: float, committed: dict[Partition, int], ends: dict[Partition, int]) -> None:
        """Note where every partition is."""
        for tp, end in ends.items():
            since_s = self._still_since_s.setdefault(tp, at_s)
            self.gap_s_max = max(self.gap_s_max, at_s - since_s)
            before, now = self._committed.get(tp, -1), committed.get(tp, 0)
            if now > before or now >= end:
                self._still_since_s[tp] = at_s
            self._committed[tp] = max(before, now)
            self._left[tp] = max(0, end - now)

    @property
    def done(self) -> bool:
        """Everything is committed, as of the last sample."""
        return not any(self._left.values())

    def stalled(self, at_s: float, *, since_s: float, limit_s: float) -> list[str]:
        """The partitions that stand still for longer than *limit_s*; nothing counts before *since_s*."""
        return [
            f"{tp[0]}-{tp[1]} stands still for {at_s - max(since, since_s):.0f} s, {self._left[tp]} left"
            for tp, since in self._still_since_s.items()
            if self._left[tp] and at_s - max(since, since_s) > limit_s
        ]


def take_sample(progress: Progress, bench: ScoreBench, at_s: float) -> bool:
    """Ask the broker; False when it does not say."""
    committed: dict[Partition, int] = {}
    ends: dict[Partition, int] = {}
    for topic in (bench.topics.activity, bench.topics.activity_rekeyed):
        found = bench.committed(topic, seconds=_ANSWER_S)
        if not found:
            return False
        committed |= {(topic, partition): offset for partition, offset in found.items()}
        try:
            ends |= {(topic, partition): end for partition, end in bench.ends(topic, seconds=_ANSWER_S).items()}
        except KafkaException:
            return False
    progress.sample(at_s, committed, ends)
    return True
