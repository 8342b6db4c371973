"""`pql-stream backfill` without a cluster: what is sent, how long is waited, and who is listed."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition

from pql_stream.errors import PqlError
from pql_stream.ops.backfilling import CommittedOffsets, fill_in, untold, wait_until_scored
from pql_stream.ops.cli import cli
from pql_stream.replay.source import Recorded
from pql_stream.testing.builders import JAN_5_MS, native_json
from pql_stream.wire.headers import ANNOUNCE


class Sent:
    """Takes what an emitter takes."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes, list[tuple[str, bytes | None]]]] = []

    def send(self, key, value, headers=()) -> None:
        self.records.append((key, value, list(headers)))


def fill(*events: Recorded, announce: bool = False):
    """What is sent of *events*, and what is refused."""
    sent, rejected = Sent(), []
    fill_in(events, sent, rejected, announce=announce, time_s=lambda: JAN_5_MS / 1000)
    return sent.records, rejected


def recorded(value: bytes, *headers: tuple[str, bytes], offset: int = 1) -> Recorded:
    return Recorded("old.jsonl", 0, offset, value, headers=headers)


def test_events_go_out_as_they_are_keyed_by_their_lead():
    """Bytes and headers are kept: a CloudEvent may have half of itself in these."""
    binary = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"s", "ce_type": b"a.login", "ce_subject": b"u9"}
    at = ("ce_time", b"2026-01-05T10:00:00Z")

    records, rejected = fill(recorded(native_json("a")), recorded(b"{}", *binary.items(), at))

    assert ([b"u1", b"u9"], []) == ([key for key, _, _ in records], rejected)
    assert (native_json("a"), [*binary.items(), at]) == (records[0][1], records[1][2])


@pytest.mark.parametrize("announce", [False, True])
def test_only_this_command_says_whether_it_is_announced(announce):
    """What an earlier way has written onto a record does not count again."""
    before = [ANNOUNCE, ("pql-origin-topic", b"x"), ("trace", b"t")]

    ((_, _, headers),), _ = fill(recorded(native_json("a"), *before), announce=announce)

    assert [("trace", b"t"), *([ANNOUNCE] if announce else [])] == headers


def test_what_is_no_event_is_refused_with_its_place():
    """An event without an id, too: nothing would tell its repeat from another event."""
    no_id = orjson.dumps({"user_id": "u1", "event": "a", "occurred_at": JAN_5_MS})
    ahead = native_json("a", occurred_at_ms=JAN_5_MS + 86_400_001)

    records, rejected = fill(*(recorded(value, offset=at) for at, value in enumerate([no_id, ahead, b"x"])))

    assert [] == records
    assert [("old.jsonl", 0, "missing_field"), ("old.jsonl", 1, "bad_time"), ("old.jsonl", 2, "not_json")] == [
        (one.file, one.line, one.reason) for one in rejected
    ]


class Group:
    """A consumer group that is so far each time that it is asked."""

    def __init__(self, *offsets: dict[int, int]) -> None:
        self._offsets = list(offsets)

    def committed(self) -> dict[int, int]:
        return self._offsets.pop(0) if len(self._offsets) > 1 else self._offsets[0]


def wait(group: Group, ends: dict[int, int]):
    """Wait for *group*, on a clock of its own; what was shown, and the seconds that it took."""
    now_s, shown = [0.0], []

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    wait_until_scored(group, ends, lambda *done: shown.append(done), stalled_s=10, clock=lambda: now_s[0], sleep=sleep)
    return shown, now_s[0]


def test_it_waits_until_every_partition_is_scored():
    """Progress is of what was left when the wait began; others' records behind ours are not waited for."""
    group = Group({}, {}, {0: 3}, {0: 5, 1: 1}, {0: 99, 1: 2})

    assert ([(0, 7), (3, 7), (6, 7), (7, 7)], 1.5) == wait(group, {0: 5, 1: 2})


def test_nothing_sent_is_nothing_to_wait_for():
    """All lines were refused."""
    assert ([(0, 0)], 0) == wait(Group({}), {})


def test_it_gives_up_when_nothing_moves():
    """Not by the time that all of it takes: as long as it moves it may take hours."""
    slowly = [{0: done} for done in range(100) for _ in range(15)]

    with pytest.raises(PqlError, match="7 events are not scored yet"):
        wait(Group({0: 1}, {0: 2}, {0: 3}), {0: 10})
    assert 100 == wait(Group(*slowly, {0: 100}), {0: 100})[0][-1][0]


def test_how_far_scoring_is_is_what_its_group_has_committed(embedded_kafka):
    """Of the partitions that are asked for, by who is no member; 0 where nothing is committed yet."""
    client = {"bootstrap.servers": embedded_kafka({"old": 3}).bootstrap}
    scorer = Consumer({**client, "group.id": "scorers", "enable.auto.commit": False})
    scorer.commit(offsets=[TopicPartition("old", 1, 7), TopicPartition("old", 2, 9)], asynchronous=False)
    scorer.close()

    assert {0: 0, 1: 7} == CommittedOffsets(client, "scorers", "old", [0, 1]).committed()
    assert {2: 0} == CommittedOffsets(client, "nobody", "old", [2]).committed()


def qualified(lead_id: str, tier: str, before: str, **given) -> bytes:
    record = {
        "qualification_id": f"{lead_id}:{tier}",
        "lead_id": lead_id,
        "account_id": None,
        "pack": "pql-100",
        "tier": tier,
        "tier_before": before,
        "score": 80,
        "sales_ready": True,
        "handoff": "standard",
        "occurred_at": "2026-01-05T10:00:00.000Z",
        "mode": "backfill",
        "change_id": "c",
    }
    return orjson.dumps(record | given)


def test_the_leads_of_whom_nobody_is_told():
    """
    Each once, with the highest tier and the one it had before all of this; not who was told: live, announced, or by a
    repeat in another mode after a crash.
    """
    values = [
        qualified("a", "bronze", "unqualified"),
        qualified("a", "silver", "bronze"),
        qualified("a", "bronze", "unqualified"),
        qualified("b", "gold", "unqualified", mode="live"),
        qualified("c", "gold", "unqualified", announce=True),
        qualified("d", "gold", "unqualified"),
        qualified("d", "gold", "unqualified", mode="live"),
        b"",
        b"not ours",
        b'{"mode": "backfill"}',
    ]

    assert [("a", "unqualified", "silver")] == [(one.lead_id, one.tier_before, one.tier) for one in untold(values)]


@pytest.mark.parametrize("score", [80, 80.25])
def test_a_score_is_shown_as_its_record_has_it(score):
    """A whole number of points is no 80.0."""
    (lead,) = untold([qualified("a", "gold", "unqualified", score=score)])

    assert str(score) == str(lead.score)


def test_a_backfill_of_what_was_filled_in_is_wrong_usage():
    """
    Its own topic is scored already; to write it onto itself would double it.
    """
    done = CliRunner().invoke(cli, ["backfill", "--topic", "product-activity", "--topic", "product-activity-backfill"])

    assert 2 == done.exit_code
    assert "is where a backfill goes to" in done.stderr
