"""Which dead letters are tried again, and that a redriven one is delivered once, however often it is written."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import msgspec
import orjson
import pytest
from delivery_world import TOPICS, World, delivery
from virtual_time import run

from pql_stream.core.changes import ScoreChange
from pql_stream.core.packs import compile_pack
from pql_stream.core.refs import NO_REF, EventRef
from pql_stream.delivery.ledger import Ref, Row
from pql_stream.delivery.outcomes import Delivered, Refused
from pql_stream.delivery.redrive import (
    DeadLetter,
    Standing,
    Wanted,
    judge,
    mark_record,
    read_dead_letter,
    read_standing,
    redriven_record,
)
from pql_stream.testing.builders import JAN_5_MS, Record
from pql_stream.wire.deliveries import decode_delivery, encode_delivery, redriven
from pql_stream.wire.packs import load_pack
from pql_stream.wire.score_changed import encode_score_changed

TIERS = ("unqualified", "bronze", "silver", "gold", "platinum")
HEADERS = [
    ("own", b"1"),
    ("pql-dlq-reason", b"a producer's own word"),
    ("pql-dlq-reason", b"invalid"),
    ("pql-dlq-detail", b"PROPERTY_DOESNT_EXIST"),
]
REFUSED = Row("refused", "w1", 1, copy=delivery(1).last_copy, detail="invalid")
NEXT = redriven(delivery(1))


def dead(one=None, *, offset=7, headers=HEADERS, died_at_ms=JAN_5_MS + 60_000) -> DeadLetter:
    """A dead letter of *one*."""
    value = encode_delivery(one or change_delivery())
    read = read_dead_letter(Record(TOPICS.dead_letters, 3, offset, died_at_ms, b"u1", value, headers), "dlq", 3)
    assert isinstance(read, DeadLetter)
    return read


def change_delivery(action="task", of="score-changed", **record):
    """A delivery about a change to gold."""
    about = {"pack": "pql-100", "pack_version": 1, "sequence": 5, "tier_after": "gold"} | record
    return msgspec.structs.replace(delivery(1, action=action, record=about), of=of)


def standing(tier="gold", sequence=5, pack="pql-100", version=1) -> Standing:
    return Standing(pack, version, sequence, tier)


def test_a_dead_letter_is_read_with_the_last_of_our_headers():
    """
    A producer may have used the names as well; ours come behind.
    """
    letter = dead()

    assert ("dlq", 3, 7, JAN_5_MS + 60_000) == (letter.topic, letter.partition, letter.offset, letter.died_at_ms)
    assert ("invalid", "PROPERTY_DOESNT_EXIST") == (letter.reason, letter.detail)
    assert Ref("d1", "u1", 0) == letter.ref


def test_an_unreadable_record_is_a_dead_letter_without_a_delivery():
    """
    It can be looked at, and is never redriven.
    """
    letter = read_dead_letter(Record("dlq", 3, 7, JAN_5_MS, b"u1", b"{", HEADERS), "dlq", 3)

    assert isinstance(letter, DeadLetter)
    assert (None, None) == (letter.delivery, letter.ref)
    assert "unreadable" == judge(letter, Row(), None, TIERS)


def test_a_mark_names_the_offset_that_it_is_about():
    """
    What is written to mark a dead letter is read as its offset; any other record without a value is nothing.
    """
    mark = mark_record(dead(offset=41))

    assert 41 == read_dead_letter(Record("dlq", 3, 99, 1, mark.key, mark.value, mark.headers), "dlq", 3)
    for headers in ([], [("pql-redriven", b"x")], [("pql-redriven", None)]):
        assert read_dead_letter(Record("dlq", 3, 99, 1, b"u1", None, headers), "dlq", 3) is None


@pytest.mark.parametrize(
    ("wanted", "is_taken"),
    [
        (Wanted(), True),
        (Wanted(reasons=frozenset({"invalid", "gone"})), True),
        (Wanted(reasons=frozenset({"gone"})), False),
        (Wanted(lead_ids=frozenset({"u1"})), True),
        (Wanted(lead_ids=frozenset({"u2"})), False),
        (Wanted(since_ms=JAN_5_MS + 60_000), True),
        (Wanted(since_ms=JAN_5_MS + 60_001), False),
        (Wanted(until_ms=JAN_5_MS + 60_001), True),
        (Wanted(until_ms=JAN_5_MS + 60_000), False),
        (Wanted(reasons=frozenset({"invalid"}), lead_ids=frozenset({"u2"})), False),
    ],
)
def test_dead_letters_are_chosen_by_reason_lead_and_time(wanted, is_taken):
    """
    All that is asked for must hold; times are half-open.
    """
    assert is_taken == wanted.takes(dead())


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (REFUSED, "redrive"),
        (Row(), "redrive"),
        (replace(REFUSED, in_doubt=True), "redrive"),
        (Row("pending"), "redrive"),
        (Row("delivered", "w1", 1), "delivered"),
        (Row("superseded", "w1", 1), "superseded"),
        (Row("sending", "w1", 1), "under_way"),
        (Row("parked", "w1", 1, copy=1), "under_way"),
        (Row("pending", "w1", 1, copy=NEXT.copy), "under_way"),
        (Row("refused", "w1", 1, copy=NEXT.last_copy), "under_way"),
    ],
    ids=[
        "refused",
        "forgotten",
        "in doubt",
        "pending",
        "delivered",
        "superseded",
        "sending",
        "parked",
        "newer",
        "died again",
    ],
)
def test_the_ledger_says_whether_it_is_still_to_be_delivered(row, verdict):
    """
    What was delivered meanwhile, or has a newer copy, is left alone.
    """
    assert verdict == judge(dead(), row, None, TIERS)


@pytest.mark.parametrize(
    ("one", "now", "verdict"),
    [
        (change_delivery("upsert"), standing(), "redrive"),
        (change_delivery("upsert"), standing(sequence=6), "changed_since"),
        (change_delivery("upsert"), standing(sequence=6, pack="other"), "redrive"),
        (change_delivery("upsert"), standing(sequence=6, version=2), "redrive"),
        (change_delivery("upsert", sequence="?"), standing(sequence=6), "redrive"),
        (change_delivery("task"), standing("gold", 6), "redrive"),
        (change_delivery("task"), standing("platinum", 6), "redrive"),
        (change_delivery("task"), standing("silver", 6), "dropped"),
        (change_delivery("message"), standing("silver", 6), "dropped"),
        (change_delivery("mail"), standing("silver", 6), "dropped"),
        (change_delivery("post"), standing("silver", 6), "redrive"),
        (change_delivery("post", "pql-qualified", tier="gold"), standing("silver", 6), "dropped"),
        (change_delivery("task", "pql-qualified", tier="gold"), standing("silver", 6), "dropped"),
        (change_delivery("task", "pql-qualified", tier="gold"), standing("gold", 6), "redrive"),
        (change_delivery("task"), standing("silver", 6, pack="other"), "redrive"),
        (change_delivery("task"), standing("lead", 6), "redrive"),
        (change_delivery("task", tier_after="lead"), standing("silver", 6), "redrive"),
    ],
)
def test_the_last_change_says_whether_it_is_still_wanted(one, now, verdict):
    """
    No old values come back, and nobody is told of a tier that the lead has lost; what cannot be known is redriven.
    """
    assert verdict == judge(dead(one), REFUSED, now, TIERS)


def test_the_delivery_of_an_erased_lead_is_never_redriven():
    """
    The loop found the lead erased and said so.
    """
    headers = [("pql-dlq-reason", b"unwanted"), ("pql-dlq-detail", b"erased")]

    assert "erased" == judge(dead(headers=headers), REFUSED, None, TIERS)


def test_a_standing_is_read_from_a_change():
    """
    The record that scoring writes, and nothing else.
    """
    pack = compile_pack(load_pack("pql-100"))
    points = tuple(rule.points_max for rule in pack.rules)
    change = ScoreChange(
        "c1", "u1", None, pack, 9, JAN_5_MS, pack.points_unset, points, pack.features_unset, (NO_REF,) * len(points),
        EventRef("e1", "t", 0, 1), "e",
    )  # fmt: skip
    value = encode_score_changed(change)

    assert Standing("pql-100", 1, 9, "platinum") == read_standing(value)
    for other in (b"", b"[]", orjson.dumps(orjson.loads(value) | {"schema": "score-changed/2"})):
        assert read_standing(other) is None


def test_a_redriven_copy_is_newer_and_keeps_what_is_known():
    """
    It begins anew behind what is there, with its record, its options, its headers, and where it came from.
    """
    parked = msgspec.structs.replace(
        change_delivery(),
        options={"template": "a.txt"},
        attempts=4,
        first_failed_at_ms=JAN_5_MS,
        parked_at_ms=JAN_5_MS + 50_000,
        parks=3,
        due_at_ms=JAN_5_MS + 55_000,
        not_before_ms=JAN_5_MS + 55_000,
        place=2,
    )
    out = redriven_record(dead(parked))

    assert msgspec.structs.replace(change_delivery(), options={"template": "a.txt"}, redrives=1) == decode_delivery(
        out.value
    )
    assert b"u1" == out.key
    assert [*HEADERS, ("pql-redriven-from", b"dlq/3/7")] == list(out.headers)
    assert out == redriven_record(dead(parked))


def test_a_redriven_copy_may_have_new_options_and_names_its_last_death_alone():
    """
    Whoever mended a route wants its options of now; a second redrive names the second dead letter.
    """
    again = [*HEADERS, ("pql-redriven-from", b"dlq/3/1")]
    out = redriven_record(dead(headers=again), {"template": "mended.txt"})

    assert {"template": "mended.txt"} == decode_delivery(out.value).options
    assert [*HEADERS, ("pql-redriven-from", b"dlq/3/7")] == list(out.headers)


def redrive(world: World, place: int, offset: int):
    """Write the copy of dead letter number *place* to the sink's topic, at *offset*."""
    out = world.dead[place]
    letter = read_dead_letter(
        Record(TOPICS.dead_letters, 0, place, world.time_ms(), out.key, out.value, out.headers), TOPICS.dead_letters, 0
    )
    copy = redriven_record(letter)
    world.main.append(Record(TOPICS.deliveries, 0, offset, world.time_ms(), copy.key, copy.value, list(copy.headers)))


