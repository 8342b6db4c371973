"""The bookkeeping of records, batches and offsets of one partition."""

from __future__ import annotations

import pytest
from faust.types import TP

from pql_stream.stream.transport.batch import Hold, RecordBatch, Track
from pql_stream.stream.transport.chunks import Chunk, record_bytes
from pql_stream.testing.builders import Record

SOURCE = TP("source", 3)


def record(offset: int, size: int = 10, headers: tuple[tuple[str, bytes | None], ...] = ()) -> Record:
    """A record with a value of *size* bytes and no key."""
    return Record("source", 3, offset, 1_000, None, b"v" * size, headers)


def chunk(*records: Record) -> Chunk:
    """*records* as a poll brings them."""
    return Chunk(list(records), sum(map(record_bytes, records)))


def track(*, held: int = 0, committed: int | None = None, may_grow: bool = True) -> tuple[Track, list[str]]:
    """A track that holds records from offset 0 on, and what it was woken up for."""
    woken: list[str] = []
    made = Track(SOURCE, 1, committed, lambda: woken.append("done"), lambda _track: may_grow)
    if held:
        made.hold.add(chunk(*(record(offset) for offset in range(held))))
    return made, woken


def next_batch(of: Track, records_max: int = 100) -> RecordBatch:
    """The next batch, which must be there."""
    batch = of.next_batch(records_max, 1_000_000, 7)
    assert batch is not None
    return batch


def test_the_size_of_a_record_is_its_key_value_and_headers():
    """
    Absent keys and values count nothing, and names of headers count.
    """
    assert 10 + 4 + 5 + 4 == record_bytes(record(0, headers=(("name", b"value"), ("none", None))))


def test_a_batch_is_cut_at_the_number_of_records():
    """
    What is over the limit stays held, in order.
    """
    of, _ = track(held=5)
    batch = next_batch(of, records_max=3)

    assert [0, 1, 2] == [each.offset for each in batch.records]
    assert (3, 7, SOURCE, 2) == (len(batch), batch.generation_id, batch.tp, batch.offset)
    assert (2, 20) == (len(of.hold), of.hold.bytes)


def test_a_batch_is_cut_at_the_bytes():
    """
    Records go in as long as they fit, and one goes in however large it is.
    """
    hold = Hold()
    hold.add(chunk(record(0, 60)))
    hold.add(chunk(record(1, 40), record(2, 1)))
    hold.add(chunk(record(3, 500), record(4, 1)))

    assert [0, 1] == [each.offset for each in hold.cut(100, 100)]
    assert [2] == [each.offset for each in hold.cut(100, 100)]
    assert [3] == [each.offset for each in hold.cut(100, 100)]
    assert [4] == [each.offset for each in hold.cut(100, 100)]
    assert (0, 0) == (len(hold), hold.bytes)


def test_records_that_arrive_while_a_batch_is_out_are_merged_into_the_next():
    """
    Three polls of one record make one batch of three, not three batches that wait for each other.
    """
    of, _ = track(held=1)
    first = next_batch(of)
    for offset in (1, 2, 3):
        of.hold.add(chunk(record(offset)))

    assert of.next_batch(100, 1_000_000, 7) is None

    first.done()

    assert [1, 2, 3] == [each.offset for each in next_batch(of).records]


def test_a_batch_in_work_takes_in_what_comes_meanwhile():
    """What it took in is done with it, and there is room for more to be fetched."""
    of, woken = track(held=1, committed=0)
    batch = next_batch(of)
    batch.take()
    of.hold.add(chunk(record(1), record(5)))

    assert [1, 5] == [each.offset for each in batch.more()]
    assert [0, 1, 5] == [each.offset for each in batch.records]
    assert (["done"], 0) == (woken, len(of.hold))

    batch.done()

    assert 6 == of.to_commit()


def test_a_batch_grows_up_to_the_limits_of_a_batch():
    """Records and bytes count from its beginning, and not even one record more goes in."""
    of, _ = track()
    of.hold.add(chunk(record(0, 60)))
    batch = of.next_batch(3, 100, 7)
    batch.take()
    of.hold.add(chunk(record(1, 30), record(2, 11)))

    assert [1] == [each.offset for each in batch.more()]
    assert [] == list(batch.more())

    of.hold.clear()
    of.hold.add(chunk(record(2, 1), record(3, 1)))

    assert [2] == [each.offset for each in batch.more()]
    assert [] == list(batch.more())
    assert (1, 2) == (len(of.hold), batch.offset)


