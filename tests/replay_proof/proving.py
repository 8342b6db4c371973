"""
The same events by stream, by replay of the topic and by replay of a file, on a real Apache Kafka.

Final scores are the same for every lead, and for those whose events came by one route every change and qualification
is, in order. Fakes of all destinations run beside it: the stream's deliveries reach them, and a replay, started with
all that a worker has to reach them by, neither calls one nor writes a record.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from score_bench import ScoreBench

from pql_stream.core.packs import compile_pack
from pql_stream.ops.demo.destinations import Destinations
from pql_stream.ops.demo.settings_file import CHANNEL, SINKS, write_settings_file
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import DELIVER_APP_ID, PQL_QUALIFIED, SCORE_CHANGED, sink_topics
from pql_stream.stream.partitioner import partition_of
from pql_stream.testing.simulation import simulate
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import load_state
from tests.bench.cluster import Cluster
from tests.replay_proof.comparing import Made, differences, made_by_replay

PARTITIONS = 4
PACK = compile_pack(load_pack("pql-100"))
EVENTS_A_LEAD = 45
"""About; of as many simulated leads as that makes only the first events are taken."""
STRAY_EVERY = 50
"""Of so many leads one has events on partitions of others, so that they come by two routes."""
RUBBISH_EVERY = 997
RUBBISH = (b"{", b"\xff", b"[]", b'{"event_id":"1"}', b'{"event_id":"1","user_id":"u","event":"e","occurred_at":"now"}')
TOLD_LEADS = 40
_FLUSH_EVERY = 20_000
_ROUTES = """
[[routes]]
name = "{name}"
of = "pql-qualified"
sink = "{sink}"
action = "{action}"
where = {{ lead_id = {leads} }}
{options}
"""
_ACTIONS = {
    "crm": ("task", ""),
    "chat": ("message", f'options = {{ channel = "{CHANNEL}" }}'),
    "mail": ("mail", 'options = { to = "sales@example.com" }'),
    "hook": ("post", ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """*events* records, in their order: lead id (for those that are events), partition, value."""

    events: int
    seed: int = 1

    def records(self) -> Iterator[tuple[str | None, int, bytes]]:
        """The same every time."""
        rng = random.Random(self.seed)
        simulated = simulate(leads=max(60, self.events // EVENTS_A_LEAD * 2), seed=self.seed, form="mixed")
        for number in range(self.events):
            if number % RUBBISH_EVERY == RUBBISH_EVERY - 1:
                yield None, rng.randrange(PARTITIONS), rng.choice(RUBBISH)
                continue
            event = next(simulated)
            home = partition_of(event.key, PARTITIONS)
            away = rng.randrange(PARTITIONS) if partition_of(event.key, STRAY_EVERY) == 0 else 0
            yield event.lead_id, (home + away) % PARTITIONS, event.value


@dataclass(slots=True)
class Found:
    """What is wrong, which should be nothing, and what was looked at."""

    wrong: list[str] = field(default_factory=list)
    leads: int = 0
    changes: int = 0
    several_routes: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)


class Proof:
    """One run under *prefix* of the broker; everything lies in *directory*."""

    def __init__(
        self, bootstrap: str, redis_url: str, *, prefix: str, directory: Path, given: Input, wait_s: float
    ) -> None:
        self._given = given
        self._wait_s = wait_s
        self._redis_url = redis_url
        self._directory = directory
        self._several_routes: set[str] = set()
        self._told: dict[str, None] = {}
        self._file = directory / "events.jsonl"
        self._bench = ScoreBench(bootstrap, prefix, directory, partitions=PARTITIONS)
        TopicCluster({"bootstrap.servers": bootstrap}).apply(
            one.on_cluster(prefix=prefix, partitions=PARTITIONS) for one in load_declarations(sinks=SINKS)
        )

    def run(self, say: Callable[[str], None]) -> Found:
        """All of it; what is said is for people."""
        with ExitStack() as stack:
            stack.callback(self._bench.delete_topics)
            stack.callback(self._bench.end)
            destinations = stack.enter_context(Destinations())
            say(f"feeding {self._given.events:,} records")
            self._feed()
            settings = self._settings(destinations)
            worker = self._bench.start(**settings)
            self._bench.wait_for(lambda: not self._bench.not_committed(), seconds=self._wait_s)
            say("scored by the stream; waiting for its deliveries")
            self._bench.wait_for(lambda: all(_requests(destinations).values()), seconds=self._wait_s)
            self._bench.wait_for(lambda: not self._undelivered(), seconds=self._wait_s)
            worker.stop()
            stream = self._made_by_stream()
            before = _requests(destinations), self._ends()
            found = Found([], len(stream.scores), sum(map(len, stream.sequences.values())), len(self._several_routes))
            for name, arguments in self._replays().items():
                say(f"replay of {name}")
                found.wrong += self._replayed(name, arguments, settings, stream)
            found.requests = _requests(destinations)
            if before != (found.requests, self._ends()):
                found.wrong.append(f"a replay called a sink or wrote a record: {before} before, {found.requests} after")
            found.wrong += self._same_bytes()
            return found

    def _feed(self) -> None:
        """To the topic and to the file."""
        activity = self._bench.topics.activity
        with self._file.open("wb") as file:
            for number, (lead_id, partition, value) in enumerate(self._given.records()):
                self._bench.produce(activity, partition, None if lead_id is None else lead_id.encode(), value)
                file.write(value + b"\n")
                if number % _FLUSH_EVERY == 0:
                    self._bench.flush()
                if lead_id is None:
                    continue
                if partition != partition_of(lead_id.encode(), PARTITIONS):
                    self._several_routes.add(lead_id)
                if len(self._told) < TOLD_LEADS and not lead_id.startswith("anon:"):
                    self._told[lead_id] = None
        self._bench.flush()

    def _settings(self, destinations: Destinations) -> dict[str, str]:
        """The environment of a worker that delivers what comes of a few leads, to every destination."""
        written = write_settings_file(self._directory / "pql.toml", destinations.addresses)
        sinks, _, _ = written.path.read_text().partition("[[routes]]")
        routes = [
            _ROUTES.format(name=f"to-{sink}", sink=sink, action=action, options=options, leads=sorted(self._told))
            for sink, (action, options) in _ACTIONS.items()
        ]
        written.path.write_text(sinks + "".join(routes))
        return {**written.secrets, "PQL_CONFIG": str(written.path), "REDIS_URL": self._redis_url}

    def _undelivered(self) -> int:
        """What the group that delivers has not committed of what it reads."""
        prefix, bench = self._bench.prefix, self._bench
        topics = [prefix + SCORE_CHANGED, prefix + PQL_QUALIFIED]
        topics += [sink_topics(sink, prefix).deliveries for sink in SINKS]
        group = Consumer({"bootstrap.servers": bench.bootstrap, "group.id": prefix + DELIVER_APP_ID})
        try:
            asked = [TopicPartition(topic, partition) for topic in topics for partition in range(PARTITIONS)]
            committed = group.committed(asked, timeout=10)
            return sum(map(bench.size, topics)) - sum(max(at.offset, 0) for at in committed)
        finally:
            group.close()

    def _ends(self) -> dict[str, int]:
        """How many records lie on each topic."""
        prefix, bench = self._bench.prefix, self._bench
        of_sinks = [name for sink in SINKS for name in astuple(sink_topics(sink, prefix))]
        return {topic: bench.size(topic) for topic in (*astuple(bench.topics), *of_sinks)}

    def _made_by_stream(self) -> Made:
        made = Made()
        topics, cluster = self._bench.topics, Cluster(self._bench.bootstrap)
        for topic in (topics.score_changed, topics.qualified):
            made.take(record.value for record in cluster.records(topic))
        newest = {row.key: row.value for row in cluster.records(topics.leads_changelog)}
        for key, value in newest.items():
            lead_id = key.decode()
            made.scores[lead_id] = lead_score_fields(lead_id, load_state(value, PACK), PACK)
        (refused,) = self._bench.read(topics.activity_dlq)
        made.rejected = Counter(dict(record.headers)["pql-dlq-reason"].decode() for record in refused)
        return made

    def _replays(self) -> dict[str, tuple[str, ...]]:
        topic = ("--topic", "product-activity")
        return {
            "topic-1": (*topic, "--processes", "1"),
            "topic-2": (*topic, "--processes", "2"),
            "file-1": (str(self._file), "--processes", "1"),
            "file-2": (str(self._file), "--processes", "2"),
        }

    def _replayed(self, name: str, arguments: tuple[str, ...], settings: dict[str, str], stream: Made) -> list[str]:
        out = self._directory / name
        done = subprocess.run(
            [sys.executable, "-m", "pql_stream", "replay", *arguments, "--out", str(out)],
            env=self._bench.environment(**settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=self._wait_s,
        )
        if done.returncode:
            return [f"replay of {name}: {done.stderr}"]
        same_places = name.startswith("topic")
        wrong = differences(stream, made_by_replay(out), self._several_routes, same_places=same_places)
        return [f"replay of {name}: {one}" for one in wrong]

    def _same_bytes(self) -> Iterator[str]:
        """Whatever the number of processes."""
        for one, two in (("topic-1", "topic-2"), ("file-1", "file-2")):
            for path in sorted((self._directory / one).iterdir()):
                if path.read_bytes() != (self._directory / two / path.name).read_bytes():
                    yield f"{path.name} of {one} and of {two} differ"


def _requests(destinations: Destinations) -> dict[str, int]:
    """What each destination has heard."""
    return {sink: len(journal.requests) + len(journal.effects) for sink, journal in destinations._journals.items()}
