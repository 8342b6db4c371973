"""The lease: when a worker may still write."""

from __future__ import annotations

import asyncio

import pytest

from pql_stream.errors import StreamLost
from pql_stream.stream.transport.lease import Lease, boottime_s


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """At 1000 s."""
    return Clock()


def test_a_lease_that_was_never_granted_is_refused(clock):
    """
    Before the group has answered for the first time nothing may be written.
    """
    with pytest.raises(StreamLost):
        Lease(10.0, clock).check()


def test_a_lease_runs_out_at_its_end_and_not_before(clock):
    """
    The last moment still counts, and the moment of the session's end does not.
    """
    lease = Lease(10.0, clock)
    lease.renew(1_000.0)
    clock.now_s = 1_009.9
    lease.check()

    assert 0.1 == pytest.approx(lease.left_s())

    clock.now_s = 1_010.0
    with pytest.raises(StreamLost):
        lease.check()


def test_a_lease_that_was_ended_stays_so(clock):
    """
    The answer to a heartbeat that was sent before we left the group comes after it: nothing may be written.
    """
    lease = Lease(10.0, clock)
    lease.renew(1_000.0)
    lease.end()
    lease.renew(1_000.0)

    assert lease.is_lost
    with pytest.raises(StreamLost):
        lease.check()


def test_an_old_answer_gives_no_new_time(clock):
    """
    A process frozen between a heartbeat and its answer reads the answer when it wakes up: it counts from
    the heartbeat.
    """
    lease = Lease(10.0, clock)
    asked_at_s = clock.now_s
    clock.now_s += 60.0
    lease.renew(asked_at_s)

    with pytest.raises(StreamLost):
        lease.check()


def test_a_lost_lease_is_refused_until_the_group_takes_us_again(clock):
    """
    The broker's "unknown member" ends it at once, whatever time was left.
    """
    lease = Lease(10.0, clock)
    lease.renew(clock.now_s)
    lease.lose()

    with pytest.raises(StreamLost):
        lease.check()

    lease.renew(clock.now_s)
    lease.check()


async def test_a_lease_that_ran_out_is_confirmed_when_the_broker_answers_again(clock):
    """
    A broker that was away ends no process: the next answered heartbeat of our generation is enough.
    """
    lease = Lease(10.0, clock)
    lease.renew(clock.now_s)
    clock.now_s += 60.0
    confirmed = asyncio.ensure_future(lease.confirm())
    await asyncio.sleep(0)

    assert not confirmed.done()

    lease.renew(clock.now_s)
    await confirmed


async def test_a_lease_that_was_lost_meanwhile_is_not_confirmed_by_the_next(clock):
    """
    Out of the group and in again: the partitions were another's in between, so what waited must not be written.
    """
    lease = Lease(10.0, clock)
    confirmed = asyncio.ensure_future(lease.confirm())
    await asyncio.sleep(0)
    lease.lose()
    lease.renew(clock.now_s)

    with pytest.raises(StreamLost):
        await confirmed


async def test_a_lease_that_nobody_renews_is_over_in_the_end(clock):
    """
    The wait is bounded.
    """
    with pytest.raises(StreamLost):
        await Lease(0.1, clock).confirm()


def test_the_default_clock_goes_forward():
    """
    The clock is there on this system and does not go back.
    """
    assert boottime_s() <= boottime_s()
