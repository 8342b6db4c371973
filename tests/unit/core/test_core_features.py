"""Folds: what one event does to one feature."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.features import MEMBER_BYTES, NO_MEMBERS, Feature
from pql_stream.core.folds import _added, _places, compile_fold
from pql_stream.core.values import INT64_MAX
from pql_stream.testing.builders import JAN_5_MS, product_event
from tests.unit.core.every_kind import DAY_MS, source

LIKE_MEMBERS = [bytes(halves[0] * 4 + halves[1] * 4) for halves in product(([0], [1]), repeat=2)] + [b"\0\1" * 4]


def folded(feature: Feature, *events, value=None):
    """The feature's value after *events*, in their order, by its first source."""
    fold = compile_fold(feature, feature.sources[0])
    after = feature.unset if value is None else value
    for event in events:
        after = fold(after, event)
    return after


def used(thing=None, **given):
    return product_event("used", **({} if thing is None else {"thing": thing}), **given)


def things(at_most=3, *, or_event_id=False) -> Feature:
    return Feature("things", "distinct", (source("used", read={"thing": "id"}, or_event_id=or_event_id),), at_most)


def latest(read_as="word", words=()) -> Feature:
    return Feature("told", "latest", (source("told", read={"told": read_as}),), words=frozenset(words))


def number(kind) -> Feature:
    return Feature("load", kind, (source("measured", read={"load": "number"}),))


def test_distinct_counts_a_thing_once():
    """Two events of one thing count as one, and the second leaves the very same object."""
    once = folded(things(), used("a"))

    assert MEMBER_BYTES == len(once)
    assert folded(things(), used("a", event_id="e2"), value=once) is once


def test_distinct_at_its_bound_is_the_bound_and_stays():
    """At the bound the ids are forgotten: the value is the number, and nothing moves it any more."""
    full = folded(things(), used("a"), used("b"), used("c"))

    assert 3 == full
    assert folded(things(), used("d"), value=full) is full


def test_distinct_of_one_is_full_at_once():
    """A bound of one needs no set."""

    assert 1 == folded(things(at_most=1), used("a"))


def test_distinct_keeps_eight_bytes_an_id():
    """What is kept of an id is a hash of eight bytes, however long the id is."""

    assert 8 == MEMBER_BYTES == len(folded(things(), used("x" * 256)))


@given(st.lists(st.sampled_from(LIKE_MEMBERS), max_size=10))
def test_members_are_those_that_were_added_rising_and_once(added):
    """Members that look like the end of one and the start of the next are neither lost nor kept twice."""
    members = NO_MEMBERS
    for member in added:
        members = _added(members, member, _places(99))

    assert b"".join(sorted(set(added))) == members


def test_without_an_id_nothing_is_counted():
    """A thing that is absent or unknown does not count, unless the event itself may."""

    assert NO_MEMBERS == folded(things(), used(), used(5.5), used(["a"]))


def test_without_an_id_the_event_may_count():
    """With or_event_id every event without an id is a thing of its own, and a repeat is the same one."""
    feature = things(or_event_id=True)

    assert 2 * MEMBER_BYTES == len(folded(feature, used(event_id="e1"), used(event_id="e2"), used(event_id="e1")))


def test_event_ids_are_in_a_namespace_of_their_own():
    """R15: a thing that is called like an event is another thing."""

    assert 2 * MEMBER_BYTES == len(folded(things(or_event_id=True), used("e1"), used(event_id="e1")))


