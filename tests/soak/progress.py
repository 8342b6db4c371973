"""How far the group is with every input partition, and how long each stood still."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from score_bench import ScoreBench

from pql_stream.stream.names import APP_ID

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


class Watch:
    """
    Where the group at work on *bench* is, asked for without waiting long: a broker may be away.

    Workers write the re-keyed topic, in transactions too, and the markers of these have offsets: the end of the
    log is no end of records, so a reader goes after them.
    """

    def __init__(self, bench: ScoreBench) -> None:
        self._topics = bench.topics.activity, bench.topics.activity_rekeyed
        self._partitions = range(bench.partitions)
        self._behind: dict[int, int] = {}
        self._read_to: dict[int, int] = {}
        # A consumer that is assigned its partitions is no member of the group.
        self._config = {
            "bootstrap.servers": bench.bootstrap,
            "log_level": 0,
            "group.id": f"{bench.prefix}{APP_ID}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
        self._reader = self._connected()

    def close(self) -> None:
        self._reader.close()

    def sample(self, progress: Progress, at_s: float) -> bool:
        """Tell *progress*; False when the broker does not say. Then the next sample is by a new client."""
        every = [TopicPartition(topic, at) for topic in self._topics for at in self._partitions]
        try:
            committed = self._reader.committed(every, timeout=_ANSWER_S)
            ends = {(tp.topic, tp.partition): self._end(tp) for tp in every}
        except KafkaException:
            # After a pause of the broker an old one may go on for half a minute with what it knew of leaders.
            self.close()
            self._reader = self._connected()
            return False
        self._read()
        for at in self._partitions:
            if self._read_to.get(at, 0) >= ends[self._topics[1], at]:
                ends[self._topics[1], at] = self._behind.get(at, 0)
        progress.sample(at_s, {(tp.topic, tp.partition): max(tp.offset, 0) for tp in committed}, ends)
        return True

    def _connected(self) -> Consumer:
        reader = Consumer(self._config)
        places = [
            TopicPartition(self._topics[1], at, self._behind.get(at, OFFSET_BEGINNING)) for at in self._partitions
        ]
        reader.assign(places)
        return reader

    def _end(self, tp: TopicPartition) -> int:
        end: int = self._reader.get_watermark_offsets(tp, timeout=_ANSWER_S)[1]
        return end

    def _read(self) -> None:
        while messages := self._reader.consume(1000, timeout=0.05):
            for message in messages:
                error = message.error()
                if error is None:
                    self._behind[message.partition()] = message.offset() + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._read_to[message.partition()] = message.offset()
