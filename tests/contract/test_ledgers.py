"""What every ledger keeps to, in memory and on a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pql_stream.delivery.ledger import REPEATS_LISTED_MAX, Known, Ledger, MemoryLedger, Ref, Repeats, Row, Settlement
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.errors import ClaimLost
from tests.redis_space import open_space

ONE, TWO, THREE = (Ref(f"{number:032x}", "lead-1", place=number) for number in (1, 2, 3))
OTHER = Ref("f" * 32, "lead-2", place=9)


@pytest.fixture(params=["memory", "redis"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """An empty ledger of each kind."""
    if request.param == "memory":
        yield MemoryLedger()
        return
    space = open_space(request.getfixturevalue("redis_url"))  # not a parameter: memory needs no Redis
    yield RedisLedger(space.connection, prefix=space.prefix, sink="crm")
    await space.close()


async def claim(ledger: Ledger, *refs: Ref, owner: str = "a", at_ms: int = 1, note_repeats: bool = True) -> list[str]:
    return list(await ledger.claim("topic-0", owner, refs, at_ms=at_ms, note_repeats=[note_repeats] * len(refs)))


async def settle(ledger: Ledger, ref: Ref, state, owner: str = "a", **rest) -> None:
    await ledger.settle("topic-0", owner, [Settlement(ref, state, **rest)])


async def row(ledger: Ledger, ref: Ref) -> Row:
    [known] = await ledger.look_up([ref])
    return known.row


async def test_nothing_is_known_of_what_was_never_claimed(ledger):
    """
    A delivery without a row is as one that was never tried.
    """
    known = await ledger.look_up([ONE, TWO])

    assert [Known(Row(), None), Known(Row(), None)] == known


async def test_no_deliveries_are_no_trouble(ledger):
    """
    An empty batch has an empty answer.
    """
    await ledger.take_over("topic-0", "a")
    await ledger.settle("topic-0", "a", [])
    await ledger.park("topic-0", "a", [])

    assert ([], []) == (await ledger.look_up([]), await claim(ledger))


async def test_a_claim_says_who_sends_and_since_when(ledger):
    """
    A claimed delivery says "sending", with its owner, time and copy.
    """
    granted = await claim(ledger, ONE, Ref(TWO.delivery_id, "lead-1", 2, copy=3), at_ms=1_790_000_000_123)

    assert ["first", "first"] == granted
    assert Row("sending", "a", 1_790_000_000_123) == await row(ledger, ONE)
    assert Row("sending", "a", 1_790_000_000_123, copy=3) == await row(ledger, TWO)


@pytest.mark.parametrize("state", ["delivered", "superseded", "refused"])
async def test_what_is_finished_is_not_granted_again(ledger, state):
    """
    A claim of a finished delivery is answered "none" and leaves its row as it is.
    """
    await claim(ledger, ONE, TWO)
    await settle(ledger, ONE, state, detail="code_7")

    assert ["none", "again"] == await claim(ledger, ONE, TWO, at_ms=2)
    assert Row(state, "a", 1, detail="code_7") == await row(ledger, ONE)


async def test_a_refused_delivery_comes_back_as_a_newer_copy(ledger):
    """
    Redriven, it may be sent again; delivered, never.
    """
    await claim(ledger, ONE, TWO)
    await settle(ledger, ONE, "refused")
    await settle(ledger, TWO, "delivered")

    newer = [Ref(ref.delivery_id, ref.lead_id, ref.place, copy=1) for ref in (ONE, TWO)]
    assert ["first", "none"] == await claim(ledger, *newer, at_ms=2)


async def test_an_older_copy_is_left_alone(ledger):
    """
    Once a newer copy was parked, the older one stands for nothing.
    """
    await claim(ledger, ONE)
    await settle(ledger, ONE, "pending")
    await ledger.park("topic-0", "a", [Ref(ONE.delivery_id, "lead-1", 1, copy=1)])

    assert ["none"] == await claim(ledger, ONE, at_ms=2)
    assert ["first"] == await claim(ledger, Ref(ONE.delivery_id, "lead-1", 1, copy=1), at_ms=2)


async def test_a_claim_of_what_was_being_sent_is_a_repeat(ledger):
    """
    A row that still says "sending" may have arrived: the next claim is "again", and listed.
    """
    await claim(ledger, ONE, TWO)
    await settle(ledger, TWO, "pending")

    assert ["again", "first"] == await claim(ledger, ONE, TWO, at_ms=2)
    assert Repeats(1, (ONE.delivery_id,)) == await ledger.repeats()
    assert Row("sending", "a", 2, in_doubt=True) == await row(ledger, ONE)


async def test_a_repeat_that_the_destination_recognises_is_not_listed(ledger):
    """
    Where a repeat harms nobody, it is no repeat to tell of.
    """
    await claim(ledger, ONE)

    assert ["again"] == await claim(ledger, ONE, at_ms=2, note_repeats=False)
    assert Repeats(0, ()) == await ledger.repeats()


async def test_the_same_claim_again_changes_nothing(ledger):
    """
    A claim whose answer was lost is made once more, and gets the answer that was lost.
    """
    await claim(ledger, ONE)
    first = [await claim(ledger, ONE, TWO, at_ms=2) for _ in range(2)]

    assert [["again", "first"]] * 2 == first
    assert Repeats(1, (ONE.delivery_id,)) == await ledger.repeats()


async def test_a_repeat_that_was_there_is_taken_back(ledger):
    """
    The destination was asked and had it: nobody was told twice.
    """
    for at_ms in (1, 2, 3):
        await claim(ledger, ONE, TWO, at_ms=at_ms)
    await settle(ledger, ONE, "delivered", was_there=True)
    await settle(ledger, ONE, "delivered", was_there=True)

    assert Repeats(3, (TWO.delivery_id, ONE.delivery_id, TWO.delivery_id)) == await ledger.repeats()


async def test_the_latest_repeats_are_listed_and_all_are_counted(ledger):
    """
    The list is bounded and the number is not.
    """
    refs = [Ref(f"{number:032x}", "lead-1", number) for number in range(REPEATS_LISTED_MAX + 2)]
    await claim(ledger, *refs)
    await claim(ledger, *refs, at_ms=2)

    latest = tuple(ref.delivery_id for ref in refs[2:])
    assert Repeats(REPEATS_LISTED_MAX + 2, latest) == await ledger.repeats()


async def test_an_unknown_outcome_stays_in_doubt(ledger):
    """
    After an attempt that may have arrived, a later one that surely did not leaves the doubt.
    """
    await claim(ledger, ONE)
    await settle(ledger, ONE, "unknown", detail="no_answer")
    after_unknown = await row(ledger, ONE)
    await claim(ledger, ONE, at_ms=2)
    await settle(ledger, ONE, "pending", detail="busy")

    assert Row("unknown", "a", 1, in_doubt=True, detail="no_answer") == after_unknown
    assert Row("unknown", "a", 2, in_doubt=True, detail="busy") == await row(ledger, ONE)


async def test_two_workers_claim_at_once(ledger):
    """
    Of two that both think they have a partition, the one that took it over last gets all, and the other nothing.
    """
    await ledger.take_over("topic-0", "a")
    await ledger.take_over("topic-0", "b")

    claims = [claim(ledger, ONE, TWO, owner=owner, at_ms=1) for owner in ("a", "b")]
    lost, won = await asyncio.gather(*claims, return_exceptions=True)

    assert (ClaimLost, ["first", "first"]) == (type(lost), won)
    assert "topic-0" == lost.partition
    assert "b" == (await row(ledger, ONE)).owner


async def test_of_two_that_come_first_one_has_the_partition(ledger):
    """
    With an emptied ledger nobody has a partition: the first to claim gets it, and nobody else.
    """
    claims = [claim(ledger, ONE, owner=owner) for owner in ("a", "b")]
    answers = await asyncio.gather(*claims, return_exceptions=True)

    assert {ClaimLost, list} == {type(one) for one in answers}


async def test_partitions_are_taken_over_one_by_one(ledger):
    """
    Who lost one partition goes on with another.
    """
    await ledger.take_over("topic-0", "b")

    with pytest.raises(ClaimLost):
        await ledger.park("topic-0", "a", [ONE])
    assert ["first"] == await ledger.claim("topic-1", "a", [OTHER], at_ms=1, note_repeats=[True])


async def test_a_frozen_worker_comes_back_after_its_delivery_was_sent_again(ledger):
    """
    It cannot claim; its late outcomes do not overwrite the new owner's, and the repeat is listed. That it delivered
    is true whoever says it.
    """
    await claim(ledger, ONE, TWO, THREE, owner="frozen")
    await ledger.take_over("topic-0", "new")
    granted = await claim(ledger, ONE, TWO, owner="new", at_ms=2)
    await settle(ledger, ONE, "refused", owner="frozen")
    await settle(ledger, TWO, "delivered", owner="frozen")
    await settle(ledger, THREE, "refused", owner="frozen")
    await settle(ledger, TWO, "refused", owner="new")

    assert ["again", "again"] == granted
    assert Repeats(2, (ONE.delivery_id, TWO.delivery_id)) == await ledger.repeats()
    states = [known.row.state for known in await ledger.look_up([ONE, TWO, THREE])]
    assert ["sending", "delivered", "refused"] == states
    with pytest.raises(ClaimLost):
        await claim(ledger, THREE, owner="frozen", at_ms=3)


async def test_the_owner_of_the_partition_may_settle_what_another_claimed(ledger):
    """
    What the last owner left behind is the new owner's to finish.
    """
    await claim(ledger, ONE, owner="a")
    await ledger.take_over("topic-0", "b")
    await settle(ledger, ONE, "superseded", owner="b")

    assert Row("superseded", "a", 1) == await row(ledger, ONE)


async def test_the_first_parked_delivery_of_a_lead_is_its_head(ledger):
    """
    Parked deliveries wait in the order of their places, whoever was parked first, and each lead for itself.
    """
    await ledger.park("topic-0", "a", [TWO, OTHER])
    await ledger.park("topic-0", "a", [ONE])
    known = await ledger.look_up([ONE, TWO, THREE, OTHER])

    assert [ONE.delivery_id] * 3 + [OTHER.delivery_id] == [one.head for one in known]
    assert ["parked", "parked", "pending", "parked"] == [one.row.state for one in known]


@pytest.mark.parametrize("state", ["delivered", "superseded", "refused"])
async def test_a_finished_delivery_waits_no_more(ledger, state):
    """
    The next parked one of its lead is the head, and after the last there is none.
    """
    await ledger.park("topic-0", "a", [ONE, TWO])
    await settle(ledger, ONE, state)
    [after_one] = await ledger.look_up([THREE])
    await settle(ledger, TWO, state)
    [after_two] = await ledger.look_up([THREE])

    assert (TWO.delivery_id, None) == (after_one.head, after_two.head)


async def test_an_unfinished_delivery_waits_on(ledger):
    """
    A parked delivery that failed once more is still the head of its lead.
    """
    await ledger.park("topic-0", "a", [ONE])
    await claim(ledger, ONE)
    await settle(ledger, ONE, "pending")

    assert ONE.delivery_id == (await ledger.look_up([TWO]))[0].head


async def test_parking_what_is_being_sent_leaves_a_doubt(ledger):
    """
    Nobody heard what became of the attempt, so the parked delivery is in doubt.
    """
    await claim(ledger, ONE)
    newer = Ref(ONE.delivery_id, "lead-1", 1, copy=1)
    await ledger.park("topic-0", "a", [newer])

    assert Row("parked", "a", 1, copy=1, in_doubt=True) == await row(ledger, ONE)
    assert ["again"] == await claim(ledger, newer, at_ms=2)


async def test_what_is_finished_is_not_parked(ledger):
    """
    A late parking does not bring a delivered one back.
    """
    await claim(ledger, ONE)
    await settle(ledger, ONE, "delivered")
    await ledger.park("topic-0", "a", [ONE])

    assert Known(Row("delivered", "a", 1), None) == (await ledger.look_up([ONE]))[0]


async def test_one_batch_may_name_a_delivery_twice(ledger):
    """
    Both copies of a delivery in one batch: the second sees what the first did.
    """
    newer = Ref(ONE.delivery_id, "lead-1", 1, copy=1)

    assert ["first", "first"] == await claim(ledger, newer, newer)
    assert ["none", "again"] == await claim(ledger, ONE, newer, at_ms=2)
    await ledger.settle("topic-0", "a", [Settlement(newer, "delivered"), Settlement(newer, "refused")])
    assert "delivered" == (await row(ledger, ONE)).state


@pytest.mark.parametrize("delivery_id", ["d1", "", "F" * 32, "x" * 15, "x" * 14, "\0", "é", "0" * 33, "0" * 30 + "  "])
async def test_any_id_is_taken(ledger, delivery_id):
    """
    A record with an id that is none of ours does not stop a batch.
    """
    odd = Ref(delivery_id, "Ünï@example.com", 1)
    await ledger.park("topic-0", "wörker", [odd])
    await claim(ledger, odd, owner="wörker")
    await claim(ledger, odd, owner="wörker", at_ms=2)

    assert Known(Row("sending", "wörker", 2, in_doubt=True), delivery_id) == (await ledger.look_up([odd]))[0]
    assert (delivery_id,) == (await ledger.repeats()).delivery_ids


REFS = st.builds(
    Ref,
    st.sampled_from(["1" * 32, "2" * 32, "3" * 32]),
    st.sampled_from(["lead-1", "lead-2"]),
    st.integers(0, 3),
    st.integers(0, 2),
)
MANY = st.lists(REFS, max_size=3)
SETTLEMENTS = st.builds(
    Settlement,
    REFS,
    st.sampled_from(["pending", "unknown", "delivered", "superseded", "refused"]),
    st.sampled_from(["", "busy"]),
    st.booleans(),
)
WHO = st.tuples(st.sampled_from(["topic-0", "topic-1"]), st.sampled_from(["a", "b"]))
STEPS = st.one_of(
    st.tuples(st.just("take_over"), WHO),
    st.tuples(st.just("claim"), WHO, MANY, st.integers(1, 3), st.lists(st.booleans(), min_size=3, max_size=3)),
    st.tuples(st.just("settle"), WHO, st.lists(SETTLEMENTS, max_size=3)),
    st.tuples(st.just("park"), WHO, MANY),
)


async def answer(ledger: Ledger, step: tuple) -> object:
    """What *ledger* says to *step*, and what it knows after it."""
    kind, who, *rest = step
    try:
        if kind == "claim":
            said = await ledger.claim(*who, rest[0], at_ms=rest[1], note_repeats=rest[2][: len(rest[0])])
        else:
            said = await getattr(ledger, kind)(*who, *rest)
    except ClaimLost as exc:
        said = str(exc)
    every = [Ref(one, lead, 0) for one in ("1" * 32, "2" * 32, "3" * 32) for lead in ("lead-1", "lead-2")]
    return said, await ledger.look_up(every), await ledger.repeats()


@given(steps=st.lists(STEPS, max_size=12))
@settings(max_examples=60)
def test_both_ledgers_give_the_same_answers(steps, redis_url):
    """
    Whatever is asked in whatever order, Redis says what memory says.
    """

    async def both() -> list[tuple[object, object]]:
        space = open_space(redis_url)
        memory, redis = MemoryLedger(), RedisLedger(space.connection, prefix=space.prefix, sink="crm")
        try:
            return [(await answer(memory, step), await answer(redis, step)) for step in steps]
        finally:
            await space.close()

    for expected, actual in asyncio.run(both()):
        assert expected == actual


async def test_an_endpoint_stays_disabled_until_it_is_enabled(ledger):
    """
    Since the first time that it said so; others are not, and to enable it twice changes nothing.
    """
    before = await ledger.disabled_at_ms("url-1")
    await ledger.disable("url-1", 5)
    await ledger.disable("url-1", 9)
    disabled = [await ledger.disabled_at_ms(endpoint) for endpoint in ("url-1", "url-2")]
    enabled = [await ledger.enable("url-1"), await ledger.enable("url-1")]

    assert (None, [5, None], [True, False]) == (before, disabled, enabled)
    assert await ledger.disabled_at_ms("url-1") is None
