"""`pql-stream dlq` on a real broker and a real Redis: dead letters of a sink, listed, shown and redriven."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer, TopicPartition

from pql_stream.delivery.ledger import Ref, Settlement
from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.errors import BrokerError, InvalidSettings
from pql_stream.ops.cli import cli
from pql_stream.ops.delivery.redriving import RecordSender
from pql_stream.ops.topics.reading import reading, records_of
from pql_stream.stream.names import sink_topics
from pql_stream.stream.partitioner import partition_of
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.wire.deliveries import Delivery, decode_delivery, encode_delivery
from pql_stream.wire.delivery_dead_letters import delivery_dead_letter_headers
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.records import OutRecord
from tests import program

pytestmark = pytest.mark.system

PARTITIONS = 4
SETTINGS = """
[sinks.hook]
type = "webhook"
url = { env = "HOOK_URL" }
secrets = [{ env = "HOOK_SECRET" }]

[sinks.other]
type = "webhook"
url = { env = "HOOK_URL" }
secrets = [{ env = "HOOK_SECRET" }]

[[routes]]
name = "gold"
of = "pql-qualified"
sink = "hook"
action = "post"
options = { contact_fields = "email" }
"""
SECRETS = {"HOOK_URL": "https://example.com/in", "HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


def delivery(number: int, lead_id: str, sink: str = "hook", **given) -> Delivery:
    """A qualification for gold on its way to *sink*."""
    about = {"pack": "pql-100", "pack_version": 1, "tier": "gold"}
    return Delivery(
        **{
            "delivery_id": f"{number:032x}",
            "sink": sink,
            "route": "gold",
            "action": "post",
            "lead_id": lead_id,
            "of": "pql-qualified",
            "record": {"qualification_id": f"q{number}", "lead_id": lead_id, **about},
            "options": {},
            "decided_at_ms": JAN_5_MS,
            **given,
        }
    )


def change(lead_id: str, tier: str) -> bytes:
    """The last change of a lead, as far as it is looked at."""
    fields = {"schema": "score-changed/1", "lead_id": lead_id, "pack": "pql-100", "pack_version": 1, "sequence": 9}
    return json.dumps({**fields, "tier_after": tier}).encode()


@dataclass
class Place:
    """A cluster with the topics of two sinks, a Redis, and a directory with their settings file."""

    bootstrap: str
    prefix: str
    redis_url: str
    directory: Path

    @property
    def client_config(self):
        return {"bootstrap.servers": self.bootstrap}

    def run(self, *args: str, **environ: str) -> Result:
        """`pql-stream dlq ...` in this process, without any secret of a sink."""
        return CliRunner().invoke(cli, ["dlq", *args], env=self._environ(environ))

    def run_alone(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """The same in a process of its own."""
        return program.run("dlq", *args, env={**os.environ, **self._environ(environ)})

    def _environ(self, others: dict[str, str]) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "PQL_TOPIC_PREFIX": self.prefix,
            "PQL_CONFIG": str(self.directory / "pql.toml"),
            "REDIS_URL": self.redis_url,
            **others,
        }

    def redrive(self, *args: str, **environ: str) -> dict[tuple[str, str, str], int]:
        """What a redrive counted: (sink, reason, verdict) -> how many."""
        done = self.run("redrive", "--json", *args, **environ)
        assert 0 == done.exit_code, done.output
        told = json.loads(done.stdout)
        assert ("--yes" in args) is told["done"]
        return {(row["sink"], row["reason"], row["verdict"]): row["count"] for row in told["counts"]}

    def die(self, *letters: tuple[Delivery | bytes, str, str], sink: str = "hook", at_ms: int = JAN_5_MS) -> None:
        """Dead letters of *sink*: delivery (or bytes that are none), reason, detail; each a second after the other."""
        producer = Producer(self.client_config)
        topics = sink_topics(sink, self.prefix)
        for place, (one, reason, detail) in enumerate(letters):
            value = one if isinstance(one, bytes) else encode_delivery(one)
            key = b"u1" if isinstance(one, bytes) else one.lead_id.encode()
            headers = delivery_dead_letter_headers(
                [("own", b"1")],
                reason=reason,
                detail=detail,
                sink=sink,
                topic=topics.deliveries,
                partition=partition_of(key, PARTITIONS),
                offset=place,
                timestamp_ms=JAN_5_MS,
            )
            producer.produce(
                topics.dead_letters,
                value,
                key,
                partition_of(key, PARTITIONS),
                timestamp=at_ms + place * 1000,
                headers=list(headers),
            )
        assert producer.flush(30) == 0

    def changed(self, **tiers: str) -> None:
        """The last changes of leads."""
        producer = Producer(self.client_config)
        for lead_id, tier in tiers.items():
            key = lead_id.encode()
            producer.produce(
                f"{self.prefix}score-changed", change(lead_id, "platinum"), key, partition_of(key, PARTITIONS)
            )
            producer.produce(f"{self.prefix}score-changed", change(lead_id, tier), key, partition_of(key, PARTITIONS))
        assert producer.flush(30) == 0

    def records(self, topic: str) -> list[tuple[int, bytes, bytes | None, dict[str, bytes]]]:
        """(partition, key, value, headers) of everything in *topic*."""
        found = []
        for partition in range(PARTITIONS):
            with reading(self.client_config, topic) as consumer:
                found += [
                    (partition, message.key(), message.value(), dict(message.headers() or ()))
                    for message in records_of(consumer, TopicPartition(topic, partition))
                ]
        return found

    def deliveries(self, sink: str = "hook") -> list[Delivery]:
        """What lies on the sink's topic."""
        return [decode_delivery(value) for _, _, value, _ in self.records(sink_topics(sink, self.prefix).deliveries)]

    def settle(self, one: Delivery, state: str, copy: int | None = None) -> None:
        """What the ledger says of a delivery."""

        async def settled() -> None:
            redis = RedisConnection(self.redis_url)
            ledger = RedisLedger(redis, prefix=self.prefix, sink=one.sink)
            ref = Ref(one.delivery_id, one.lead_id, 0, one.last_copy if copy is None else copy)
            await ledger.take_over("p", "w")
            await ledger.settle("p", "w", [Settlement(ref, state)])
            await redis.close()

        asyncio.run(settled())


