"""--as-of and --at: two questions about a past time, each answered as if nothing else had been recorded."""

from typing import NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pql_stream.errors import InvalidInput
from pql_stream.replay.cut import Cut, arrived_at_ms
from pql_stream.replay.engine import replay
from pql_stream.replay.parts import CHANGES, REJECTED
from pql_stream.replay.source import Recorded
from pql_stream.testing.builders import JAN_5_MS, native_json
from pql_stream.wire.numbers import rfc3339
from tests.replay.replays import files_in, job_of, on_and_on, say_nothing

MINUTES = st.integers(0, 3).map(lambda minute: JAN_5_MS + 60_000 * minute)
FORMS = ("native", "segment", "posthog", "cloudevents")


class Happened(NamedTuple):
    """An event of some form, or a line that is none."""

    lead: int
    occurred_at_ms: int
    arrived_at_ms: int
    form: str
    is_refused: bool


def line(number: int, happened: Happened) -> bytes:
    _, occurred_ms, arrived_ms, form, is_refused = happened
    id_, lead, time, arrived = f"e{number}", f"u{happened.lead}", rfc3339(occurred_ms), rfc3339(arrived_ms)
    properties = {"feature": f"f{number}"}
    fields = {
        "native": {"event_id": id_, "user_id": lead, "event": "feature_used", "occurred_at": occurred_ms,
                   "properties": properties, "received_at": arrived},
        "segment": {"messageId": id_, "type": "track", "userId": lead, "event": "feature_used", "timestamp": time,
                    "properties": properties, "receivedAt": arrived},
        "posthog": {"uuid": id_, "distinct_id": lead, "event": "feature_used", "timestamp": time,
                    "properties": properties, "received_at": arrived_ms},
        "cloudevents": {"specversion": "1.0", "source": "s", "id": id_, "subject": lead, "type": "a.feature_used",
                        "time": time, "data": properties, "receivedAt": arrived},
    }[form]  # fmt: skip
    if is_refused:
        del fields[{"native": "event", "segment": "event", "posthog": "event", "cloudevents": "type"}[form]]
    return orjson.dumps(fields)


HAPPENED = st.builds(Happened, st.integers(1, 3), MINUTES, MINUTES, st.sampled_from(FORMS), st.booleans())


@settings(max_examples=40, deadline=None)
@given(
    events=st.lists(HAPPENED, max_size=15),
    as_of_ms=st.none() | MINUTES,
    at_ms=st.none() | MINUTES,
)
def test_a_cut_is_as_if_the_rest_had_never_been(tmp_path_factory, events, as_of_ms, at_ms):
    """
    The files are those of a replay of the lines alone that had arrived by --as-of, and happened by --at; the
    others leave blank lines behind, so that the numbers stay. A line that is no event has no time to have happened.
    """
    directory = tmp_path_factory.mktemp("cut")
    lines = [line(number, happened) for number, happened in enumerate(events)]
    counts = [
        (as_of_ms is None or happened.arrived_at_ms <= as_of_ms)
        and (at_ms is None or happened.is_refused or happened.occurred_at_ms <= at_ms)
        for happened in events
    ]
    for name, chosen in (
        ("all", lines),
        ("naive", [line if one else b"" for line, one in zip(lines, counts, strict=True)]),
    ):
        (directory / name).mkdir()
        (directory / name / "events.jsonl").write_bytes(b"\n".join(chosen))
    cut = Cut(as_of_ms, at_ms)

    replayed = replay(job_of(directory / "all/events.jsonl", out=directory / "cut", cut=cut), on_and_on, say_nothing)
    replay(job_of(directory / "naive/events.jsonl", out=directory / "expected"), on_and_on, say_nothing)

    assert files_in(directory / "expected") == files_in(directory / "cut")
    assert (len(events), counts.count(False)) == (replayed.lines, replayed.left_out)


def recorded(value: bytes, timestamp_ms: int | None = None) -> Recorded:
    return Recorded("events.jsonl", 0, 3, value, timestamp_ms)


@pytest.mark.parametrize(
    ("value", "timestamp_ms", "expected"),
    [
        (b'{"receivedAt": "2026-01-05T11:00:00+01:00"}', None, JAN_5_MS),
        (b'{"received_at": 1767607200000}', None, JAN_5_MS),
        (b'{"receivedAt": " ", "received_at": 1767607200000}', None, JAN_5_MS),
        (b'{"receivedAt": 1767607200000, "received_at": 1}', None, JAN_5_MS),
        (b'{"receivedAt": 1}', JAN_5_MS, JAN_5_MS),
    ],
    ids=["receivedAt", "received_at", "the one that is there", "the first of both", "Kafka's own before any"],
)
def test_when_a_record_arrived(value, timestamp_ms, expected):
    """A record of a topic has a time of Kafka's; one of a file says it itself, in the forms that events take."""

    assert expected == arrived_at_ms(recorded(value, timestamp_ms))


@pytest.mark.parametrize(
    ("value", "timestamp_ms", "why"),
    [
        (native_json("else"), None, "neither receivedAt nor received_at"),
        (b'{"receivedAt": "yesterday"}', None, "receivedAt: not an RFC 3339 time with an offset"),
        (b'{"received_at": true}', None, "received_at: neither a text nor an integer"),
        (native_json("else"), -1, "no Kafka timestamp"),
        (b"[]", None, "neither receivedAt nor received_at"),
        (b"{", None, "not JSON"),
    ],
    ids=["absent", "no time", "no time at all", "of a topic", "no object", "no JSON"],
)
def test_a_record_that_does_not_say_when_it_arrived(value, timestamp_ms, why):
    """What, where, why, and what to do instead; the record itself is not quoted."""
    with pytest.raises(InvalidInput, match=r"when events\.jsonl:3 arrived is not known") as caught:
        arrived_at_ms(recorded(value, timestamp_ms))

    assert why in caught.value.why
    assert "yesterday" not in caught.value.why
    assert "--at" in caught.value.what_to_do


@pytest.mark.parametrize("processes", [1, 2])
def test_as_of_is_refused_where_an_event_does_not_say(tmp_path, processes):
    """An answer that counts it, or does not, would be a guess: the replay fails, and leaves nothing."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(native_json("else"))
    job = job_of(path, out=tmp_path / "out", cut=Cut(as_of_ms=JAN_5_MS), processes=processes)

    with pytest.raises(InvalidInput, match="arrived is not known"):
        replay(job, on_and_on, say_nothing)

    assert {} == files_in(tmp_path / "out")


def test_what_is_no_event_is_listed_though_it_does_not_say(tmp_path):
    """Rubbish moves no score, so it does not matter when it arrived: it is no reason to fail."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"rubbish\n")
    replay(job_of(path, out=tmp_path / "out", cut=Cut(as_of_ms=JAN_5_MS)), on_and_on, say_nothing)

    assert [b"", 1] == [files_in(tmp_path / "out")[CHANGES], files_in(tmp_path / "out")[REJECTED].count(b"\n")]
