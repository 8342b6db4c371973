"""The records of one partition on their way to an agent. Pure bookkeeping: nothing here waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from faust.types import TP
from faust.types.tuples import ConsumerMessage

from pql_stream.stream.transport.chunks import Chunk, record_bytes
from pql_stream.wire.records import SourceRecord


class RecordBatch(ConsumerMessage):
    """
    Records of one partition, in order; to Faust it is one message.

    `offset` is the offset up to which (and with which) the partition was read when all of it is done: that
    of the last record. A batch in work can take in what comes meanwhile (`more`).
    """

    generation_id: int

    def __init__(self, tp: TP, records: Sequence[SourceRecord], offset: int, generation: int, track: Track) -> None:
        timestamp_s = records[-1].timestamp / 1000.0 if records else 0.0
        super().__init__(
            tp.topic,
            tp.partition,
            offset,
            timestamp_s,
            0,
            None,
            None,
            b"",
            None,
            tp=tp,
            generation_id=generation,
        )
        self.records = records
        self.state: Literal["queued", "taken", "done", "given back"] = "queued"
        self._track = track

    def __len__(self) -> int:
        return len(self.records)

    @property
    def is_taken(self) -> bool:
        """An agent is at work on it."""
        return self.state == "taken"

    def take(self) -> bool:
        """Begin to work on the batch; False when its partition was lost in the meantime: skip it then."""
        if self.state != "queued" or not self._track.alive:
            return False
        self.state = "taken"
        return True

    def more(self) -> Sequence[SourceRecord]:
        """
        What has come behind the records in the meantime, as far as a batch may have so much; it belongs to them now.

        Nothing where another batch of the partition's number waits for this one, or the partition is to be handed over.
        """
        records = self._track.add_to(self)
        if records:
            self.records = [*self.records, *records]
        return records

    def let_go(self) -> int:
        """
        Nobody looks at the records any more; how many they were.

        Faust keeps the last batch of each partition until the next one comes, and nothing else of it is of any size.
        """
        count = len(self.records)
        self.records = ()
        return count

    def give_back(self) -> None:
        """
        Nothing more is done to the batch, and it is not done: whoever has the partition next reads it again.

        Only when the app gives way (`BatchApp.giving_way`): no other batch of the partition comes until then.
        """
        self.state = "given back"
        self._track.wake()

    def done(self) -> None:
        """All effects of the batch are durable: its end may be committed, and the next batch may come."""
        self.state = "done"
        self._track.finish(self)


class Hold:
    """Records that were polled and not handed out yet; knows its size in bytes."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self._count = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, chunk: Chunk) -> None:
        """Put *chunk*, which is not empty, behind what is held."""
        self._chunks.append(chunk)
        self._count += len(chunk.records)
        self.bytes += chunk.bytes

    def put_back(self, records: Sequence[SourceRecord]) -> None:
        """Put *records*, which were cut off before, in front again."""
        chunk = Chunk(list(records), sum(map(record_bytes, records)))
        self._chunks.appendleft(chunk)
        self._count += len(chunk.records)
        self.bytes += chunk.bytes

    def cut(self, records_max: int, bytes_max: int, *, at_least: Literal[0, 1] = 1) -> list[SourceRecord]:
        """Take the first records that fit into both limits, but *at_least* so many if any is held."""
        records: list[SourceRecord] = []
        records_left, bytes_left = records_max, bytes_max
        while self._chunks and records_left > 0:
            chunk = self._chunks.popleft()
            if len(chunk.records) > records_left or chunk.bytes > bytes_left:
                chunk, rest = _split(chunk, records_left, bytes_left, at_least=0 if records else at_least)
                if rest.records:
                    self._chunks.appendleft(rest)
                    records_left = 0
            records += chunk.records
            records_left -= len(chunk.records)
            bytes_left -= chunk.bytes
            self.bytes -= chunk.bytes
        self._count -= len(records)
        return records

    def clear(self) -> None:
        """Forget what is held."""
        self._chunks.clear()
        self._count = 0
        self.bytes = 0


