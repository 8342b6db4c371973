"""The bad records of the demo are bad for the reasons they name."""

from collections import Counter
from typing import get_args

from pql_stream.errors import InvalidEvent, RejectReason
from pql_stream.ops.demo.dirt import dirt
from pql_stream.wire.events import decode_event
from tests.oracle.decode import Event, Rejected, read_record

WRITTEN_AT_MS = 1_717_243_200_000
"""2024-06-01T12:00:00Z, as the records' own times: the broker's clock when they were written."""


def test_each_record_is_refused_for_its_reason():
    """The decoder and the contract's oracle both refuse every record but the tombstones, as it says."""
    bad = [record for record in dirt() if record.reason is not None]

    reasons = []
    for record in bad:
        try:
            decode_event(record.value, "t", 0, 0, timestamp_ms=WRITTEN_AT_MS, headers=record.headers)
        except InvalidEvent as exc:
            reasons.append(exc.reason)
    judged = [read_record(record.value, headers=record.headers, timestamp_ms=WRITTEN_AT_MS) for record in bad]

    assert [record.reason for record in bad] == reasons
    assert [record.reason for record in bad] == [answer.reason for answer in judged if isinstance(answer, Rejected)]


def test_every_reason_that_a_producer_can_cause_is_there():
    """All of the closed list but our own bugs; and tombstones, null and empty."""
    records = dirt()

    assert set(get_args(RejectReason)) - {"internal_error"} | {None} == {record.reason for record in records}
    assert {None, b""} == {record.value for record in records if record.reason is None}


def test_a_seed_gives_the_same_records_every_time():
    """The order and the keys are the seed's; what is in the records is always the same."""
    first, again, other = dirt(1), dirt(1), dirt(2)

    assert first == again
    assert first != other
    assert Counter(record.value for record in first) == Counter(record.value for record in other)


def test_no_key_is_that_of_a_real_lead():
    """Dirt under a lead's key would look like that lead's fault."""
    keys = {record.key for record in dirt()}

    assert None in keys
    assert all(key is None or key.startswith(b"dirt-") for key in keys)


def test_the_oracle_takes_the_undamaged_record():
    """The records are bad for what was changed in them, not for what they are made from."""
    good = next(record.value for record in dirt() if record.reason == "not_json" and record.value.endswith(b"{}"))

    assert isinstance(read_record(good.removesuffix(b"{}")), Event)
