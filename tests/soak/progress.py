"""How far the group is with every input partition, and how long each stood still."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
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


class Ends:
    """
    Where the records of a topic end. Workers write it, in transactions too, and their markers have offsets:
    the end of the log is no end of records, so a reader goes after them.
    """

    def __init__(self, bench: ScoreBench, topic: str) -> None:
        self._bench = bench
        self._topic = topic
        self._behind: dict[int, int] = {}
        self._read_to: dict[int, int] = {}
        config = {"group.id": f"{bench.prefix}ends", "enable.auto.commit": False, "enable.partition.eof": True}
        self._reader = Consumer({"bootstrap.servers": bench.bootstrap, "log_level": 0, **config})
        self._reader.assign([TopicPartition(topic, at, OFFSET_BEGINNING) for at in range(bench.partitions)])

    def close(self) -> None:
        self._reader.close()

    def now(self) -> dict[int, int]:
        """
        The offset behind the last record of each partition, or behind whatever is not read yet.

        Raises:
            KafkaException: the broker does not say.
        """
        ends = self._bench.ends(self._topic, seconds=_ANSWER_S)
        while messages := self._reader.consume(1000, timeout=0.05):
            for message in messages:
                error = message.error()
                if error is None:
                    self._behind[message.partition()] = message.offset() + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._read_to[message.partition()] = message.offset()
        return {at: self._behind.get(at, 0) if self._read_to.get(at, 0) >= end else end for at, end in ends.items()}


def take_sample(progress: Progress, bench: ScoreBench, rekeyed: Ends, at_s: float) -> bool:
    """Ask the broker; False when it does not say."""
    committed: dict[Partition, int] = {}
    topics = bench.topics.activity, bench.topics.activity_rekeyed
    for topic in topics:
        found = bench.committed(topic, seconds=_ANSWER_S)
        if not found:
            return False
        committed |= {(topic, partition): offset for partition, offset in found.items()}
    try:
        activity, forwarded = bench.ends(topics[0], seconds=_ANSWER_S), rekeyed.now()
    except KafkaException:
        return False
    ends = {(topics[0], at): end for at, end in activity.items()}
    progress.sample(at_s, committed, ends | {(topics[1], at): end for at, end in forwarded.items()})
    return True
