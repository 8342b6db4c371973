"""History that is filled in: it changes scores as everything does, and what it changes says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson
import pytest

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.stream.effects import Effects
from pql_stream.stream.modes import Modes
from pql_stream.stream.names import Topics
from pql_stream.stream.partitioner import partition_of
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.testing.builders import JAN_5_MS, Record, native_json, product_event
from pql_stream.wire.headers import ANNOUNCE
from pql_stream.wire.packs import load_pack

TOPICS = Topics.under("p-")
PARTITIONS = 4
HOME = partition_of(b"u1", PARTITIONS)
DAY_MS = 86_400_000
LIVE, SILENT, ANNOUNCED = ("live", None), ("backfill", None), ("backfill", True)
QUALIFIES = [
    native_json("trial_created", event_id="t"),
    *(native_json("workflow_completed", event_id=f"w{number}", run_id=f"r{number}") for number in range(50)),
    *(native_json("feature_used", event_id=f"f{number}", feature=f"f{number}") for number in range(7)),
    native_json("compliance_level_changed", event_id="c", level="advanced"),
    native_json("tutorial_completed", event_id="d"),
    native_json("identify", event_id="i", team_size=9, industry="finance", company_revenue_usd=20_000_000),
]
"""Of a lead that comes to bronze by what it does, and to gold by what it is."""


class Batch(NamedTuple):
    topic: str
    partition: int
    records: Sequence[Record]


@pytest.fixture(scope="module")
def pack() -> CompiledPack:
    return compile_pack(load_pack("pql-100"))


@pytest.fixture
def scorer(pack) -> Scorer:
    return Scorer(Roles.alone(pack), TOPICS, PARTITIONS)


def records(values, topic=TOPICS.activity_backfill, *, partition=HOME, headers=(), timestamp=JAN_5_MS) -> list[Record]:
    return [Record(topic, partition, at, timestamp, b"u1", value, headers) for at, value in enumerate(values)]


def score(scorer: Scorer, batch: Sequence[Record], states=None) -> Effects:
    return scorer.score(Batch(batch[0].topic, batch[0].partition, batch), (states or {}).get)


def told(out) -> list[dict]:
    return [orjson.loads(record.value) for record in out]


def modes(effects: Effects) -> set[tuple[str, bool | None]]:
    """Mode and announcement of everything that is told."""
    return {(one["mode"], one.get("announce")) for one in told([*effects.changes, *effects.qualifications])}


@pytest.mark.parametrize(
    ("topic", "headers", "mode"),
    [
        (TOPICS.activity, [], LIVE),
        (TOPICS.activity, [ANNOUNCE], LIVE),
        (TOPICS.activity_backfill, [], SILENT),
        (TOPICS.activity_backfill, [ANNOUNCE], ANNOUNCED),
        (TOPICS.activity_backfill, [("pql-announce", None), ("pql-announce", b"0")], SILENT),
        (TOPICS.activity_rekeyed, [], LIVE),
    ],
)
def test_the_topic_makes_the_mode_and_a_header_announces(scorer, topic, headers, mode):
    """Changes and qualifications both say it; what happens now needs no announcement."""
    effects = score(scorer, records(QUALIFIES, topic, headers=headers))

    assert 3 > len(effects.qualifications) > 0
    assert {mode} == modes(effects)


def test_a_backfill_tells_the_same_but_for_its_mode(scorer):
    """Ids, sequence, points and rows are those of the same events live: ids stay pure functions."""
    filled = score(scorer, records(QUALIFIES))
    live = score(scorer, records(QUALIFIES, TOPICS.activity))

    def without(told_: list[dict]) -> list[dict]:
        dropped = {"mode", "cause", "contributions"}
        return [{name: value for name, value in one.items() if name not in dropped} for one in told_]

    assert without(told(live.changes)) == without(told(filled.changes))
    assert without(told(live.qualifications)) == without(told(filled.qualifications))
    assert live.states["u1"].features == filled.states["u1"].features


def test_a_batch_that_is_scored_again_says_the_same_bytes(scorer):
    """A crash before the rows were stored: the mode depends on the record alone."""
    batch = records(QUALIFIES[:30]) + records(QUALIFIES[30:], headers=[ANNOUNCE])

    once, again = score(scorer, batch), score(scorer, batch)

    assert {SILENT, ANNOUNCED} == modes(once)
    assert (once.changes, once.qualifications) == (again.changes, again.qualifications)


@pytest.mark.parametrize(("headers", "mode"), [([], SILENT), ([ANNOUNCE], ANNOUNCED)])
def test_a_misplaced_backfill_keeps_its_mode_on_the_way(scorer, headers, mode):
    """It is forwarded through the re-keyed topic, where its origin and its own headers say what it is."""
    away = (HOME + 1) % PARTITIONS
    forwarded = score(scorer, records(QUALIFIES, partition=away, headers=headers)).rekeyed[HOME]
    arrived = [
        Record(TOPICS.activity_rekeyed, HOME, at, JAN_5_MS + 9, one.key, one.value, one.headers)
        for at, one in enumerate(forwarded)
    ]

    effects = score(scorer, arrived)

    assert {mode} == modes(effects)
    assert {TOPICS.activity_backfill} == {one["cause"]["topic"] for one in told(effects.changes)}
    assert (0, len(arrived)) == (effects.counts["live"].records, effects.counts["backfill"].records)


def test_a_tier_reached_in_a_backfill_is_announced_for_later_events(scorer):
    """It has its record on pql-qualified: what happens now tells of higher tiers only."""
    filled = score(scorer, records([one for one in QUALIFIES if b"identify" not in one]))
    live = score(scorer, records(QUALIFIES, TOPICS.activity), filled.states)

    tiers = [one["tier"] for one in told([*filled.qualifications, *live.qualifications])]
    assert filled.qualifications
    assert live.qualifications
    assert len(tiers) == len(set(tiers))


def test_a_repeated_backfill_changes_nothing(scorer):
    """Whatever was filled in, or happened live, before: an event counts once by its id."""
    once = score(scorer, records(QUALIFIES, TOPICS.activity))

    again = score(scorer, records(QUALIFIES), once.states)

    assert ([], [], {}) == (again.changes, again.qualifications, again.states)


@pytest.mark.parametrize(
    ("age_ms", "timestamp", "mode"),
    [
        (30 * DAY_MS, JAN_5_MS, "live"),
        (30 * DAY_MS + 1, JAN_5_MS, "backfill"),
        (-1, JAN_5_MS, "live"),
        (90 * DAY_MS, -1, "live"),
    ],
    ids=["as old as allowed", "older", "ahead", "no timestamp"],
)
def test_what_lies_far_in_the_past_can_count_as_filled_in(age_ms, timestamp, mode):
    """By when it happened against when it was written; off unless asked for."""
    event = product_event("a", occurred_at_ms=JAN_5_MS - age_ms, topic=TOPICS.activity)

    assert mode == Modes(TOPICS, 30 * DAY_MS).of_event(event, timestamp)
    assert "live" == Modes(TOPICS).of_event(event, timestamp)


def test_the_past_is_judged_by_the_origin_of_a_forwarded_event(pack):
    """It was late when its producer wrote it, or never: how long the way took does not matter."""
    scorer = Scorer(Roles.alone(pack), TOPICS, PARTITIONS, backfill_older_than_ms=DAY_MS)
    values = [native_json("tutorial_completed", occurred_at_ms=JAN_5_MS)]
    away = records(values, TOPICS.activity, partition=(HOME + 1) % PARTITIONS, timestamp=JAN_5_MS + DAY_MS)
    (forwarded,) = score(scorer, away).rekeyed[HOME]
    late = Record(TOPICS.activity_rekeyed, HOME, 0, JAN_5_MS + 9 * DAY_MS, b"u1", forwarded.value, forwarded.headers)

    assert {LIVE} == modes(score(scorer, [late]))


def test_old_events_of_a_live_batch_say_so_one_by_one(pack):
    """The ones beside them are live, and each is counted in its mode."""
    scorer = Scorer(Roles.alone(pack), TOPICS, PARTITIONS, backfill_older_than_ms=DAY_MS)
    names = ("compliance_level_changed", "tutorial_completed")
    values = [
        native_json(names[0], event_id="old", occurred_at_ms=JAN_5_MS - 2 * DAY_MS, level="basic"),
        native_json(names[1], event_id="new", occurred_at_ms=JAN_5_MS),
        b"no event",
    ]

    effects = score(scorer, records(values, TOPICS.activity))

    assert ["backfill", "live"] == [one["mode"] for one in told(effects.changes)]
    live, filled = effects.counts["live"], effects.counts["backfill"]
    assert ({names[1]: 1}, {names[0]: 1}) == (live.accepted, filled.accepted)
    assert (1, 1, 2, 1) == (live.leads_evaluated, filled.leads_evaluated, live.records, filled.records)
    assert (1, 1) == (live.changed.total(), filled.changed.total())


def test_everything_of_a_backfill_is_counted_as_such(scorer):
    """Accepted, refused, skipped and forwarded: nothing of it looks like live traffic."""
    stranger = next(f"u{number}" for number in range(2, 99) if partition_of(f"u{number}".encode(), PARTITIONS) != HOME)
    batch = records([*QUALIFIES, b"x", None, native_json("a", stranger)])

    effects = score(scorer, batch)

    counts = effects.counts["backfill"]
    assert len(batch) == counts.records
    assert (len(QUALIFIES), 1, 1, 1) == (
        counts.accepted.total(),
        counts.rejected.total(),
        counts.skipped,
        counts.rekeyed,
    )
    assert (len(effects.qualifications), 0) == (counts.qualified.total(), effects.counts["live"].records)
