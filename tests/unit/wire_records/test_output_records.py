"""The records of score-changed and pql-qualified, and a lead's score, field by field."""

import random
from collections.abc import Sequence

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.changes import ANNOUNCED_BACKFILL, BACKFILL, LIVE, Mode, PublishedChange, ScoreChange
from pql_stream.core.features import Feature
from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.refs import EventRef, decode_ref, encode_ref
from pql_stream.core.states import Step
from pql_stream.core.transition import advance
from pql_stream.testing.builders import JAN_5_MS, product_event
from pql_stream.wire import score_changed
from pql_stream.wire.change_models import decode_score_changed
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.packs import load_pack
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed
from tests.unit.core.every_kind import EVERY_KIND, every_kind

PACK = every_kind()
PACKS = (
    PACK,
    compile_pack(load_pack("pql-100")),
    # Names that a template must not take for its own.
    compile_pack(
        msgspec.structs.replace(
            EVERY_KIND,
            name="50%b",
            groups=tuple(msgspec.structs.replace(group, name=f"%d{group.name}") for group in EVERY_KIND.groups),
            rules=tuple(
                msgspec.structs.replace(rule, name=f"%{rule.name}%%", group=f"%d{rule.group}")
                for rule in EVERY_KIND.rules
            ),
        )
    ),
)
EVENTS = (
    product_event("measured", load=11, event_id="e1", offset=1),
    product_event("paid", event_id="e2", offset=2),
    product_event(
        "Told", level="high", size=10, account_id="acme", event_id="é3", offset=3, occurred_at_ms=JAN_5_MS + 7
    ),
)
CAUSE = {"event_id": "é3", "topic": "product-activity", "partition": 0, "offset": 3}


def steps_of(*events) -> list[Step]:
    steps, state = [], None
    for event in events:
        steps.append(advance(state, event, PACK))
        state = steps[-1].state
    return steps


@pytest.fixture(scope="module")
def last() -> Step:
    return steps_of(*EVENTS)[-1]


def contribution(**fields) -> dict:
    return {"points": 0, "points_before": 0, "moved_by": None} | fields


CONTRIBUTIONS = [
    contribution(rule="things", group="use", points_max=10, input=0),
    contribution(rule="days", group="use", points_max=15, input=0),
    contribution(rule="speed", group="use", points_max=15, input=None),
    contribution(rule="level", group="told", points=10, points_max=10, input="high", moved_by=CAUSE),
    contribution(
        rule="paid", group="told", points=10, points_before=10, points_max=10, input=True,
        moved_by=CAUSE | {"event_id": "e2", "offset": 2},
    ),
    contribution(
        rule="extremes", group="told", points=20, points_before=20, points_max=20,
        input={"peak": 11, "trough": 11}, moved_by=CAUSE | {"event_id": "e1", "offset": 1},
    ),
    contribution(rule="size", group="told", points=10.1, points_max=20, input=10, moved_by=CAUSE),
]  # fmt: skip


def test_score_changed(last):
    """The record of CONTRACT.md 5, whole; every rule of the pack is in it, also those at 0."""

    assert {
        "change_id": last.change.change_id,
        "schema": "score-changed/1",
        "mode": "live",
        "lead_id": "u1",
        "account_id": "acme",
        "pack": "every-kind",
        "pack_version": 3,
        "sequence": 3,
        "occurred_at": "2026-01-05T10:00:00.007Z",
        "score_before": 30,
        "score_after": 50.1,
        "tier_before": "warm",
        "tier_after": "hot",
        "groups": {"use": 0, "told": 50.1},
        "contributions": CONTRIBUTIONS,
        "cause": CAUSE | {"event": "Told"},
    } == orjson.loads(encode_score_changed(last.change))