def test_distinct_days():
    """The days of the events, UTC, up to the bound; midnight begins a day."""
    feature = Feature("days", "distinct_days", (source("used"),), at_most=3)
    midnight = JAN_5_MS // DAY_MS * DAY_MS
    before, at, later = (used(occurred_at_ms=midnight + ms) for ms in (-1, 0, DAY_MS - 1))

    two = folded(feature, before, at, later)

    assert b"".join((midnight // DAY_MS + day).to_bytes(MEMBER_BYTES) for day in (-1, 0)) == two
    assert folded(feature, at, value=two) is two
    assert 3 == folded(feature, used(occurred_at_ms=midnight + DAY_MS), value=two)
    assert 3 == folded(feature, before, value=3)


def test_times():
    """The earliest and the latest time; an event that is neither leaves the very same object."""
    events = [used(occurred_at_ms=JAN_5_MS + ms) for ms in (500, 0, 900, 500)]
    earliest, latest_time = (Feature("at", kind, (source("used"),)) for kind in ("earliest", "latest_time"))

    assert JAN_5_MS == folded(earliest, *events)
    assert JAN_5_MS + 900 == folded(latest_time, *events)
    first = JAN_5_MS
    assert folded(earliest, events[0], value=first) is first
    last = JAN_5_MS + 900
    assert folded(latest_time, events[0], value=last) is last


@pytest.mark.parametrize(
    ("other", "wins"),
    [
        ({"occurred_at_ms": JAN_5_MS + 1, "event_id": "a", "told": "a"}, True),
        ({"occurred_at_ms": JAN_5_MS - 1, "event_id": "z", "told": "z"}, False),
        ({"event_id": "n", "told": "a"}, True),
        ({"event_id": "l", "told": "z"}, False),
        ({"event_id": "\U0001f600", "told": "a"}, True),
        ({"event_id": "m", "told": "n"}, True),
        ({"event_id": "m", "told": "l"}, False),
        ({"event_id": "m", "told": "m"}, False),
    ],
    ids=[
        "later", "earlier", "greater id", "lesser id", "id by code points", "greater value", "lesser value",
        "the same",
    ],
)  # fmt: skip
def test_latest_is_the_greatest_by_time_id_and_value(other, wins):
    """R18: time decides, then the id by code points, then the value; in either order of arrival."""
    one = {"occurred_at_ms": JAN_5_MS, "event_id": "m", "told": "m"}
    events = [product_event("told", **one), product_event("told", **(one | other))]
    winner = (one | other) if wins else one

    expected = (winner["occurred_at_ms"], winner["event_id"], winner["told"])
    assert expected == folded(latest(), *events)
    assert expected == folded(latest(), *reversed(events))


def test_greater_numbers_win_by_size():
    """R18: of two numbers at one time and id the greater wins by size, not by its digits."""
    events = [product_event("told", told=value) for value in (9, 10, 9.5)]

    assert (JAN_5_MS, "e1", 10) == folded(latest("number"), *events)


@pytest.mark.parametrize("unknown", [None, "", 5, "platinum"], ids=repr)
def test_unknown_replaces_nothing(unknown):
    """A later value that is unknown, or outside the list, leaves the known one."""
    known = product_event("told", told="basic")
    later = product_event("told", told=unknown, occurred_at_ms=JAN_5_MS + 1)

    assert (JAN_5_MS, "e1", "basic") == folded(latest(words=["none", "basic"]), known, later)


def test_the_first_known_property_counts():
    """R16: of two names for one thing the first that is known counts."""
    feature = Feature("size", "latest", (source("told", read={"team_size": "whole", "employees": "whole"}),))

    assert 7 == folded(feature, product_event("told", team_size=7, employees=8))[2]
    assert 8 == folded(feature, product_event("told", team_size="many", employees=8))[2]
    assert folded(feature, product_event("told", team_size=5.5, employees=None)) is None


def test_flag():
    """Any event raises the flag."""

    assert folded(Feature("paid", "flag", (source("paid"),)), product_event("paid")) is True


def test_maximum_and_minimum():
    """The greatest and the least known number; others leave the very same object."""
    events = [product_event("measured", load=load) for load in (5, 9.5, None, 2, "99", -1, 5)]

    assert 9.5 == folded(number("maximum"), *events)
    assert 2 == folded(number("minimum"), *events)
    kept = float(2**70)
    assert folded(number("maximum"), product_event("measured", load=2**70), value=kept) is kept
    kept = INT64_MAX - 1
    assert folded(number("minimum"), product_event("measured", load=INT64_MAX), value=kept) is kept


@pytest.mark.parametrize(
    ("properties", "counts"),
    [
        ({}, True),
        ({"status": None}, True),
        ({"status": " "}, True),
        ({"status": "success"}, True),
        ({"status": " SUCCESS_"}, True),
        ({"status": "failed"}, False),
        ({"status": True}, False),
        ({"status": 0}, False),
        ({"status": "success", "kind": "test"}, False),
    ],
    ids=repr,
)
def test_conditions(properties, counts):
    """Every condition must hold: one of its words, or absent where that is allowed."""
    where = {"status": ["success", None], "kind": [None]}
    feature = Feature("ran", "flag", (source("ran", where=where),))

    assert (True if counts else None) == folded(feature, product_event("ran", **properties))


def test_absent_counts_only_where_it_is_listed():
    """A condition that names words only does not hold where the property is absent."""
    feature = Feature("ran", "flag", (source("ran", where={"status": ["success"]}),))

    assert folded(feature, product_event("ran")) is None
