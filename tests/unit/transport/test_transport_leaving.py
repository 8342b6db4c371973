"""How a consumer that is told to end gives up a join that nobody has answered yet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import NodeNotReadyError

from pql_stream.stream.transport.internals import leave_join


class World:
    """A consumer as far as it is looked at, whose coordination waits for ever, and what is sent to which node."""

    def __init__(self, *, joining: bool = True, failure: Exception | None = None, **coordinator: object) -> None:
        self.sent: list[tuple[int, object]] = []
        self.failure = failure
        known = {"group_id": "g", "member_id": "m1", "coordinator_id": 3, "_group_instance_id": None}
        task = asyncio.ensure_future(asyncio.Event().wait())
        self.coordinator = SimpleNamespace(
            **{**known, "_performed_join_prepare": joining, **coordinator},
            _coordination_task=task,
            reset_generation=lambda: setattr(self.coordinator, "member_id", ""),
        )
        self.consumer = SimpleNamespace(
            _coordinator=self.coordinator,
            _subscription=SimpleNamespace(reassignment_in_progress=joining),
            _client=SimpleNamespace(send=self.send),
        )

    async def send(self, node_id: int, request: object) -> None:
        self.sent.append((node_id, request))
        if self.failure is not None:
            raise self.failure

    async def leave(self) -> tuple[bool, str]:
        """Was the join given up, and who is still a member."""
        await leave_join(self.consumer)
        given_up = self.coordinator._coordination_task.cancelled()
        self.coordinator._coordination_task.cancel()
        return given_up, self.coordinator.member_id


async def test_a_join_is_given_up_and_the_group_left():
    """
    The coordinator hears of it on another connection than the one that waits for its answer.
    """
    world = World()

    assert (True, "") == await world.leave()
    assert [(3, "g", "m1")] == [(node, request._group, request._member_id) for node, request in world.sent]


async def test_who_is_in_no_rebalance_leaves_as_ever():
    """
    aiokafka does so at its end, after its last commit.
    """
    world = World(joining=False)

    assert (False, "m1") == await world.leave()
    assert [] == world.sent


@pytest.mark.parametrize(
    "coordinator",
    [{"_group_instance_id": "a"}, {"member_id": ""}, {"coordinator_id": None}],
    ids=["static", "not known yet", "no coordinator"],
)
async def test_some_have_nothing_to_leave(coordinator):
    """
    A static member stays one until its session ends; who was never told its id is none.
    """
    world = World(**coordinator)

    assert (True, "") == await world.leave()
    assert [] == world.sent


async def test_a_broker_that_is_away_holds_up_nobody():
    """
    The group then waits for the end of the session, as after a crash.
    """
    world = World(failure=NodeNotReadyError())

    assert (True, "") == await world.leave()
