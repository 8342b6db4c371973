"""What one record does to a replay: what is refused, how that is told, and what a bug of ours costs."""

import pytest

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.replay.source import Recorded
from pql_stream.testing.builders import JAN_5_MS, native_json
from pql_stream.wire.packs import load_pack
from pql_stream.wire.times import DAY_MS


@pytest.fixture(scope="module")
def pack() -> CompiledPack:
    return compile_pack(load_pack("pql-100"))


def line(content: bytes, number: int = 1) -> Recorded:
    return Recorded("events.jsonl", 0, number, content)


def test_a_refused_line_names_the_field_and_never_quotes_the_line(pack):
    """What is refused may be somebody's personal data: the reason and the field are enough to find it."""
    refused = Replayer(pack).handle(line(b'{"event_id": "e1", "user_id": ["secret@shop.example"], "event": "x"}', 7))

    assert isinstance(refused, Rejected)
    assert ("events.jsonl", 7, "bad_type") == refused[:3]
    assert refused.detail.startswith("user_id: ")
    assert "secret" not in refused.detail


def test_a_refused_line_without_a_field(pack):
    """A fault of the whole line has a detail and no field."""

    assert Rejected("events.jsonl", 1, "not_json", "not valid JSON") == Replayer(pack).handle(line(b"{"))


class PackWithABug(CompiledPack):
    """Fails on one event name, as a mistake in a fold would."""

    def plan(self, event_name):
        if event_name == "boom":
            raise ZeroDivisionError("quotes a secret")
        return super().plan(event_name)


def test_a_bug_of_ours_costs_one_line():
    """What makes our own code raise is refused as internal_error, and the replay goes on."""
    replayer = Replayer(PackWithABug(load_pack("pql-100")))

    assert Rejected("events.jsonl", 1, "internal_error", "ZeroDivisionError") == replayer.handle(
        line(native_json("boom"))
    )
    assert {} == replayer.states
    assert replayer.handle(line(native_json("tutorial_completed"), 2)).change is not None


def test_a_record_of_a_topic_that_is_refused_tells_its_partition(pack):
    """Topic and offset alone are no place; a file has no partitions to tell of."""
    refused = Replayer(pack).handle(Recorded("product-activity", 3, 7, b"{", timestamp_ms=JAN_5_MS))

    assert {"file": "product-activity", "line": 7, "partition": 3} == {
        name: value for name, value in refused.fields().items() if name not in {"reason", "detail"}
    }
    assert ["file", "line", "reason", "detail"] == list(Replayer(pack).handle(line(b"{")).fields())


def test_a_record_of_a_topic_is_read_with_its_headers_and_its_time(pack):
    """As by the stream: a day ahead of the Kafka timestamp is a clock that is wrong, and a header can say the form."""
    early = Recorded("t", 0, 1, native_json("tutorial_completed"), timestamp_ms=JAN_5_MS - 2 * DAY_MS)
    headers = [("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_id", b"1"), ("ce_subject", b"u7"),
               ("ce_type", b"app.else.v1"), ("ce_time", b"2026-01-05T10:00:00Z")]  # fmt: skip
    replayer = Replayer(pack)
    replayer.handle(Recorded("t", 0, 2, b"{}", timestamp_ms=JAN_5_MS, headers=headers))

    assert "bad_time" == replayer.handle(early).reason
    assert {"u7"} == set(replayer.states)
