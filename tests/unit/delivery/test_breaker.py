"""The circuit breaker: when calls go out, and who is told."""

from __future__ import annotations

import pytest
from delivery_world import Alerts

from pql_stream.delivery.breaker import PROBE_OUT_S, Breaker, BreakerSettings, Permit
from pql_stream.delivery.outcomes import Later


class Bench:
    """A breaker and its clock; jitter is always half."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.alerts = Alerts()
        self.breaker = Breaker("crm", BreakerSettings(), self.alerts, lambda: self.now_s, lambda: 0.5)

    def fail(self, why: Later, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed(self.enter(), why)

    def enter(self) -> Permit:
        permit = self.breaker.enter()
        assert isinstance(permit, Permit)
        return permit


@pytest.fixture
def bench() -> Bench:
    """Everything is well."""
    return Bench()


@pytest.mark.parametrize(
    ("why", "times", "state", "wait_s"),
    [
        (Later("unavailable"), 4, "closed", 0.0),
        (Later("unavailable"), 5, "open", 0.5),
        (Later("not_connected"), 5, "open", 0.5),
        (Later("rate_limited"), 1, "open", 0.5),
        (Later("rate_limited", after_s=30), 1, "open", 30.5),
        (Later("unavailable", after_s=120), 1, "paused", 120.5),
        (Later("quota_used_up"), 1, "paused", 900.5),
        (Later("quota_used_up", after_s=7_200), 1, "paused", 7_200.5),
        (Later("unauthorised"), 1, "paused", 900.5),
        (Later("unauthorised", after_s=3_600), 1, "paused", 3_600.5),
    ],
)
def test_failures_open_it_by_their_kind(bench, why, times, state, wait_s):
    """A few failures in a row, or one that is about every call, and for how long."""
    bench.fail(why, times)

    left = bench.breaker.enter() if wait_s else 0.0
    assert (state, wait_s) == (bench.breaker.state, left)


def test_a_pass_in_between_keeps_it_closed(bench):
    """Failures count in a row only."""
    for _ in range(10):
        bench.fail(Later("unavailable"), 4)
        bench.breaker.passed(bench.enter())

    assert ("closed", 10) == (bench.breaker.state, bench.breaker.passes)


def test_one_probe_goes_out_when_the_time_is_over(bench):
    """Half-open, one call passes and the others ask again; its success closes the breaker."""
    bench.fail(Later("unavailable"), 5)
    bench.now_s += 0.5
    probe = bench.enter()

    assert ("half_open", True, PROBE_OUT_S) == (bench.breaker.state, probe.is_probe, bench.breaker.enter())

    bench.breaker.passed(probe)

    assert ("closed", Permit(is_probe=False)) == (bench.breaker.state, bench.breaker.enter())


def test_a_probe_that_was_not_sent_leaves_room_for_another(bench):
    """A permit may be given back; giving it back late takes nobody else's away."""
    bench.fail(Later("unavailable"), 5)
    bench.now_s += 0.5
    first = bench.enter()
    bench.breaker.leave(first)
    second = bench.enter()
    bench.breaker.leave(first)

    assert (True, PROBE_OUT_S) == (second.is_probe, bench.breaker.enter())


def test_every_failed_probe_doubles_the_wait(bench):
    """0.5, 1, 2 … 30 seconds with half the jitter; after a success it begins anew."""
    bench.fail(Later("unavailable"), 5)
    waits_s = []
    for _ in range(8):
        waits_s.append(bench.breaker.enter())
        bench.now_s += waits_s[-1]
        bench.fail(Later("unavailable"))

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == waits_s

    bench.now_s += 30.0
    bench.breaker.passed(bench.enter())
    bench.fail(Later("unavailable"), 5)

    assert 0.5 == bench.breaker.enter()


def test_late_answers_to_older_calls_neither_close_nor_shorten(bench):
    """What was under way when it opened says nothing new: the pause stays, a longer one counts."""
    old = [bench.enter() for _ in range(4)]
    bench.fail(Later("unauthorised"))
    bench.breaker.passed(old[0])
    bench.breaker.failed(old[1], Later("rate_limited", after_s=5))
    bench.breaker.failed(old[2], Later("unavailable"))

    assert ("paused", 900.5) == (bench.breaker.state, bench.breaker.enter())

    bench.breaker.failed(old[3], Later("quota_used_up", after_s=2_000))

    assert ("paused", 2_000.5) == (bench.breaker.state, bench.breaker.enter())


def test_a_pause_is_told_once_and_so_is_its_end(bench):
    """Bad credentials alert somebody when they are found, not with every probe; and when they are good again."""
    bench.fail(Later("unauthorised"))
    for _ in range(3):
        bench.now_s += 2_000
        bench.fail(Later("unauthorised"))

    assert [("crm", "unauthorised")] == bench.alerts.told

    bench.now_s += 2_000
    bench.breaker.passed(bench.enter())

    assert [("crm", "unauthorised"), ("crm", None)] == bench.alerts.told


def test_nobody_is_told_of_a_short_break(bench):
    """A few seconds of 503 are no alert."""
    bench.fail(Later("unavailable"), 5)
    bench.now_s += 1
    bench.breaker.passed(bench.enter())

    assert [] == bench.alerts.told