@pytest.mark.parametrize("why", ["not in work yet", "done", "others wait", "lost"])
def test_a_batch_does_not_grow(why):
    """Outside of its work, or where it must not: what is held stays for the next batch."""
    of, _ = track(held=1, may_grow=why != "others wait")
    batch = next_batch(of)
    if why != "not in work yet":
        batch.take()
    if why == "done":
        batch.done()
    of.hold.add(chunk(record(1)))
    if why == "lost":
        of.die()

    assert [] == list(batch.more())
    assert [0] == [each.offset for each in batch.records]


def test_a_partition_is_full_by_records_or_by_bytes():
    """
    Either limit stops the fetching.
    """
    of, _ = track(held=5)

    assert (True, False) == (of.full(5, 1_000), of.full(6, 1_000))
    assert (True, False) == (of.full(100, 50), of.full(100, 51))


def test_only_what_is_done_is_committed():
    """
    A batch that is queued or in work does not move the offset, and a done one does, once.
    """
    of, woken = track(held=5, committed=0)
    first = next_batch(of, records_max=2)
    first.take()

    assert (True, 0, None) == (of.taken, of.committed, of.to_commit())

    first.done()

    assert (False, 2, ["done"]) == (of.taken, of.to_commit(), woken)

    of.committed = 2
    next_batch(of)

    assert of.to_commit() is None


def test_the_committed_offset_steps_over_holes_in_the_log():
    """
    The offset behind the last record counts, whatever compaction has removed before it.
    """
    of, _ = track()
    of.hold.add(chunk(record(10), record(90)))
    next_batch(of).done()

    assert 91 == of.to_commit()


def test_a_batch_that_could_not_be_handed_out_is_held_again_in_order():
    """
    Nothing is dropped, and nothing overtakes.
    """
    of, _ = track(held=4)
    batch = next_batch(of, records_max=2)
    of.take_back(batch)

    assert [0, 1, 2, 3] == [each.offset for each in next_batch(of).records]


def test_a_batch_is_taken_once():
    """
    A second agent on the topic, or a batch of a lost partition, gets nothing.
    """
    of, _ = track(held=4)
    first = next_batch(of, records_max=2)

    assert (True, False) == (first.take(), first.take())

    first.done()
    queued = next_batch(of)
    of.die()

    assert queued.take() is False
    assert 0 == len(of.hold)


def test_a_late_done_does_not_move_a_track_that_has_gone_on():
    """
    A batch that is no longer the one that is out commits nothing.
    """
    of, _ = track(held=4)
    withdrawn = next_batch(of)
    of.take_back(withdrawn)
    withdrawn.done()

    assert of.to_commit() is None


def test_markers_behind_the_last_record_are_nothing_left_to_do():
    """
    The offset behind the last record counts as reached when everything before it is committed, and not earlier.
    """
    of, _ = track(held=3, committed=0)
    of.position = 5
    reached = [of.reached]
    batch = next_batch(of)
    batch.take()
    reached.append(of.reached)
    batch.done()
    reached.append(of.reached)
    of.committed = of.to_commit()
    reached.append(of.reached)

    assert [0, 0, 0, 5] == reached


def test_what_is_done_ends_at_the_last_batch_done():
    """
    While something is held or out: the end of the last batch, or else what was committed at the start.
    """
    of, _ = track(held=4, committed=0)
    of.position = 4

    assert 0 == of.done_up_to

    batch = next_batch(of, records_max=2)
    batch.take()
    batch.done()

    assert 2 == of.done_up_to


def test_offsets_without_a_record_are_done_when_nothing_is_left():
    """
    A transaction's marker at the end of a source is never a record, and is passed all the same.
    """
    of, _ = track(held=2)
    of.position = 3
    batch = next_batch(of)
    batch.take()
    batch.done()

    assert 3 == of.done_up_to


def test_a_batch_that_is_given_back_is_neither_done_nor_waited_for():
    """
    The hand-over need not wait for it, nothing is committed, and no later batch overtakes it.
    """
    of, woken = track(held=3)
    batch = next_batch(of, records_max=2)
    batch.take()
    batch.give_back()

    assert not of.taken
    assert of.to_commit() is None
    assert of.next_batch(2, 1_000_000, 7) is None
    assert ["done"] == woken


def test_records_that_nobody_looks_at_any_more_are_let_go():
    """Faust keeps the batch itself until the next one comes."""
    of, _ = track(held=2)
    batch = next_batch(of)

    assert 2 == batch.let_go()
    assert [] == list(batch.records)