@pytest.fixture
def place(kafka, topic_prefix, make_topics, redis_url, tmp_path) -> Place:
    """All of it, empty, under a prefix of its own; its topics go after the test."""
    make_topics(PARTITIONS)
    for sink in ("hook", "other"):
        topics = sink_topics(sink, topic_prefix)
        kafka.create_topics(
            dict.fromkeys((topics.deliveries, topics.parked, topics.dead_letters), PARTITIONS),
            {"retention.ms": "-1"},  # the tests' times are long ago
        )
    (tmp_path / "pql.toml").write_text(SETTINGS)
    return Place(kafka.bootstrap, topic_prefix, redis_url, tmp_path)


def test_list_counts_by_sink_and_reason(place):
    """
    Each with its first and last time; filters by sink, reason, lead and time narrow it.
    """
    place.die(
        (delivery(1, "u1"), "invalid", "a"), (delivery(2, "u2"), "invalid", "b"), (delivery(3, "u1"), "gone", "410")
    )
    place.die((delivery(4, "u1", "other"), "invalid", "a"), sink="other")

    def listed(*args: str) -> list[tuple[str, str, int]]:
        return [
            (row["sink"], row["reason"], row["waiting"])
            for row in json.loads(place.run("list", "--json", *args).stdout)
        ]

    everything = json.loads(place.run("list", "--json").stdout)

    assert [("hook", "gone", 1), ("hook", "invalid", 2), ("other", "invalid", 1)] == listed()
    assert (rfc3339(JAN_5_MS), rfc3339(JAN_5_MS + 1000)) == (everything[1]["first"], everything[1]["last"])
    assert [("other", "invalid", 1)] == listed("--sink", "other")
    assert [("hook", "gone", 1)] == listed("--reason", "gone")
    assert [("hook", "invalid", 1)] == listed("--lead", "u2")
    assert [("hook", "gone", 1), ("hook", "invalid", 1)] == listed("--since", rfc3339(JAN_5_MS + 1000))
    assert [("hook", "invalid", 1)] == listed("--sink", "hook", "--until", rfc3339(JAN_5_MS + 1000))
    assert "2 waiting" in place.run("list").stdout


