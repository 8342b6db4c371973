"""
Replay against the oracle, which recomputes everything from the contract alone.

Whole populations with dirt: every record is accepted, refused or skipped alike, and every change,
qualification and final score is the same, in the same order.
"""

import functools
from collections import Counter

import orjson
import pytest

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.states import Step
from pql_stream.errors import InvalidEvent
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.replay.sources.files import Files
from pql_stream.wire.events import decode_event
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.packs import load_pack
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed
from tests.oracle import decode, generate
from tests.oracle import score as oracle
from tests.oracle.render import Record

PACKS = {pack.name: pack for pack in (oracle.PQL_100, oracle.PQL_100_LINEAR)}
SEEDS = (1, 2, 3, 4, 5)
LEADS, EVENTS = 30, 1500
FILE = "events.jsonl"
COMMUNITY_INPUTS = {"posts": "community_posts", "requests": "feature_requests"}
"""The contract leaves the names of the parts of an input open."""
OPAQUE = {"change_id", "qualification_id", "reasons", "change_sequence"}
"""What the oracle cannot know: ids, and sentences; it names the change of a qualification in its own way."""


@functools.cache
def compiled(name: str) -> CompiledPack:
    return compile_pack(load_pack(name))


def comparable(record: dict) -> dict:
    """*record* without what is opaque, and with one name for each part of an input."""
    kept = {name: value for name, value in record.items() if name not in OPAQUE}
    if "contributions" in kept:
        kept["contributions"] = [
            part | {"input": {COMMUNITY_INPUTS.get(name, name): value for name, value in part["input"].items()}}
            if isinstance(part["input"], dict)
            else part
            for part in kept["contributions"]
        ]
    return kept


@functools.cache
def content_of(seed: int) -> bytes:
    """A file of a population's records, those that can be lines; some lines blank, some ending in CRLF."""
    records = generate.records(seed, LEADS, EVENTS, dirt=0.1)
    lines = [record.value for record in records if generate._can_be_line(record)]
    ends = (b"\n", b"\n", b"\r\n", b"\n \n")
    return b"\xef\xbb\xbf" + b"".join(line + ends[n % len(ends)] for n, line in enumerate(lines))


@functools.cache
def outcomes_of(seed: int) -> list[tuple[int, decode.Event | decode.Rejected | decode.Skipped]]:
    return list(decode.read_lines(content_of(seed), file=FILE))


@functools.cache
def recomputed(seed: int, name: str) -> oracle.Replayed:
    events = [outcome for _, outcome in outcomes_of(seed) if isinstance(outcome, decode.Event)]
    return oracle.replay(events, PACKS[name])


class Recording:
    """A replay's answers as records."""

    def __init__(self, pack: CompiledPack) -> None:
        self.replayer = Replayer(pack)
        self.changes: list[dict] = []
        self.qualifications: list[dict] = []
        self.rejected: list[Rejected] = []

    def take(self, outcome: Step | Rejected) -> None:
        if isinstance(outcome, Rejected):
            self.rejected.append(outcome)
            return
        if outcome.change is not None:
            self.changes.append(comparable(orjson.loads(encode_score_changed(outcome.change))))
        if outcome.qualification is not None:
            self.qualifications.append(comparable(orjson.loads(encode_pql_qualified(outcome.qualification))))

    @property
    def scores(self) -> list[dict]:
        states, pack = self.replayer.states, self.replayer.pack
        return [comparable(lead_score_fields(lead_id, states[lead_id], pack)) for lead_id in sorted(states)]


def decoded(record: Record, place: decode.Place) -> decode.Event | decode.Rejected:
    try:
        event = decode_event(record.value, *place, timestamp_ms=record.timestamp_ms, headers=record.headers)
    except InvalidEvent as fault:
        return decode.Rejected(fault.reason)
    return decode.Event(
        event.event_id, event.lead_id, event.account_id, event.name, event.occurred_at_ms, event.properties
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_every_record_is_taken_or_refused_alike(seed):
    """With headers and Kafka timestamps, as from the topic: the same events, the same reasons."""
    reasons = Counter()
    for offset, record in enumerate(generate.records(seed, LEADS, EVENTS, dirt=0.3)):
        if not record.value:
            continue
        place = ("product-activity", 0, offset)
        expected = decode.read_record(
            record.value, headers=record.headers, timestamp_ms=record.timestamp_ms, place=place
        )
        if isinstance(expected, decode.Rejected):
            # Of two names for one thing, which is named as missing is not the contract's.
            expected = decode.Rejected(expected.reason)
            reasons[expected.reason] += 1
        assert expected == decoded(record, place), record

    assert set(decode.REASONS) == set(reasons)


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("seed", SEEDS)
def test_files_replay_as_recomputed(tmp_path, seed, name):
    """The lines of a file make the changes, qualifications and scores that the contract alone gives."""
    path = tmp_path / FILE
    path.write_bytes(content_of(seed))
    expected = recomputed(seed, name)

    made = Recording(compiled(name))
    for chunk in Files([str(path)]).read():
        for record in chunk.records:
            made.take(made.replayer.handle(record))

    assert [comparable(change) for change in expected.changes] == made.changes
    assert [comparable(record) for record in expected.qualifications] == made.qualifications
    assert [comparable(lead) for lead in expected.scores] == made.scores


@pytest.mark.parametrize("seed", SEEDS)
def test_files_are_refused_line_by_line_as_recomputed(tmp_path, seed):
    """The same lines are refused, for the same reasons, in the same order."""
    path = tmp_path / FILE
    path.write_bytes(content_of(seed))
    expected = [
        (number, outcome.reason) for number, outcome in outcomes_of(seed) if isinstance(outcome, decode.Rejected)
    ]

    made = Recording(compiled("pql-100"))
    for chunk in Files([str(path)]).read():
        for record in chunk.records:
            made.take(made.replayer.handle(record))

    assert expected == [(fault.line, fault.reason) for fault in made.rejected]
    assert expected


@pytest.mark.parametrize("name", PACKS)
def test_the_populations_reach_every_tier_and_rule(name):
    """The comparison is worth what the populations cover: every tier is announced, every rule moves."""
    expected = [recomputed(seed, name) for seed in SEEDS]

    assert {tier for tier, score_from in oracle.TIERS if score_from} == {
        record["tier"] for replayed in expected for record in replayed.qualifications
    }
    assert {rule.name for rule in PACKS[name].rules} == {
        part["rule"]
        for replayed in expected
        for change in replayed.changes
        for part in change["contributions"]
        if part["points"] != part["points_before"]
    }
