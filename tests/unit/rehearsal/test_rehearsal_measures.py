"""What a rehearsal concludes from timestamps and answers."""

from __future__ import annotations

import pytest

from tests.rehearsal.pauses import longest_delay_s, longest_gap_s, pauses_s
from tests.rehearsal.readiness import Numbers, Probe, untruths
from tests.rehearsal.result import Phase, Plan, Result, grace_period_s


@pytest.mark.parametrize(
    ("times_ms", "seconds"),
    [
        ([1000, 2000, 4500, 5000], 2.5),
        ([500, 3500, 5900], 3.0),  # both neighbours of the longest gap count, though one is outside
        ([1500, 1600, 7000], 5.4),
        ([1500], 3.5),
        ([], 4.0),
        ([100, 9000], 8.9),
    ],
    ids=["inside", "from before", "to behind", "one alone", "none", "over it"],
)
def test_a_pause_is_the_longest_gap_that_reaches_into_the_window(times_ms, seconds):
    """
    Also when it began before, or ended behind; nothing at all is a gap as long as the window.
    """
    assert seconds == longest_gap_s(times_ms, 1000, 5000)


def test_partitions_are_measured_each_by_itself():
    """
    That others go on does not hide that one stands still.
    """
    steady = list(range(0, 10_000, 100))

    assert {0: 0.1, 1: 6.0} == pauses_s({1: [1000, 7000, 9000], 0: steady}, 2000, 8000)


def test_an_output_is_as_late_as_its_first_copy():
    """
    Events outside the window, and those without an output, do not count; a repeat is no second delay.
    """
    sent = {b"a": 1000, b"b": 1200, b"early": 0, b"lost": 1100}

    assert 0.7 == longest_delay_s(sent, [(b"early", 900), (b"a", 1300), (b"b", 1900), (b"a", 9000)], 500, 2000)


def ready(worker: str, at_s: float, partitions: int) -> Probe:
    sentence = f"pql-score: ready, with {partitions} partitions\n"
    return Probe(worker=worker, asked_s=at_s, answered_s=at_s + 0.01, ready=True, sentence=sentence)


def waiting(worker: str, at_s: float) -> Probe:
    sentence = "pql-score: joining its consumer group\n"
    return Probe(worker=worker, asked_s=at_s, answered_s=at_s + 0.01, ready=False, sentence=sentence)


def page(at_s: float, rebalances: int, *, recovering: bool) -> Numbers:
    return Numbers(worker="a", asked_s=at_s, answered_s=at_s + 0.1, rebalances=rebalances, recovering=recovering)


def judged(probes=(), numbers=(), rebalances=()) -> list[str]:
    return untruths(probes, numbers, rebalances, partitions=36)


def test_workers_share_what_there_is():
    """
    Two that are ready at the same time with more than there is: one of them has lost its partitions.
    """
    fine = [ready("a", 1, 18), ready("b", 1.5, 18), ready("a", 2, 18)]
    handed_over = [ready("a", 1, 36), waiting("a", 2), ready("b", 1.5, 18), ready("a", 3, 18), ready("b", 3.5, 18)]
    both = [ready("a", 1, 36), ready("b", 1.5, 18), ready("a", 2, 36)]

    assert [] == judged(fine)
    assert [] == judged(handed_over)
    assert ["b is ready with 18 of 36 partitions beside a with 36"] == judged(both)


def test_nobody_is_ready_in_a_recovery():
    """
    The same recovery before and behind the answer; another one of the same worker may have ended in between.
    """
    first, same = page(1, 2, recovering=True), page(3, 2, recovering=True)

    assert ["a is ready in the recovery after rebalance 2"] == judged([ready("a", 2, 18)], [first, same])
    assert [] == judged([ready("b", 2, 18)], [first, same])
    assert [] == judged([ready("a", 2, 18)], [first, page(3, 3, recovering=True)])
    assert [] == judged([ready("a", 2, 18)], [first, page(3, 2, recovering=False)])
    assert [] == judged([waiting("a", 2)], [first, same])


def test_nobody_is_ready_in_a_rebalance():
    """
    Asked and answered in it; what overlaps its ends may be of before or after.
    """
    rebalance = [(4.0, 9.0)]

    assert ["a is ready in a rebalance"] == judged([ready("a", 5, 36)], rebalances=rebalance)
    assert [] == judged([ready("a", 4, 36), ready("a", 8.995, 36), waiting("a", 6)], rebalances=rebalance)


def test_what_took_too_long_is_named():
    """
    Not where the group was held up on purpose; a worker that ends too late is a fault of its own.
    """
    grace_s = grace_period_s()
    fine = Phase("fine", pauses_s={0: 0.4, 1: 5.0}, exits=[("a", 0, grace_s)])
    late = Phase("late", pauses_s={0: 0.4, 1: 5.1}, exits=[("a", 0, grace_s + 1.0), ("b", 1, 0.2)])
    held = Phase("held", pauses_s={0: 20.0}, hangs=True)
    result = Result(Plan(), [fine, late, held])

    assert [
        "late: a partition stood still for 5.1 s, over 5 s",
        f"late: a ended after {grace_s + 1.0:.1f} s, over the {grace_s} s that it is given",
    ] == result.missed()
    assert ["late: b ended with 1"] == result.all_faults() == result.as_json()["faults"]
    assert "| late | 5.10 | 5.10 | 0.00 | 0.00 |" in result.table()
    assert "longest pause 5.10 s: goal of 2 s missed" in result.table()
