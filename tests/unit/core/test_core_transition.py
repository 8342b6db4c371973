"""advance(): states, changes and qualifications of one lead, event by event."""

import re

import msgspec
import pytest

from pql_stream.core.packs import CompiledPack
from pql_stream.core.refs import EventRef, decode_ref
from pql_stream.core.transition import advance, contributions, reasons
from pql_stream.testing.builders import JAN_5_MS, product_event
from tests.unit.core.every_kind import DAY_MS, EVERY_KIND, every_kind

RULES = [rule.name for rule in EVERY_KIND.rules]


@pytest.fixture(scope="module")
def pack() -> CompiledPack:
    return every_kind()


def run(pack, *events, state=None) -> list:
    """The steps of *events*, one after the other."""
    steps = []
    for event in events:
        steps.append(advance(state, event, pack))
        state = steps[-1].state
    return steps


def told(level=None, size=None, **given):
    return product_event("told", **{"level": level, "size": size} | given)


def at(offset, **given):
    """Times, ids and offsets that rise together."""
    return {"occurred_at_ms": JAN_5_MS + offset, "event_id": f"e{offset}", "offset": offset} | given


HOT = (product_event("measured", load=11, **at(1)), product_event("paid", **at(2)), told("high", **at(3)))
"""20 + 10 + 10 = 40 points: warm; with a team of 10 it is 50.1: hot."""


def test_an_event_of_an_unknown_name_is_seen_and_earns_nothing(pack):
    """The lead exists from now on, with every rule at 0."""
    (step,) = run(pack, product_event("else", account_id="acme"))

    assert (None, None) == (step.change, step.qualification)
    assert (JAN_5_MS, JAN_5_MS, "acme") == (
        step.state.first_seen_at_ms,
        step.state.last_seen_at_ms,
        step.state.account_id,
    )
    assert (0, 0, 0) == (sum(step.state.pack.points), step.state.pack.sequence, step.state.pack.announced)


def test_a_change_says_what_was_and_what_is(pack):
    """Points before and after, inputs, who moved which rule, and the cause."""
    first, second = run(
        pack,
        product_event("paid", **at(1)),
        product_event("Told ", level="low", size=7, account_id="acme", partition=2, **at(5)),
    )
    change = second.change

    cause = EventRef("e5", "product-activity", 2, 5)
    assert ("u1", "acme", 2, JAN_5_MS + 5) == (
        change.lead_id,
        change.account_id,
        change.sequence,
        change.occurred_at_ms,
    )
    assert (first.change.points, (0, 0, 0, 333, 1000, 0, 707)) == (change.points_before, change.points)
    assert (1000, 2040, "cold", "cold") == (
        change.score_before,
        change.score_after,
        change.tier_before,
        change.tier_after,
    )
    assert dict.fromkeys(RULES) | {
        "level": cause,
        "size": cause,
        "paid": EventRef("e1", "product-activity", 0, 1),
    } == dict(zip(RULES, map(decode_ref, change.moved_by), strict=True))
    assert (0, 0, None, "low", True, {"peak": None, "trough": None}, 7) == pack.inputs(change.features)
    assert (cause, "Told ") == (change.cause, change.cause_event)


def test_sequences_count_changes_only(pack):
    """Events that move no points take no number."""
    steps = run(
        pack, told("low", **at(1)), product_event("else", **at(2)), told("other", **at(3)), told("high", **at(4))
    )

    assert [1, None, None, 2] == [step.change and step.change.sequence for step in steps]


def test_a_feature_may_change_without_a_change(pack):
    """A known word that earns the same points is remembered, and nothing is said."""
    first, second = run(pack, told(size=20, **at(1)), told(size=30, **at(2)))

    assert 2000 == first.change.score_after
    assert second.change is None
    assert (second.state.pack is first.state.pack, 30) == (True, second.state.features[5][2])


def test_a_repeat_gives_the_very_same_state(pack):
    """An event that is read again leaves the object that went in, so its row need not be written."""
    *_, last = run(pack, *HOT)

    for event in HOT:
        step = advance(last.state, event, pack)
        assert step.state is last.state
        assert (None, None) == (step.change, step.qualification)


