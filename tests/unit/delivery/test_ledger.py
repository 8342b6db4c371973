"""The ledger in memory, where the delivery loop does not show it."""

from __future__ import annotations

import pytest

from pql_stream.delivery.ledger import REPEATS_LISTED_MAX, Known, MemoryLedger, Ref, Row, Settlement
from pql_stream.errors import ClaimLost

REF = Ref("d1", "u1", 5)


async def claimed(ledger: MemoryLedger, ref: Ref = REF, *, owner: str = "a", at_ms: int = 1) -> str:
    [grant] = await ledger.claim("t/0", owner, [ref], at_ms=at_ms, note_repeats=[True])
    return grant


async def test_a_row_tells_who_claimed_it_and_when():
    """And nothing is known of what was never claimed."""
    ledger = MemoryLedger()
    before = await ledger.look_up([REF])
    await claimed(ledger, at_ms=77)

    assert [Known(Row(), None)] == before
    assert [Known(Row("sending", "a", 77), None)] == await ledger.look_up([REF])


async def test_only_the_owner_of_a_partition_claims_and_parks():
    """A partition that nobody took over is whoever's claims first; then it is taken over."""
    ledger = MemoryLedger()
    await claimed(ledger)
    await ledger.take_over("t/0", "b")

    for late in (claimed(ledger, at_ms=2), ledger.park("t/0", "a", [REF])):
        with pytest.raises(ClaimLost):
            await late
    assert "again" == await claimed(ledger, owner="b")


async def test_late_news_are_believed_if_they_are_good():
    """Who lost the partition and the claim may still say "delivered", and nothing else; then it stays."""
    ledger = MemoryLedger()
    await claimed(ledger)
    await ledger.take_over("t/0", "b")
    await claimed(ledger, owner="b")
    states = []
    for owner, state in (("a", "refused"), ("a", "unknown"), ("a", "delivered"), ("b", "refused")):
        await ledger.settle("t/0", owner, [Settlement(REF, state)])
        states += ledger.states(["d1"])

    assert ["sending", "sending", "delivered", "delivered"] == states


async def test_parked_deliveries_stand_in_the_order_of_their_places():
    """Parked again, a delivery keeps its place; finished, it leaves it."""
    ledger = MemoryLedger()
    refs = [Ref(f"d{place}", "u1", place, copy=1) for place in (30, 10, 20)]
    heads = []
    await ledger.park("t/0", "a", refs)
    for state in ("pending", "delivered"):
        heads.append((await ledger.look_up(refs[:1]))[0].head)
        await ledger.settle("t/0", "a", [Settlement(refs[1], state)])
    heads.append((await ledger.look_up(refs[:1]))[0].head)

    assert ["d10", "d10", "d20"] == heads


async def test_what_is_finished_is_not_parked():
    """A copy of what was delivered meanwhile waits for nothing."""
    ledger = MemoryLedger()
    await ledger.settle("t/0", "a", [Settlement(REF, "delivered")])
    await ledger.park("t/0", "a", [Ref("d1", "u1", 5, copy=1)])

    assert [Known(Row("delivered"), None)] == await ledger.look_up([REF])


async def test_parking_keeps_a_doubt():
    """A call was under way when its worker died; the copy that waits is sent as a repeat."""
    ledger = MemoryLedger()
    copy = Ref("d1", "u1", 5, copy=1)
    await claimed(ledger)
    await ledger.park("t/0", "a", [copy])

    assert "again" == await claimed(ledger, copy, at_ms=2)


async def test_the_latest_repeats_are_listed_and_all_are_counted():
    """A list that does not grow for ever."""
    ledger = MemoryLedger()
    for number in range(REPEATS_LISTED_MAX + 5):
        for at_ms in (1, 2):
            await claimed(ledger, Ref(f"d{number}", "u1", number), at_ms=at_ms)
    repeats = await ledger.repeats()

    assert (REPEATS_LISTED_MAX + 5, REPEATS_LISTED_MAX) == (repeats.count, len(repeats.delivery_ids))
    assert ("d5", f"d{REPEATS_LISTED_MAX + 4}") == (repeats.delivery_ids[0], repeats.delivery_ids[-1])


async def test_the_same_claim_made_twice_is_one():
    """After an answer that was lost: first stays first, a repeat is listed once."""
    ledger = MemoryLedger()
    grants = [await claimed(ledger, at_ms=at_ms) for at_ms in (1, 1, 2, 2)]

    assert (["first", "first", "again", "again"], 1) == (grants, (await ledger.repeats()).count)