def _split(chunk: Chunk, records_max: int, bytes_max: int, *, at_least: int) -> tuple[Chunk, Chunk]:
    """The first records of *chunk* that fit into both limits, but *at_least* so many; and the rest."""
    count = size = 0
    for record in chunk.records[:records_max]:
        larger = size + record_bytes(record)
        if larger > bytes_max and count >= at_least:
            break
        count, size = count + 1, larger
    return Chunk(chunk.records[:count], size), Chunk(chunk.records[count:], chunk.bytes - size)


class Track:
    """
    One partition from one seek to the next: what is held, what is in work, and what may be committed.

    There is at most one batch out at a time, so tiny batches do not queue up behind each other's
    acknowledgements: what arrives meanwhile is merged into the next one, or into this one. It also makes the end of
    the last batch done the end of an unbroken prefix. A track dies with its assignment; a late `done()` touches a
    dead one and commits nothing.

    *may_grow* says whether a batch that is out may take in more.
    """

    def __init__(
        self,
        tp: TP,
        seek: int,
        committed: int | None,
        wake: Callable[[], None],
        may_grow: Callable[[Track], bool] = lambda _track: True,
    ) -> None:
        self.tp = tp
        self.seek = seek
        self.committed = committed
        self.finished: int | None = None
        # The offset behind everything that was polled and is held, out or done; None when not known.
        self.position: int | None = None
        self.hold = Hold()
        self.batch: RecordBatch | None = None
        self.alive = True
        self.wake = wake
        self._may_grow = may_grow
        self._room = (0, 0)

    @property
    def taken(self) -> bool:
        """An agent is at work on a batch of this partition."""
        return self.batch is not None and self.batch.is_taken

    @property
    def done_up_to(self) -> int:
        """Everything before this offset is done, or was never a record."""
        if self.position is not None and self.batch is None and not self.hold:
            return self.position
        return self.finished or self.committed or 0

    def full(self, records_max: int, bytes_max: int) -> bool:
        """A whole batch is held: fetch no more for now."""
        return len(self.hold) >= records_max or self.hold.bytes >= bytes_max

    def next_batch(self, records_max: int, bytes_max: int, generation: int) -> RecordBatch | None:
        """What is held, up to the limits, as one batch; None while one is out, or when nothing is held."""
        if self.batch is not None or not self.hold:
            return None
        self._room = (records_max, bytes_max)
        records = self._cut(at_least=1)
        self.batch = RecordBatch(self.tp, records, records[-1].offset, generation, self)
        return self.batch

    def add_to(self, batch: RecordBatch) -> Sequence[SourceRecord]:
        """What is held, as far as *batch*, which is in work, has room for it: it ends behind that now."""
        if batch is not self.batch or not batch.is_taken or not self.hold or not self._may_grow(self):
            return ()
        records = self._cut(at_least=0)
        if records:
            batch.offset = records[-1].offset
            self.wake()
        return records

    def _cut(self, *, at_least: Literal[0, 1]) -> list[SourceRecord]:
        """Take from what is held what the batch that is out has room for."""
        records_max, bytes_max = self._room
        bytes_before = self.hold.bytes
        records = self.hold.cut(records_max, bytes_max, at_least=at_least)
        self._room = (records_max - len(records), bytes_max - (bytes_before - self.hold.bytes))
        return records

    def take_back(self, batch: RecordBatch) -> None:
        """*batch* could not be handed out: hold its records again."""
        self.batch = None
        self.hold.put_back(batch.records)

    def finish(self, batch: RecordBatch) -> None:
        """The agent is done with *batch*."""
        if self.batch is batch:
            self.batch = None
            self.finished = batch.offset + 1
        self.wake()

    def release(self) -> None:
        """The batch that is out is not waited for: a changelog's reader has taken it over."""
        self.batch = None

    def to_commit(self) -> int | None:
        """The offset to commit, when there is a new one."""
        return self.finished if self.finished != self.committed else None

    @property
    def reached(self) -> int | None:
        """
        The offset before which nothing is left to be done; None when that is not known yet.

        The committed one, or, when all is done, that of the next record: in between lie markers of transactions.
        """
        if self.batch is None and not self.hold and self.to_commit() is None and self.position is not None:
            return max(self.position, self.committed or 0)
        return self.committed

    def die(self) -> None:
        """The assignment is over."""
        self.alive = False
        self.hold.clear()
