"""What a replay leaves behind: four files, all of them or none; and what it does with a bug of ours."""

import orjson
import pytest

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.errors import InvalidInput
from pql_stream.replay.files import Line
from pql_stream.replay.output import CHANGES, QUALIFICATIONS, REJECTED, SCORES, replay_output
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.testing.builders import native_json
from pql_stream.wire.packs import load_pack

NAMES = {CHANGES, QUALIFICATIONS, SCORES, REJECTED}


@pytest.fixture(scope="module")
def pack() -> CompiledPack:
    return compile_pack(load_pack("pql-100"))


def line(content: bytes, number: int = 1) -> Line:
    return Line("events.jsonl", number, content)


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


def test_the_files_appear_when_the_replay_ends(tmp_path, pack):
    """Until then there is nothing under their names; then there are the four, and what was there is replaced."""
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    (out / SCORES).write_bytes(b"old\n")
    replayer = Replayer(pack)

    with replay_output(out) as output:
        output.write(replayer.handle(line(native_json("tutorial_completed"))))
        output.write(replayer.handle(line(b"{", 2)))
        output.write_scores(replayer)
        assert b"old\n" == (out / SCORES).read_bytes()
        assert not (out / CHANGES).exists()

    assert NAMES == {path.name for path in out.iterdir()}
    assert {CHANGES: 1, QUALIFICATIONS: 0, SCORES: 1, REJECTED: 1} == output.counts
    assert {"file": "events.jsonl", "line": 2, "reason": "not_json", "detail": "not valid JSON"} == orjson.loads(
        (out / REJECTED).read_bytes()
    )


@pytest.mark.parametrize("raised", [InvalidInput("broken gzip"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_replay_that_fails_leaves_nothing(tmp_path, pack, raised):
    """However it ends early, no partial file is left, and what an earlier replay wrote stays."""
    (tmp_path / SCORES).write_bytes(b"old\n")

    def replay() -> None:
        with replay_output(tmp_path) as output:
            output.write(Replayer(pack).handle(line(native_json("tutorial_completed"))))
            raise raised

    with pytest.raises(type(raised)):
        replay()

    assert {SCORES: b"old\n"} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_directory_that_cannot_be_made(tmp_path):
    """A file that stands in the way is named: what, why, what to do."""
    (tmp_path / "file").touch()

    with pytest.raises(InvalidInput, match="cannot write to") as caught, replay_output(tmp_path / "file" / "out"):
        pytest.fail("there is nowhere to write to")

    assert caught.value.why
    assert caught.value.what_to_do
