"""What becomes of a delivery, outcome by outcome."""

from __future__ import annotations

from collections import deque

import pytest
from delivery_world import World, delivery
from virtual_time import run

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown

TABLE = {
    "delivered": ([Delivered("r1")], "delivered", 1, []),
    "refused": ([Refused("invalid", "E12")], "refused", 1, [("d1", "invalid")]),
    "rate limited": ([Later("rate_limited", after_s=30)], "delivered", 2, []),
    "unavailable": ([Later("unavailable")] * 9, "delivered", 10, []),
    "unavailable for long": ([Later("unavailable")] * 10, "parked", 10, []),
    "not connected": ([Later("not_connected")] * 3, "delivered", 4, []),
    "quota used up": ([Later("quota_used_up", after_s=36_000)], "delivered", 2, []),
    "unauthorised": ([Later("unauthorised")] * 2, "delivered", 3, []),
    "busy": ([Later("busy", "item")] * 2, "delivered", 3, []),
    "busy too long": ([Later("busy", "item")] * 3, "parked", 3, []),
    "busy until late": ([Later("busy", "item", after_s=600)], "parked", 1, []),
    "channel": ([Later("rate_limited", "channel", after_s=2)], "delivered", 2, []),
    "channel until late": ([Later("rate_limited", "channel", after_s=600)], "parked", 1, []),
    "unknown": ([Unknown()], "delivered", 2, []),
    "lost": (["lost"], "delivered", 2, []),
    "bug": (["bug"], "refused", 1, [("d1", "internal_error")]),
    "too few": (["too few"], "refused", 1, [("d1", "internal_error")]),
}


@pytest.mark.parametrize(("steps", "state", "calls", "dead"), TABLE.values(), ids=TABLE)
def test_every_outcome_has_its_end(steps, state, calls, dead):
    """Each outcome, while nothing else is in work, leads to one state after so many calls."""
    world = World()
    world.sink.script["d1"] = deque(steps)

    handled = run(world.handle(delivery(1)))

    assert ("done", [state], calls, dead) == (handled, world.states(1), len(world.sink.calls), world.dead_letters())