@pytest.mark.parametrize(
    ("offset", "first", "last"), [(-5, -5, 10), (5, 0, 10), (15, 0, 15)], ids=["before", "within", "after"]
)
def test_first_and_last_seen(pack, offset, first, last):
    """The least and the greatest time of all events, whatever the order."""
    *_, step = run(pack, *(product_event("else", **at(ms)) for ms in (10, 0, offset)))

    assert (JAN_5_MS + first, JAN_5_MS + last) == (step.state.first_seen_at_ms, step.state.last_seen_at_ms)


@pytest.mark.parametrize(
    ("events", "account"),
    [
        ([at(1, account_id="a"), at(2, account_id="b")], "b"),
        ([at(2, account_id="b"), at(1, account_id="a")], "b"),
        ([at(1, account_id="a"), at(2)], "a"),
        ([at(1, account_id="a"), at(1, account_id="b")], "b"),
        ([at(1), at(2)], None),
    ],
    ids=["later", "out of order", "absent", "same time and id", "never"],
)
def test_the_account_is_the_latest_known(pack, events, account):
    """R23: by time, event id and value, like every other field."""
    *_, step = run(pack, *(product_event("else", **given) for given in events))

    assert account == step.state.account_id


def test_a_late_event_can_take_points_away(pack):
    """An earlier beginning makes the time longer: the score falls, and the change says so."""
    _, fast, slow = run(
        pack,
        product_event("began", occurred_at_ms=JAN_5_MS),
        product_event("ended", occurred_at_ms=JAN_5_MS + 1000),
        product_event("began", occurred_at_ms=JAN_5_MS - DAY_MS // 2),
    )

    assert ([0, 1500], [1500, 500]) == (
        [fast.change.score_before, fast.change.score_after],
        [slow.change.score_before, slow.change.score_after],
    )


def test_contributions_are_the_score(pack):
    """Every rule in the pack's order, with its group, its part and its maximum; together they are the score."""
    *_, step = run(pack, *HOT)

    parts = contributions(step.state, pack)
    assert RULES == [part.rule for part in parts]
    assert step.change.score_after == sum(part.points for part in parts)
    assert [(rule.group, rule.points_max) for rule in EVERY_KIND.rules] == [
        (part.group, part.points_max) for part in parts
    ]
    assert ("paid", True, EventRef("e2", "product-activity", 0, 2)) == next(
        (part.rule, part.input, part.moved_by) for part in parts if part.rule == "paid"
    )


# --- qualifications ---


def qualifications(steps) -> list[tuple[str, str]]:
    return [(step.qualification.tier_before, step.qualification.tier) for step in steps if step.qualification]


def test_rising_a_tier_qualifies_once_a_tier(pack):
    """Each tier that is reached is announced once, with the one announced before."""
    steps = run(pack, *HOT, told("high", 10, **at(4)))

    assert [("cold", "warm"), ("warm", "hot")] == qualifications(steps)


def test_a_jump_of_two_tiers_is_one_qualification(pack):
    """The tiers in between are passed over in silence."""
    steps = run(pack, HOT[0], HOT[1], told("high", 10, **at(4)), product_event("used", thing=1, **at(5)))

    assert [("cold", "warm"), ("warm", "hot")] == qualifications(steps)
    steps = run(pack, HOT[0], told("low", **at(3)), told("high", 20, **at(4)))
    assert [("cold", "hot")] == qualifications(steps)


def test_falling_and_rising_again_announces_nothing(pack):
    """A qualification is an edge over the highest tier announced, never a level."""
    rise = (*HOT, told("high", 10, **at(4)))
    steps = run(pack, *rise, told("low", 0, **at(5)), told("high", 10, **at(6)), told("high", 20, **at(7)))

    assert ["hot", "warm", "hot", "hot"] == [step.change.tier_after for step in steps[3:]]
    assert [("cold", "warm"), ("warm", "hot")] == qualifications(steps)


def test_after_a_fall_only_a_higher_tier_is_announced(pack):
    """tier_before is the highest tier announced, not the tier of the score before."""
    steps = run(
        pack,
        *HOT,
        told("high", 10, **at(4)),
        told("low", 0, **at(5)),
        product_event("began", **at(6)),
        product_event("ended", **at(7)),
        told("high", 20, **at(8)),
    )

    assert ("hot", "blazing") == qualifications(steps)[-1]
    assert "warm" == steps[-1].change.tier_before


def test_what_a_qualification_says(pack):
    """Everything sales needs, taken from the change that made it."""
    *_, step = run(pack, *HOT[:2], told("high", 12.0, account_id="acme", **at(4)))
    made, change = step.qualification, step.change

    assert ("u1", "acme", "every-kind", 3, "hot", "warm") == (
        made.lead_id,
        made.account_id,
        made.pack,
        made.pack_version,
        made.tier,
        made.tier_before,
    )
    assert (change.score_after, True, "now", change.occurred_at_ms, change.change_id) == (
        made.score,
        made.sales_ready,
        made.handoff,
        made.occurred_at_ms,
        made.change_id,
    )
    assert {"level": "high", "size": 12} == made.profile


def test_an_unknown_profile_is_null(pack):
    """What is not known of the profile is there, as null."""
    *_, step = run(pack, HOT[0], HOT[1])

    assert {"level": None, "size": None} == step.qualification.profile


def test_reasons_largest_first_and_none_for_nothing(pack):
    """A sentence for every rule with points, the largest first, equal ones in the pack's order."""
    *_, step = run(pack, *HOT, told("low", 7, **at(4)), product_event("used", thing="a", **at(5)))

    assert (
        "Peak of 11 (+20)",
        "Has paid (+10)",
        "Team of 7 (+7.07)",
        "1 days (+5)",
        "Level low (+3.33)",
        "1 things (+2.5)",
    ) == reasons(step.state.features, step.state.pack.points, pack)


# --- ids ---


def changed(pack, *, lead_id="u1", event_id="e1", **given):
    return advance(None, told("low", lead_id=lead_id, event_id=event_id, **given), pack).change.change_id


def other(**changes) -> CompiledPack:
    return CompiledPack(msgspec.structs.replace(EVERY_KIND, **changes))


def test_a_change_id_is_a_pure_function(pack):
    """The same lead, pack, version, sequence and event give the same id, wherever the record lies."""

    assert re.fullmatch("[0-9a-f]{32}", changed(pack))
    assert changed(pack) == changed(every_kind(), offset=99, topic="a-file", account_id="acme")


def test_change_ids_differ_in_every_part(pack):
    """Another lead, pack, version, sequence or event is another id, also where the parts run together."""
    second = run(pack, told("low", **at(1)), told("high", **at(2, event_id="e1")))[1].change.change_id
    ids = [
        changed(pack),
        changed(pack, lead_id="u2"),
        changed(pack, event_id="e2"),
        changed(other(version=4)),
        changed(other(name="every-other")),
        second,
        changed(pack, lead_id="u1", event_id="1:e1"),
        changed(pack, lead_id="u11", event_id="e1"),
        changed(pack, lead_id="u11:1", event_id="e1"),
        changed(other(name="every-kind3", version=3)),
        changed(other(version=33)),
    ]

    assert len(ids) == len(set(ids))


def qualified(pack, lead_id="u1", count=3, **given):
    events = [msgspec.structs.replace(event, lead_id=lead_id, **given) for event in (*HOT, told("high", 20, **at(4)))]
    made = [step.qualification for step in run(pack, *events) if step.qualification]
    return made[count - 2].qualification_id


def test_a_qualification_id_is_of_lead_pack_and_tier_only(pack):
    """Another version, event or way up gives the same id; another lead, pack or tier another one."""

    assert re.fullmatch("[0-9a-f]{32}", qualified(pack))
    assert qualified(pack) == qualified(other(version=9), event_id="e99", offset=7)
    ids = [
        qualified(pack),
        qualified(pack, lead_id="u2"),
        qualified(other(name="every-other")),
        qualified(pack, count=2),
    ]
    assert len(ids) == len(set(ids))
