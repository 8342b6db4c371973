"""Where a range begins or ends, as people write it."""

from __future__ import annotations

import pytest

from pql_stream.ops.replaying.bounds import OffsetBound, PartitionOffsets, TimeBound, parse_bound

JAN_5_MS = 1_767_607_200_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05T10:00:00Z", TimeBound(JAN_5_MS)),
        (" 2026-01-05 11:00:00.0019+01:00 ", TimeBound(JAN_5_MS + 1)),
        (str(JAN_5_MS), TimeBound(JAN_5_MS)),
        ("0", OffsetBound(0)),
        ("946684799999", OffsetBound(946_684_799_999)),
        ("946684800000", TimeBound(946_684_800_000)),
        ("0:1500", PartitionOffsets({0: 1500})),
        ("3:0,0:17", PartitionOffsets({0: 17, 3: 0})),
    ],
)
def test_a_bound_is_a_time_or_an_offset_or_offsets(text, expected):
    """
    A number is a time from the year 2000 on, in milliseconds, and else an offset.
    """
    assert expected == parse_bound(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no time"),
        ("yesterday", "is no time"),
        ("2026-01-05", "is no time"),
        ("2026-01-05T10:00:00", "is no time"),
        ("1999-12-31T23:59:59Z", "is no time"),
        ("-1", "is no time"),
        ("1.5", "is no time"),
        ("\u0663", "is no time"),
        ("0:1,", "is no time"),
        ("0:1,0:2", "names a partition twice"),
        ("9" * 5_000, "no offset is so high"),
        ("0:" + "9" * 5_000, "no offset is so high"),
    ],
)
def test_anything_else_is_refused(text, why):
    """
    With what a bound looks like; a number without end is no trouble.
    """
    with pytest.raises(ValueError, match=why):
        parse_bound(text)
