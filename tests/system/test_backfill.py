"""History that is filled in beside live events: right scores, one promise, and nobody who is told of the past."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from score_bench import WAIT_S, ScoreBench, Stored

from pql_stream.core.packs import compile_pack
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.replay.replayer import Replayer
from pql_stream.replay.source import Recorded
from pql_stream.stream.names import DELIVER_APP_ID, PQL_QUALIFIED, SCORE_CHANGED
from pql_stream.stream.partitioner import partition_of
from pql_stream.testing.destinations.webhook import FakeWebhook
from pql_stream.testing.simulation import simulate
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import load_state
from tests.program import Program

pytestmark = pytest.mark.system

PARTITIONS = 4
PACK = compile_pack(load_pack("pql-100"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = """
[sinks.hook]
type = "webhook"
url = { env = "TEST_URL" }
secrets = [{ env = "TEST_WEBHOOK_SECRET" }]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]
rate = { calls = 100000, period_s = 1 }

[[routes]]
name = "changes"
of = "score-changed"
sink = "hook"
action = "post"

[[routes]]
name = "qualified"
of = "pql-qualified"
sink = "hook"
action = "post"
"""
EVENTS = [(event.lead_id, event.value) for event in simulate(leads=150, seed=11)]


class Cluster(ScoreBench):
    """A bench whose workers score and deliver; every call that waits for other processes leaves the loop alone."""

    delivery: Mapping[str, str]

    def environment(self, name: str = "a", **settings: str) -> dict[str, str]:
        """With the settings of delivery."""
        return super().environment(name, **self.delivery, **settings)

    async def until(self, happened: Callable[[], bool]) -> None:
        """`wait_for`, in a thread: the fake destination answers in this loop."""
        await asyncio.to_thread(self.wait_for, happened)

    def produced(self, topic: str, events: list[tuple[str, bytes]], *, away: int = 0) -> None:
        """Write *events* to the partitions of their leads, or so many further."""
        for lead_id, value in events:
            home = partition_of(lead_id.encode(), PARTITIONS)
            self.produce(topic, (home + away) % PARTITIONS, lead_id.encode(), value)
        self.flush()

    def backfill(self, *arguments: str) -> Program[bytes]:
        """Start `pql-stream backfill`."""
        return Program(
            "backfill", "--json", *arguments, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    async def answer(self, filling: Program[bytes]) -> dict[str, Any]:
        """What it says at its end, which must be a good one."""
        out, errors = await asyncio.to_thread(filling.communicate, timeout=WAIT_S)
        assert 0 == filling.returncode, errors.decode()
        answer: dict[str, Any] = json.loads(out)
        return answer

    async def delivered(self) -> None:
        """Wait until all that was scored, and all that came of it, is dispatched and delivered."""
        await self.until(lambda: not self.not_committed())
        for topic in (SCORE_CHANGED, PQL_QUALIFIED, "delivery-hook"):
            await self.until(lambda topic=topic: not self._left(self.prefix + topic))

    def _left(self, topic: str) -> int:
        group = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.prefix + DELIVER_APP_ID})
        try:
            asked = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            committed = group.committed(asked, timeout=10)
            return sum(self.ends(topic).values()) - sum(max(at.offset, 0) for at in committed)
        finally:
            group.close()

    def told(self) -> list[dict[str, Any]]:
        """Every change and qualification."""
        return [json.loads(record.value or b"") for topic in self.outputs() for record in topic]

    def outputs(self) -> list[list[Stored]]:
        return self.read(self.topics.score_changed, self.topics.qualified)


@pytest.fixture
async def hook() -> AsyncIterator[FakeWebhook]:
    """The destination of everything."""
    fake = FakeWebhook([SECRET])
    yield fake
    await fake.close()


@pytest.fixture
async def cluster(kafka, redis_url, topic_prefix, tmp_path: Path, hook) -> AsyncIterator[Cluster]:
    """Topics, a sink, and no worker yet."""
    made = Cluster(kafka.bootstrap, topic_prefix, tmp_path, partitions=PARTITIONS)
    declared = load_declarations(sinks=["hook"])
    TopicCluster({"bootstrap.servers": kafka.bootstrap}).apply(
        one.on_cluster(prefix=topic_prefix, partitions=PARTITIONS) for one in declared
    )
    (tmp_path / "pql.toml").write_text(SETTINGS)
    made.delivery = {
        "PQL_CONFIG": str(tmp_path / "pql.toml"),
        "REDIS_URL": redis_url,
        "TEST_WEBHOOK_SECRET": SECRET,
        "TEST_URL": await hook.start(),
    }
    yield made
    made.close()
    kafka.delete_topics(topic_prefix)


def file_of(path: Path, events: list[tuple[str, bytes]]) -> str:
    path.write_bytes(b"".join(value + b"\n" for _, value in events))
    return str(path)


def points_of(events: list[tuple[str, bytes]]) -> dict[str, Any]:
    """The features and points of every lead, recomputed from the set of events."""
    replayer = Replayer(PACK)
    for number, (_, value) in enumerate(events, start=1):
        replayer.handle(Recorded("events", 0, number, value))
    return {lead_id: (state.features, state.pack.points) for lead_id, state in replayer.states.items()}


def rows_of(cluster: Cluster) -> dict[str, Any]:
    (rows,) = cluster.read(cluster.topics.leads_changelog)
    states = {row.key.decode(): load_state(row.value, PACK) for row in rows if row.key and row.value}
    return {lead_id: (state.features, state.pack.points) for lead_id, state in states.items()}


def ids_in(records: list[dict[str, Any]]) -> set[str]:
    return {record.get("qualification_id") or record["change_id"] for record in records}


def untold_of(told: list[dict[str, Any]]) -> set[str]:
    """The leads with a tier of which no record tells anybody."""
    told_ids = {one.get("qualification_id") for one in told if one["mode"] == "live" or one.get("announce")}
    return {one["lead_id"] for one in told if one.get("qualification_id", None) not in told_ids}


async def test_history_beside_live_events_and_a_kill(cluster, hook, tmp_path):
    """
    Old events of leads that are new, known, or live just now, some on the wrong partition and some live as well; kill
    -9 in the middle. Scores are those of the union; what is delivered is what live events made; the leads that reached
    a tier untold are listed. The same again changes nothing. A backfill that is announced is delivered once.
    """
    rng = random.Random(5)
    kinds = [(event[0].endswith("7") or rng.random() < 0.7, rng.random() < 0.1) for event in EVENTS]
    old = [event for event, (is_old, _) in zip(EVENTS, kinds, strict=True) if is_old]
    live = [event for event, (is_old, is_both) in zip(EVENTS, kinds, strict=True) if not is_old or is_both]
    stray = [event for event in old if event[0].endswith("3")]
    worker = cluster.start("a")
    cluster.produced(cluster.topics.activity, live[: len(live) // 2])
    cluster.produced(cluster.topics.activity_backfill, stray, away=1)
    filling = cluster.backfill(file_of(tmp_path / "old.jsonl", [event for event in old if event not in stray]))
    await cluster.until(lambda: any(cluster.committed(cluster.topics.activity_backfill).values()))
    worker.kill()
    cluster.produced(cluster.topics.activity, live[len(live) // 2 :])
    cluster.start("a")
    answer = await cluster.answer(filling)
    await cluster.delivered()
    told = cluster.told()

    assert points_of(EVENTS) == rows_of(cluster)
    assert (len(old) - len(stray), 0, True) == (answer["acknowledged"], answer["refused"], answer["scored"])
    assert {"live", "backfill"} == {one["mode"] for one in told}
    assert {("backfill", True), ("live", False)} == {
        (one["mode"], one["cause"]["topic"] == cluster.topics.activity_backfill) for one in told if "cause" in one
    }
    assert ids_in([one for one in told if one["mode"] == "live"]) == ids_in(
        [effect.content for effect in hook.journal.effects]
    )
    assert {"live"} == {effect.content["mode"] for effect in hook.journal.effects}
    assert {1} == set(hook.journal.seen().values())
    assert {one["lead_id"] for one in answer["untold"]} <= untold_of(told)
    assert answer["untold"]

    before = cluster.outputs()
    again = await cluster.answer(cluster.backfill("--announce", str(tmp_path / "old.jsonl")))
    await cluster.delivered()

    assert (True, []) == (again["scored"], again["untold"])
    assert before == cluster.outputs()

    news = [("news", value.replace(EVENTS[0][0].encode(), b"news")) for lead, value in EVENTS if lead == EVENTS[0][0]]
    announced = await cluster.answer(cluster.backfill("--announce", file_of(tmp_path / "news.jsonl", news)))
    await cluster.delivered()
    arrived = [effect for effect in hook.journal.effects if effect.lead_id == "news"]

    assert (True, []) == (announced["scored"], announced["untold"])
    assert ids_in([one for one in cluster.told() if one["lead_id"] == "news"]) == ids_in(
        [one.content for one in arrived]
    )
    assert {("backfill", True)} == {(one.content["mode"], one.content["announce"]) for one in arrived}
    assert {1} == set(hook.journal.seen().values())