def test_show_has_the_record_and_where_it_lies(place):
    """
    One by one, with headers and record; bytes that are no delivery are shown as they are.
    """
    place.die((delivery(1, "u1"), "invalid", "CODE"), (b"{not json", "invalid", "no delivery"))
    first, second = json.loads(place.run("show", "--json").stdout)

    assert {
        "sink": "hook",
        "reason": "invalid",
        "detail": "CODE",
        "lead_id": "u1",
        "route": "gold",
        "is_redriven": False,
        "offset": 0,
    } == {name: first[name] for name in ("sink", "reason", "detail", "lead_id", "route", "is_redriven", "offset")}
    assert ("q1", "1") == (first["record"]["qualification_id"], first["headers"]["own"])
    assert "{not json" == second["value"]
    assert 1 == len(json.loads(place.run("show", "--json", "--limit", "1").stdout))
    assert f"{place.prefix}delivery-hook-dlq/" in place.run("show").stdout


def test_a_dry_run_counts_and_writes_nothing(place):
    """
    Without --yes it says what it would do, and a second time the same.
    """
    place.die((delivery(1, "u1"), "invalid", ""), (delivery(2, "u2"), "gone", ""))
    expected = {("hook", "gone", "redrive"): 1, ("hook", "invalid", "redrive"): 1}

    assert expected == place.redrive()
    assert expected == place.redrive()
    assert [] == place.deliveries()
    assert "would be redriven; --yes does it" in place.run("redrive").stderr


def test_what_is_redriven_goes_to_its_own_sink_once(place):
    """
    Copies lie on the sink's topic, on their leads' partitions, with record and provenance; a second run is a no-op.
    """
    parked = delivery(2, "u2", parks=3, attempts=9, place=5, first_failed_at_ms=JAN_5_MS)
    place.die((delivery(1, "u1"), "invalid", "CODE"), (parked, "gave_up", ""))
    place.die((delivery(3, "u1", "other"), "invalid", ""), sink="other")
    first = place.redrive("--sink", "hook", "--yes")
    second = place.redrive("--sink", "hook", "--yes")

    assert {("hook", "gave_up", "redrive"): 1, ("hook", "invalid", "redrive"): 1} == first
    assert {("hook", "gave_up", "redriven"): 1, ("hook", "invalid", "redriven"): 1} == second
    assert [delivery(1, "u1", redrives=1), delivery(2, "u2", redrives=1)] == sorted(
        place.deliveries(), key=lambda one: one.delivery_id
    )
    assert [] == place.deliveries("other")
    for partition, key, _, headers in place.records(sink_topics("hook", place.prefix).deliveries):
        assert partition_of(key, PARTITIONS) == partition
        assert b"1" == headers["own"]
        assert f"{place.prefix}delivery-hook-dlq/{partition}/0".encode() == headers["pql-redriven-from"]
        assert headers["pql-dlq-reason"] in {b"invalid", b"gave_up"}
    [invalid] = [row for row in json.loads(place.run("list", "--json").stdout) if row["reason"] == "gave_up"]
    assert (0, 1) == (invalid["waiting"], invalid["redriven"])


def test_a_run_that_died_before_its_marks_is_done_again_without_harm(place):
    """
    The copy that is written a second time is the same copy, so the ledger lets only one of the two pass.
    """
    place.die((delivery(1, "u1"), "invalid", ""))
    place.redrive("--yes")
    topics = sink_topics("hook", place.prefix)
    marks = [record for record in place.records(topics.dead_letters) if record[2] is None]
    place.die((delivery(1, "u1"), "invalid", ""))  # as if the first had no mark
    again = place.redrive("--yes")
    copies = [value for _, _, value, _ in place.records(topics.deliveries)]

    assert [{"pql-redriven": b"0"}] == [headers for *_, headers in marks]
    assert {("hook", "invalid", "redriven"): 1, ("hook", "invalid", "redrive"): 1} == again
    assert 2 == len(copies)
    assert copies[0] == copies[1]


