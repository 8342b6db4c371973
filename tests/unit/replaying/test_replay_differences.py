"""What `make replay-proof` calls a difference: each kind of it is seen, and what may differ is none."""

import orjson
import pytest

from tests.replay_proof.comparing import Made, differences

CHANGES = [
    {
        "lead_id": lead,
        "sequence": number,
        "score_after": number,
        "mode": "live",
        "cause": {"offset": number},
        "contributions": [{"points": number, "moved_by": {"offset": number}}],
    }
    for lead in ("a", "b")
    for number in (1, 2)
]
SCORE = {"lead_id": "a", "score": 5, "contributions": [{"points": 5, "moved_by": {"offset": 7}}]}


def made(*changes, score=SCORE, rejected="not_json") -> Made:
    found = Made(scores={"a": score})
    found.rejected[rejected] += 1
    found.take(map(orjson.dumps, changes))
    return found


def elsewhere(record):
    """*record*, if its events lay in a file."""
    there = {"offset": 99}
    parts = [part | {"moved_by": there} for part in record["contributions"]]
    return record | {"contributions": parts} | ({"cause": there} if "cause" in record else {})


ALL = made(*CHANGES)
FROM_FILE = made(*map(elsewhere, CHANGES), score=elsewhere(SCORE))


def found(other: Made, several_routes: str = "", *, same_places: bool = False) -> list[str]:
    return [one.partition(":")[0] for one in differences(ALL, other, several_routes, same_places=same_places)]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (made(*CHANGES), []),
        (FROM_FILE, []),
        (made(*CHANGES[:-1]), ["changes"]),
        (made(CHANGES[1], CHANGES[0], *CHANGES[2:]), ["changes"]),
        (made(*CHANGES[:-1], CHANGES[-1] | {"score_after": 9}), ["changes"]),
        (made(*CHANGES, CHANGES[-1]), ["changes"]),
        (made(*CHANGES, score=SCORE | {"score": 6}), ["final state"]),
        (made(*CHANGES, rejected="bad_type"), ["rejected"]),
    ],
    ids=["same", "elsewhere", "missing", "order", "content", "twice", "score", "rejected"],
)
def test_each_kind_of_difference_is_seen(other, expected):
    """
    But for where an event lay.
    """
    assert expected == found(other)


def test_the_same_records_may_differ_in_nothing():
    """
    Replayed from the topic, an event lies where the stream read it.
    """
    assert ["score", "sequence"] == found(FROM_FILE, same_places=True)
    assert [] == found(made(*CHANGES), same_places=True)


def test_the_order_between_two_routes_is_not_fixed():
    """
    The final state of such a lead is, and the sequences of the others are.
    """
    swapped = made(*CHANGES[:2], CHANGES[3], CHANGES[2])

    assert [] == found(swapped, "b")
    assert ["changes"] == found(swapped, "a")
