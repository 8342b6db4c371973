"""The order of the records of several partitions."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pql_stream.ops.replaying.merging import Merge

TIMES = st.lists(st.lists(st.integers(-1, 6), max_size=8), min_size=1, max_size=4)


def by_hand(partitions: list[list[int]]) -> list[tuple[int, int]]:
    """Partition and offset: always the oldest of the next records, of equal ones the first partition's."""
    nexts = [0] * len(partitions)
    order = []
    while any(nexts[number] < len(times) for number, times in enumerate(partitions)):
        _, number = min(
            (times[nexts[number]], number) for number, times in enumerate(partitions) if nexts[number] < len(times)
        )
        order.append((number, nexts[number]))
        nexts[number] += 1
    return order


@given(partitions=TIMES, seed=st.integers(0, 2**32))
def test_the_oldest_next_record_is_always_the_next(partitions, seed):
    """
    However the records come in, in pieces of any size and the partitions ended early or late, the order is that.
    """
    rng = random.Random(seed)
    merge = Merge(len(partitions))
    left = dict.fromkeys(range(len(partitions)), 0)
    order = []
    while left:
        number = rng.choice(sorted(left))
        for offset in range(left[number], min(left[number] + rng.randint(0, 3), len(partitions[number]))):
            merge.add(number, offset, partitions[number][offset], b"x" * (offset + 1), (), None)
            left[number] = offset + 1
        if left[number] == len(partitions[number]) and rng.random() < 0.5:
            merge.end(number)
            del left[number]
        order += [placed[1:3] for placed in merge.take()]

    assert by_hand(partitions) == order


@given(partitions=TIMES, data=st.data())
def test_the_rest_has_the_same_order_without_what_was_before(partitions, data):
    """
    Whoever goes on in the middle knows no earlier timestamps, and needs none.
    """
    whole = by_hand(partitions)
    at = data.draw(st.integers(0, len(whole)))
    done = [sum(number == partition for partition, _ in whole[:at]) for number in range(len(partitions))]
    merge = Merge(len(partitions))
    for number, times in enumerate(partitions):
        for offset in range(done[number], len(times)):
            merge.add(number, offset, times[offset], b"x" * (offset + 1), (), None)
        merge.end(number)

    assert whole[at:] == [placed[1:3] for placed in merge.take()]


def test_what_waits_is_known_in_bytes():
    """
    What one partition has to wait with for another is counted, and is gone when it was taken.
    """
    merge = Merge(2)
    for offset in range(3):
        merge.add(0, offset, 10 + offset, b"x" * (offset + 1), (), None)
    waiting = [merge.waiting_bytes(0)]
    merge.add(1, 0, 11, b"x", (), None)
    taken = [placed[2] for placed in merge.take()]
    waiting += [merge.waiting_bytes(0), merge.waiting_bytes(1)]

    assert [0, 1, 0] == taken
    assert [6, 3, 0] == waiting