def test_what_is_not_wanted_any_more_is_left(place):
    """
    Delivered meanwhile, under way again, dropped below its tier, erased, unreadable: counted, and not written.
    """
    done, newer, refused = delivery(1, "done"), delivery(2, "newer"), delivery(3, "refused")
    place.settle(done, "delivered")
    place.settle(newer, "pending", copy=delivery(2, "newer", redrives=1).copy)
    place.settle(refused, "refused")
    place.changed(dropped="silver", still="gold", refused="platinum")
    place.die(
        *[(one, "invalid", "") for one in (done, newer, refused, delivery(4, "dropped"), delivery(5, "still"))],
        (delivery(6, "erased"), "unwanted", "erased"),
        (b"{", "invalid", ""),
    )
    expected = {
        ("hook", "invalid", "delivered"): 1,
        ("hook", "invalid", "under_way"): 1,
        ("hook", "invalid", "dropped"): 1,
        ("hook", "invalid", "redrive"): 2,
        ("hook", "invalid", "unreadable"): 1,
        ("hook", "unwanted", "erased"): 1,
    }

    assert expected == place.redrive()
    assert expected == place.redrive("--yes")
    assert {"refused", "still"} == {one.lead_id for one in place.deliveries()}


def test_new_options_are_those_that_the_route_has_now(place):
    """
    Who mended a route redrives with it; that needs the whole settings file, and so the sinks' secrets.
    """
    place.die((delivery(1, "u1", options={"contact_fields": "emial"}), "invalid", ""))
    refused = place.run("redrive", "--new-options", "--yes")
    place.redrive("--new-options", "--yes", **SECRETS)

    assert isinstance(refused.exception, InvalidSettings)
    assert "HOOK_URL is not set" in refused.exception.why
    assert [{"contact_fields": "email"}] == [one.options for one in place.deliveries()]


def test_more_than_a_chunk_is_redriven_in_order(place):
    """
    A lead's dead letters come back in the order in which they died.
    """
    place.die(*[(delivery(number, "u1"), "invalid", "") for number in range(1_203)])

    assert {("hook", "invalid", "redrive"): 1_203} == place.redrive("--yes")
    assert [f"{number:032x}" for number in range(1_203)] == [one.delivery_id for one in place.deliveries()]


def test_an_unknown_sink_a_bad_time_and_a_missing_topic_are_told(place):
    """
    Usage errors exit 2; a sink without its topics exits 1 and names the command that makes them.
    """
    (place.directory / "pql.toml").write_text(SETTINGS.replace("sinks.other", "sinks.third"))
    unknown, no_time, no_topic = (
        place.run_alone("list", "--sink", "hok"),
        place.run_alone("list", "--since", "yesterday"),
        place.run_alone("list", "--sink", "third"),
    )
    no_redis = place.run_alone("redrive", REDIS_URL="")

    assert (2, 2, 1, 2) == tuple(done.returncode for done in (unknown, no_time, no_topic, no_redis))
    assert "did you mean hook?" in unknown.stderr
    assert "no time like 2026-01-05T10:00:00Z" in no_time.stderr
    assert "pql-stream topics apply" in no_topic.stderr
    assert "REDIS_URL is not set" in no_redis.stderr


@pytest.mark.parametrize(
    ("partition", "value"), [(0, b"x" * 3_000_000), (99, b"x")], ids=["a record too large", "a partition too many"]
)
def test_what_cannot_be_written_is_told(place, partition, value):
    """
    A copy that is not written stops the run, and names the topic.
    """
    topic = sink_topics("hook", place.prefix).deliveries
    with RecordSender(place.client_config) as sender, pytest.raises(BrokerError, match=f"cannot write to {topic}"):
        sender.send(topic, [(partition, OutRecord(b"u1", value))])
