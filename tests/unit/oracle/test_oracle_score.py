from decimal import Decimal
from fractions import Fraction

import pytest

from tests.oracle.decode import Event
from tests.oracle.facts import known_of, revenue_band, word
from tests.oracle.score import (
    PQL_100_LINEAR,
    as_number,
    changes,
    iso_of,
    qualifications,
    replay,
    score,
)

T0_MS = 1767607200000  # 2026-01-05T10:00:00Z
HOUR_MS = 3_600_000


def event(name, after_ms=0, event_id="e", account_id=None, **properties):
    return Event(event_id, "u1", account_id, name, T0_MS + after_ms, properties)


def runs(count, after_ms=0):
    return [event("workflow_success", after_ms, f"r{count}-{n}", run_id=n) for n in range(count)]


def features(count):
    return [event("feature_used", n, f"f{n}", feature=f"feature {n}") for n in range(count)]


def points_of(events, pack=None):
    (lead,) = score(events, pack) if pack else score(events)
    return {contribution["rule"]: contribution["points"] for contribution in lead["contributions"]}


PERFECT = [
    event("trial_created"),
    *features(7),
    *runs(50, HOUR_MS - 1),
    event("compliance_level_changed", level="Advanced"),
    event("feature_requested", event_id="q1"),
    event("feature_requested", event_id="q2"),
    event("tutorial_completed"),
    event("identify", team_size=6, company_revenue="$10M\u2013$100M", industry="Health-Care"),
]


def test_the_best_lead_there_is():
    """Every rule at its highest band adds up to 100."""
    (lead,) = score(PERFECT)

    assert lead["score"] == 100
    assert lead["tier"] == "platinum"
    assert lead["groups"] == {"usage": 40, "engagement": 30, "business": 30}


def test_a_lead_of_whom_nothing_is_known():
    """It scores 0, also in time to first value, and has no change."""
    (lead,) = score([event("login")])

    assert (lead["score"], lead["tier"]) == (0, "unqualified")
    assert changes([event("login")]) == []


@pytest.mark.parametrize(("count", "points"), [(2, 0), (3, 5), (4, 5), (5, 10), (6, 10), (7, 15), (9, 15)])
def test_feature_bands(count, points):
    """3, 5 and 7 features are where the points rise."""
    assert points_of(features(count))["feature_adoption"] == points


@pytest.mark.parametrize(("count", "points"), [(4, 0), (5, 5), (19, 5), (20, 10), (49, 10), (50, 15)])
def test_run_bands(count, points):
    """5, 20 and 50 runs are where the points rise."""
    assert points_of(runs(count))["workflow_success"] == points


@pytest.mark.parametrize(
    ("after_ms", "points", "shown"),
    [
        (-1, 0, -0.01),
        (0, 15, 0),
        (3_599_999, 15, 3599.99),
        (3_600_000, 10, 3600),
        (86_400_000, 5, 86400),
        (604_799_999, 5, 604799.99),
        (604_800_000, 0, 604800),
    ],
)
def test_time_to_first_value(after_ms, points, shown):
    """The bands are exact to the millisecond, and the seconds shown are cut."""
    events = [event("trial_created"), event("workflow_success", after_ms)]
    (lead,) = score(events)
    (contribution,) = [c for c in lead["contributions"] if c["rule"] == "time_to_first_value"]

    assert (contribution["points"], contribution["input"]) == (points, shown)


@pytest.mark.parametrize(
    ("text", "lower"),
    [
        ("<1M", "0.01"),
        ("1M-10M", "1000000"),
        ("$10M\u2013$100M", "10000000"),
        ("100M+", "100000000"),
        (">10M", "10000000"),
        ("10-50M", "10000000"),
        ("500-1M", "500"),
        ("0-1m", "0.01"),
        (" > $ 1,500.5 k ", "1500500"),
        ("50M-10M", None),
        ("<0", None),
        ("10M", None),
        ("\u20ac5M+", None),
        ("1,00M+", None),
    ],
)
def test_revenue_bands(text, lower):
    """R17, and the bands that section 3 shows."""
    assert revenue_band(text) == (None if lower is None else Fraction(lower))


def test_words():
    """R14: the spellings of one word."""
    assert {word(" Financial__Services"), word("FINANCIAL-services- "), word("financial services")} == {
        "financial services"
    }


def test_unknown_values_do_not_replace_known_ones():
    """R16 and R19: a wrong type is unknown, an unlisted industry is not."""
    known = known_of(
        [
            event("identify", 0, team_size=5.0, industry="finance", company_revenue_usd=20_000_000),
            event("compliance_level_changed", 0, level="basic"),
            event("identify", 1, team_size="6", employees=-1, company_revenue_usd="1", industry="retail"),
            event("compliance_level_changed", 1, level="gold"),
        ]
    )

    assert (known.team_size, known.revenue, known.industry, known.level) == (5, 20_000_000, "retail", "basic")


def test_the_greater_id_and_then_the_greater_value_wins():
    """R18: at the same time the id decides by code points, at the same id the value."""
    by_id = [
        event("group", event_id="\uff5e", team_size=9),
        event("group", event_id="\U0001f600", team_size=2),
    ]
    by_value = [event("group", team_size=9), event("group", team_size=10)]

    assert known_of(by_id).team_size == known_of(reversed(by_id)).team_size == 2
    assert known_of(by_value).team_size == known_of(reversed(by_value)).team_size == 10