def test_pql_qualified(last):
    """The record of CONTRACT.md 6, whole."""

    assert {
        "qualification_id": last.qualification.qualification_id,
        "schema": "pql-qualified/1",
        "mode": "live",
        "lead_id": "u1",
        "account_id": "acme",
        "pack": "every-kind",
        "pack_version": 3,
        "tier": "hot",
        "tier_before": "warm",
        "score": 50.1,
        "sales_ready": True,
        "handoff": "now",
        "occurred_at": "2026-01-05T10:00:00.007Z",
        "change_id": last.change.change_id,
        "reasons": ["Peak of 11 (+20)", "Team of 10 (+10.1)", "Level high (+10)", "Has paid (+10)"],
        "profile": {"level": "high", "size": 10},
    } == orjson.loads(encode_pql_qualified(last.qualification))


def test_a_lead_score(last):
    """The object of CONTRACT.md 8: score, tier, groups and rules as in the last change, and when the lead was seen."""
    contributions = [{name: value for name, value in part.items() if name != "points_before"} for part in CONTRIBUTIONS]

    assert {
        "lead_id": "u1",
        "account_id": "acme",
        "pack": "every-kind",
        "pack_version": 3,
        "score": 50.1,
        "tier": "hot",
        "groups": {"use": 0, "told": 50.1},
        "contributions": contributions,
        "first_seen_at": "2026-01-05T10:00:00.000Z",
        "last_seen_at": "2026-01-05T10:00:00.007Z",
    } == lead_score_fields("u1", last.state, PACK)


def test_an_unknown_account_is_null():
    """Nothing is left out of a record for being unknown."""
    step = steps_of(*EVENTS[:2])[-1]

    assert orjson.loads(encode_score_changed(step.change))["account_id"] is None
    assert orjson.loads(encode_pql_qualified(step.qualification))["account_id"] is None
    assert lead_score_fields("u1", step.state, PACK)["account_id"] is None


def test_a_repeat_has_the_same_body(last):
    """CONTRACT.md 7: a repeat carries the same id and the same body, byte for byte."""
    again = steps_of(*EVENTS)[-1]

    assert encode_score_changed(last.change) == encode_score_changed(again.change)
    assert encode_pql_qualified(last.qualification) == encode_pql_qualified(again.qualification)


def test_a_change_is_read_back(last):
    """What the worker needs after a crash: id, number, points in the pack's order, cause."""
    change = last.change
    read = decode_score_changed(encode_score_changed(change), PACK)

    assert (
        PublishedChange(
            change.change_id,
            change.lead_id,
            change.sequence,
            change.occurred_at_ms,
            change.points,
            change.cause,
            change.cause_event,
        )
        == read
    )