def test_a_redriven_delivery_is_made_once_however_often_it_is_written():
    """
    It died, was redriven twice from the same dead letter, and read twice: one effect.
    """
    world = World()
    world.sink.script["d1"] = deque([Refused("invalid"), Delivered()])

    async def story():
        await world.handle(delivery(1))
        redrive(world, 0, 1)
        world.main.append(world.main[-1]._replace(offset=2))
        await world.read()
        await world.read()

    run(story())

    assert [["d1"], ["d1"]] == world.sink.calls
    assert 1 == len(world.sink.effects)
    assert 1 == len(world.dead)
    assert ["delivered"] == world.ledger.inner.states(["d1"])


def test_a_redriven_delivery_that_dies_again_is_another_dead_letter():
    """
    Its headers say why it died the second time, and that it was redriven; that one can be redriven as well.
    """
    world = World()
    world.sink.script["d1"] = deque([Refused("invalid"), Refused("conflict"), Delivered()])

    async def story():
        await world.handle(delivery(1))
        redrive(world, 0, 1)
        await world.read()
        redrive(world, 1, 2)
        await world.read()

    run(story())

    headers = dict(world.dead[1].headers)
    assert (b"conflict", b"delivery-crm-dlq/0/0") == (headers["pql-dlq-reason"], headers["pql-redriven-from"])
    assert 2 == len(world.dead)
    assert 1 == len(world.sink.effects)
    assert [["d1"]] * 3 == world.sink.calls