def test_posts_and_requests():
    """R15: one request by either name, one run by integer or string, own ids in a namespace of their own."""
    known = known_of(
        [
            event("community_post", event_id="x1", post_id="a"),
            event("community_post", event_id="x2", post_id="a", kind="Forum-Post"),
            event("community_post", event_id="a"),
            event("community_post", event_id="x3", post_id="b", kind="feature_request"),
            event("feature_requested", event_id="x4", request_id="b"),
            event("community_post", event_id="x5", post_id="c", kind="chat"),
            event("workflow_success", event_id="x6", run_id=5),
            event("workflow_completed", event_id="x7", run_id="5", status=" Success "),
            event("workflow_completed", event_id="x8", run_id="6", status="failed"),
            event("workflow_failed", event_id="x9", run_id="7"),
        ]
    )

    assert (known.posts, known.requests, known.runs) == (2, 1, 1)


def test_a_change_says_what_moved_and_by_whom():
    """The third feature moves one rule; the fourth none; the fifth the same rule again."""
    events = [
        Event(
            f"e{n}",
            "u1",
            "acme" if n == 2 else None,
            "feature_used",
            T0_MS + n,
            {"feature": n},
            place=("t", 0, n),
        )
        for n in range(1, 6)
    ]
    first, second = changes([*events, events[0]])
    moved = first["contributions"][0]

    assert (first["sequence"], first["score_before"], first["score_after"]) == (1, 0, 5)
    assert moved["moved_by"] == {"event_id": "e3", "topic": "t", "partition": 0, "offset": 3}
    assert (moved["points_before"], moved["points"], moved["input"]) == (0, 5, 3)
    assert first["contributions"][1]["moved_by"] is None
    assert first["cause"] == moved["moved_by"] | {"event": "feature_used"}
    assert (first["account_id"], first["occurred_at"]) == ("acme", "2026-01-05T10:00:00.003Z")
    assert (second["sequence"], second["contributions"][0]["moved_by"]["event_id"]) == (2, "e5")


def test_an_exchange_of_points_is_a_change_of_none():
    """A change is one of any rule's points, also where the score stays as it was."""
    events = [
        event("identify", 0, "e1", team_size=2, company_revenue_usd=10_000_000),
        event("identify", 1, "e2", team_size=6, company_revenue_usd=1),
    ]
    last = changes(events)[-1]

    assert (last["sequence"], last["score_before"], last["score_after"]) == (2, 15, 15)


def test_tiers_are_announced_once_and_upwards():
    """Two tiers at once are one record; falling and rising again is none."""
    silver = [e for e in PERFECT if e.name not in ("identify", "tutorial_completed")]
    up = event("identify", 1, "up", team_size=6)
    down = event("identify", 2, "down", team_size=0)
    again = event("identify", 3, "again", team_size=6)

    made = qualifications([*silver, up, down, again])

    assert [(q["tier_before"], q["tier"], q["score"]) for q in made] == [
        ("unqualified", "bronze", 60),
        ("bronze", "silver", 75),
    ]
    assert [(q["sales_ready"], q["handoff"]) for q in made] == [(False, "delayed"), (True, "standard")]


def test_a_jump_over_tiers_writes_one_record():
    """From unqualified to gold in one event: one record, for gold."""
    before = [e for e in PERFECT if e.name not in ("identify", "compliance_level_changed")]
    profile = event("identify", 1, "up", team_size=6, company_revenue="10M+", industry="banking")

    (made,) = qualifications([*before[:-1], profile])

    assert (made["tier_before"], made["tier"], made["score"]) == ("unqualified", "gold", 85)
    assert made["profile"] == {
        "team_size": 6,
        "industry": "banking",
        "segment": None,
        "company_revenue_usd": 10_000_000,
    }


def test_the_linear_pack():
    """2.14 a feature and 0.3 a run, each up to 15, in exact hundredths."""
    points = points_of([*features(3), *runs(7)], PQL_100_LINEAR)

    assert (points["feature_adoption"], points["workflow_success"]) == (6.42, 2.1)
    assert points_of(features(7), PQL_100_LINEAR)["feature_adoption"] == 14.98
    assert points_of([*features(8), *runs(60)], PQL_100_LINEAR)["feature_adoption"] == 15
    assert score(runs(60), PQL_100_LINEAR)[0]["contributions"][1]["input"] == 50


def test_the_final_score_is_the_same_whatever_the_order():
    """Arrival decides the changes, never the score."""
    backwards = replay(PERFECT[::-1]).scores[0]

    assert backwards["score"] == score(PERFECT)[0]["score"] == 100


def test_numbers_and_times_as_they_are_written():
    """At most two decimals, cut; whole numbers without a point."""
    assert [as_number(Decimal(text)) for text in ("5.00", "2.14", "0.999", "1E+30")] == [
        5,
        2.14,
        0.99,
        10**30,
    ]
    assert iso_of(T0_MS + 7) == "2026-01-05T10:00:00.007Z"
