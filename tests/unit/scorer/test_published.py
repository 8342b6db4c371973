"""What score-changed says of each lead, held against its row: who is ahead, who is behind, what puts it right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from published_world import PACK, TOPICS, Logged

from pql_stream.core.changes import PublishedChange, ScoreChange
from pql_stream.core.refs import EventRef
from pql_stream.core.states import LeadState, PackState
from pql_stream.core.transition import advance
from pql_stream.stream.published import Ahead, Search, Survey, offsets_to_pass
from pql_stream.testing.builders import JAN_5_MS, product_event
from pql_stream.wire.change_models import decode_score_changed
from pql_stream.wire.score_changed import encode_score_changed

LEVELS = ("basic", "advanced")


def steps(count: int, lead_id: str = "u1", cause: str = "e") -> list[tuple[ScoreChange, LeadState]]:
    """Changes of a lead, one after the other, each with the state it leads to."""
    state, made = None, []
    for number in range(1, count + 1):
        level = LEVELS[number % 2]
        event_id, at = f"{cause}{number}", {"occurred_at_ms": JAN_5_MS + number, "offset": number}
        step = advance(
            state, product_event("compliance_level_changed", lead_id, level=level, event_id=event_id, **at), PACK
        )
        state = step.state
        made.append((step.change, state))
    return made


ONE = [change for change, _ in steps(6)]
ROWS = [state.pack for _, state in steps(6)]
"""ROWS[n] knows ONE[n], whose sequence is n + 1."""
OTHER = [change for change, _ in steps(6, cause="x")]
"""Another history of the same lead: the same points by other events."""


def log(*changes: ScoreChange, first: int = 0) -> list[Logged]:
    return [
        Logged(offset, change.lead_id.encode(), encode_score_changed(change))
        for offset, change in enumerate(changes, first)
    ]


def survey(row: PackState | None, *changes: ScoreChange) -> Survey:
    made = Survey(PACK)
    made.add(log(*changes), {} if row is None else {b"u1": row})
    return made


def sequences(records: Sequence) -> list[int]:
    return [decode_score_changed(record.value, PACK).sequence for record in records]


@pytest.mark.parametrize(
    "changes",
    [(ONE[1], ONE[2]), (ONE[1], ONE[2], ONE[1], ONE[2]), (ONE[0], ONE[2])],
    ids=["to the end", "repeated", "an older one before"],
)
def test_a_lead_whose_last_change_is_that_of_its_row_is_in_order(changes):
    """
    Whatever lies before it.
    """
    made = survey(ROWS[2], *changes)

    assert ({}, {}) == (made.ahead(), made.behind())


def test_changes_that_the_row_does_not_know_are_ahead():
    """
    The newest counts and not the last, which may be a repeat; what the row knows is left out.
    """
    made = survey(ROWS[1], ONE[0], ONE[2], ONE[3], ONE[2])

    assert {"u1"} == made.ahead().keys()
    assert {} == made.behind()
    assert 4 == made.ahead()["u1"].newest.sequence
    assert {3, 4} == made.ahead()["u1"].said.keys()


def test_a_lead_without_a_row_is_ahead():
    """
    Its first change was written, and no row yet.
    """

    assert 1 == survey(None, ONE[0]).ahead()["u1"].newest.sequence


def test_an_older_change_at_the_end_is_behind():
    """
    An earlier owner's came late.
    """
    made = survey(ROWS[3], ONE[2], ONE[3], ONE[1])

    assert {} == made.ahead()
    assert (2, 2) == (made.behind()["u1"].last.sequence, made.behind()["u1"].last_offset)


@pytest.mark.parametrize(
    "record",
    [
        Logged(9, b"u1", None),
        Logged(9, b"u1", b""),
        Logged(9, b"u1", b"\xff"),
        Logged(9, None, encode_score_changed(ONE[5])),
        Logged(9, b"u2", encode_score_changed(ONE[5])),
        Logged(9, b"u1", encode_score_changed(ONE[5]).replace(b"pql-100", b"pql-200")),
    ],
    ids=["tombstone", "nothing", "no record", "no key", "another key", "another pack"],
)
def test_what_an_owner_does_not_write_is_no_business_of_ours(record):
    """
    It spoils nothing that we could put right.
    """
    made = Survey(PACK)
    made.add([*log(ONE[0], ONE[1]), record], {b"u1": ROWS[1]})

    assert ({}, {}) == (made.ahead(), made.behind())


def search(row: PackState, late: ScoreChange, *parts: Sequence[ScoreChange]) -> Search:
    """What lies before *late*, in *parts*, the last one first."""
    made = Survey(PACK)
    made.add(log(late, first=100), {b"u1": row})
    found = Search(made.behind(), PACK)
    found.add(log(late, first=100))
    for number, part in enumerate(parts):
        found.add(log(*part, first=50 - number * 10))
    return found


def test_what_came_after_the_late_change_is_written_again():
    """
    In order and with the very same bytes, from however far back; and then the search is over.
    """
    made = search(ROWS[4], ONE[1], [ONE[3], ONE[4]], [ONE[1], ONE[2]])

    assert made.is_over()
    assert log(ONE[2], ONE[3], ONE[4]) == [
        Logged(n, record.key, record.value) for n, record in enumerate(made.repeats())
    ]
    assert {} == made.lost()


def test_the_search_goes_on_until_the_late_change_is_found():
    """
    Only its own earlier copy tells that it is a repeat.
    """
    made = search(ROWS[4], ONE[1], [ONE[2], ONE[3], ONE[4]])

    assert not made.is_over()
    assert [3, 4, 5] == sequences(made.repeats())


def test_a_change_in_between_that_is_gone_is_left_out():
    """
    Compaction may have taken it; the newest is what counts.
    """

    assert [5] == sequences(search(ROWS[4], ONE[1], [ONE[1], ONE[4]]).repeats())


def test_a_lead_whose_newest_change_is_gone_is_lost():
    """
    Nothing that could be written again would be right: a correction follows, under a new number.
    """
    made = search(ROWS[4], ONE[1], [ONE[1], ONE[2]])

    assert [] == made.repeats()
    assert (5, ONE[1].points) == (made.lost()["u1"].newest.sequence, made.lost()["u1"].newest.points)


def test_a_late_change_that_is_no_repeat_is_lost():
    """
    Who drops repeats would drop ours, and believe the late one.
    """
    made = search(ROWS[4], OTHER[1], [ONE[1], ONE[2], ONE[3], ONE[4]])

    assert [] == made.repeats()
    assert {"u1"} == made.lost().keys()


def test_a_late_change_of_the_same_number_and_id_is_put_right():
    """
    The same event under the same number, by another order of the routes, with other points.
    """
    late = encode_score_changed(ONE[1]).replace(b'"points":5,', b'"points":10,')
    made = Survey(PACK)
    made.add([Logged(7, b"u1", late)], {b"u1": ROWS[1]})
    found = Search(made.behind(), PACK)
    found.add(log(ONE[0], ONE[1]))

    assert found.is_over()
    assert [encode_score_changed(ONE[1])] == [record.value for record in found.repeats()]


def test_a_change_of_the_number_of_the_row_with_other_points_is_not_ours():
    """
    It came of another order of the routes.
    """
    other = encode_score_changed(ONE[4]).replace(b'"points":10,', b'"points":5,').replace(b"e5", b"x5")
    made = search(ROWS[4], ONE[1], [ONE[1], ONE[2], ONE[3], ONE[4]])
    spoilt = search(ROWS[4], ONE[1])
    spoilt.add([*log(ONE[1], ONE[2], ONE[3], ONE[4]), Logged(40, b"u1", other)])

    assert made.repeats() == spoilt.repeats()


def ahead(*changes: ScoreChange) -> Ahead:
    return survey(None, *changes).ahead()["u1"]


def test_the_published_change_made_again_overtakes_nothing():
    """
    It is a repeat; with the last of them the lead has caught up.
    """
    published = ahead(ONE[0], ONE[1])

    assert [False, False] == [published.overtaken_by(change) for change in ONE[:2]]
    assert [False, True] == [published.reached_by(change) for change in ONE[:2]]


def test_another_change_in_the_place_of_a_published_one_overtakes_it():
    """
    By another event, or by the same one with other points.
    """
    published = ahead(ONE[0])
    other_points = next(change for change in ONE if change.points != ONE[0].points)

    assert published.overtaken_by(OTHER[0])
    assert ahead(OTHER[0]).overtaken_by(
        ScoreChange(
            **{name: getattr(ONE[0], name) for name in ONE[0].__struct_fields__} | {"points": other_points.points}
        )
    )


def test_a_place_that_nothing_is_known_of_is_not_overtaken():
    """
    Compaction has taken what was published there: it may well be a repeat.
    """
    published = ahead(ONE[0], ONE[2])

    assert not published.overtaken_by(OTHER[1])


def cause(topic: str, partition: int, offset: int) -> Ahead:
    ref = EventRef("e1", topic, partition, offset)
    return Ahead(PublishedChange("c1", "u1", 1, 0, (), ref, "name"), {})


@pytest.mark.parametrize(
    ("causes", "activity", "rekeyed", "filled_in"),
    [
        ([cause(TOPICS.activity, 3, 7)], 8, 0, 0),
        ([cause(TOPICS.activity, 3, 7), cause(TOPICS.activity, 3, 5)], 8, 0, 0),
        ([cause(TOPICS.activity, 1, 7)], 0, 20, 0),
        ([cause(TOPICS.activity, 3, 7), cause(TOPICS.activity, 1, 99)], 8, 20, 0),
        ([cause(TOPICS.activity, 3, 700)], 50, 0, 0),
        ([cause("another topic", 3, 7)], 0, 20, 0),
        ([cause(TOPICS.activity_backfill, 3, 7)], 0, 0, 8),
        ([cause(TOPICS.activity_backfill, 1, 7)], 0, 20, 0),
    ],
    ids=["here", "farthest", "forwarded", "both", "beyond the end", "elsewhere", "filled in", "filled in, forwarded"],
)
def test_how_far_the_sources_must_be_done(causes, activity, rekeyed, filled_in):
    """
    To behind the event where its place is known, else to the end of what was forwarded: a backfill of hours that the
    event is not in keeps nobody waiting.
    """
    ends = dict(zip(TOPICS.sources, (50, 20, 1_000_000), strict=True))
    passed = offsets_to_pass(causes, 3, ends, TOPICS.activity_rekeyed)

    assert dict(zip(TOPICS.sources, (activity, rekeyed, filled_in), strict=True)) == passed