@pytest.mark.parametrize(
    "spoilt",
    [
        {"schema": "score-changed/2"},
        {"pack": "another"},
        {"pack_version": 2},
        {"sequence": "many"},
        {"occurred_at": "yesterday"},
        {"contributions": []},
        {"cause": None},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_change_that_is_not_ours_is_none(last, spoilt):
    """Of another pack, version or schema, or damaged: it says nothing about our rows."""
    record = orjson.loads(encode_score_changed(last.change)) | spoilt

    assert decode_score_changed(orjson.dumps(record), PACK) is None


def plain_record(change: ScoreChange, mode: Mode) -> bytes:
    """The record of CONTRACT.md 5, field by field, with nothing remembered."""

    def decimal(hundredths: int) -> float:
        return hundredths / 100 if hundredths % 100 else hundredths // 100

    def tier(points: tuple[int, ...]) -> str:
        return [tier.name for tier in pack.pack.tiers if tier.score_from <= sum(points)][-1]

    pack, cause = change.pack, change.cause
    moved_by = map(decode_ref, change.moved_by)
    inputs = pack.inputs(change.features)
    parts = zip(pack.pack.rules, change.points, change.points_before, inputs, moved_by, strict=True)
    record = {
        "change_id": change.change_id,
        "schema": "score-changed/1",
        "mode": mode.name,
        "lead_id": change.lead_id,
        "account_id": change.account_id,
        "pack": pack.pack.name,
        "pack_version": pack.pack.version,
        "sequence": change.sequence,
        "occurred_at": rfc3339(change.occurred_at_ms),
        "score_before": decimal(sum(change.points_before)),
        "score_after": decimal(sum(change.points)),
        "tier_before": tier(change.points_before),
        "tier_after": tier(change.points),
        "groups": {
            group.name: decimal(
                sum(
                    given
                    for rule, given in zip(pack.pack.rules, change.points, strict=True)
                    if rule.group == group.name
                )
            )
            for group in pack.pack.groups
        },
        "contributions": [
            {
                "rule": rule.name,
                "group": rule.group,
                "points": decimal(points),
                "points_before": decimal(points_before),
                "points_max": decimal(rule.points_max),
                "input": shown,
                "moved_by": None
                if ref is None
                else {
                    "event_id": ref.event_id,
                    "topic": ref.topic,
                    "partition": ref.partition,
                    "offset": ref.offset,
                },
            }
            for rule, points, points_before, shown, ref in parts
        ],
        "cause": {
            "event_id": cause.event_id,
            "event": change.cause_event,
            "topic": cause.topic,
            "partition": cause.partition,
            "offset": cause.offset,
        },
    }
    return msgspec.json.encode(record | ({"announce": True} if mode == ANNOUNCED_BACKFILL else {}))


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
whole = st.integers(0, 2**63 - 1)
refs = st.builds(EventRef, texts, texts, whole, whole)
numbers = whole | st.floats(0, allow_infinity=False)


def values_of(feature: Feature, numbers_or_texts: Sequence[object], rng: random.Random) -> object:
    """A value that *feature* may have, out of some."""
    match feature.kind:
        case "distinct" | "distinct_days":
            return rng.choice([b"", bytes(8), feature.at_most])
        case "latest":
            return rng.choice([None, (0, "e1", rng.choice(numbers_or_texts))])
        case "flag":
            return rng.choice([None, True])
        case _:
            return rng.choice([None, *(one for one in numbers_or_texts if not isinstance(one, str))])


@st.composite
def changes(draw) -> ScoreChange:
    pack: CompiledPack = draw(st.sampled_from(PACKS))

    # Drawn once and dealt out: to draw for every rule takes longer than all the rest.
    rng = random.Random(draw(st.integers()))
    known = draw(st.lists(numbers | texts, min_size=1, max_size=4))
    moved_by = [encode_ref(ref) for ref in (None, *draw(st.lists(refs, max_size=3)))]
    before, after = (tuple(rng.choice((0, 1, rule.points_max)) for rule in pack.rules) for _ in range(2))
    return ScoreChange(
        draw(st.binary(min_size=16, max_size=16)).hex(),
        draw(texts),
        draw(st.none() | texts),
        pack,
        draw(whole),
        draw(st.integers(946_684_800_000, 253_402_300_799_999)),
        before,
        after,
        tuple(values_of(feature, known, rng) for feature in pack.pack.features),
        tuple(rng.choice(moved_by) for _ in pack.rules),
        draw(refs),
        draw(texts),
    )


@given(changes(), st.sampled_from([LIVE, BACKFILL, ANNOUNCED_BACKFILL]))
def test_a_record_is_that_of_the_plain_encoder(change, mode):
    """Whatever a lead, a producer and a pack say: byte for byte what a plain encoder writes, also the second time."""
    expected = plain_record(change, mode)

    assert expected == encode_score_changed(change, mode)
    assert expected == encode_score_changed(change, mode)


def test_what_is_remembered_of_points_is_bounded(last):
    """A pack of fine points has more of them than there is memory: it starts afresh, and records stay the same."""
    templates = score_changed._templates_of(PACK)
    nothing = PACK.points_unset
    for number in range(score_changed._TEMPLATES_MAX + 1):
        templates[nothing, (number // 100, number % 100, *nothing[2:])]

    assert len(templates) < score_changed._TEMPLATES_MAX
    assert plain_record(last.change, LIVE) == encode_score_changed(last.change)


@given(st.binary())
def test_any_bytes_are_a_change_or_none(value):
    """Nothing that lies in the topic can stop a worker."""

    assert decode_score_changed(value, PACK) is None
