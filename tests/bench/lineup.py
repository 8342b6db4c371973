"""Who takes part: how each contender is started, what it needs, and how long a piece of the input it gets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pql_stream.errors import InvalidSettings
from pql_stream.ops.settings import load_settings
from pql_stream.stream.names import APP_ID, Topics
from tests.bench.building import NotAvailable, bench_python, java, streams_classpath

ROOT = Path(__file__).parents[2]
EVENTS_MIN = 2_000_000
"""So a JVM is warm; who is held against it gets the same, so that a slow minute is not all of its run."""
STREAMS_HEAP = "1g"
STREAMS_CACHE_MB = 128
"""Of serialized states; about what our RocksDB may take for four partitions (block caches and write buffers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one run of a contender reads and writes."""

    bootstrap: str
    prefix: str
    run: str
    partitions: int
    directory: Path

    @property
    def topics(self) -> Topics:
        """The same names for all contenders."""
        return Topics.under(self.prefix)

    @property
    def own(self) -> str:
        """What a contender's own topics and its group begin with."""
        return f"{self.prefix}{self.run}"


@dataclass(frozen=True, slots=True)
class Launch:
    """A command, and what is added to its environment."""

    command: list[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """
    One engine.

    *share* is the part of the benchmark's events that it gets, *events_min* or more of them: the slow ones get
    less, and a JVM more, to be warm. What does less than *events_per_s_min* is given up. *prepare* raises
    `NotAvailable` where it cannot run. *group* is the consumer group of a run.
    """

    name: str
    title: str
    launch: Callable[[Place], Launch]
    share: float = 1.0
    events_min: int = 0
    events_per_s_min: float = 3_000
    prepare: Callable[[], object] = lambda: None
    group: Callable[[Place], str] = lambda place: place.own


def _ours(store: str, guarantee: str = "at_least_once") -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        return Launch(
            [sys.executable, "-m", "pql_stream", "worker"],
            {
                "PYTHONPATH": str(ROOT),
                "KAFKA_BOOTSTRAP_SERVERS": place.bootstrap,
                "PQL_TOPIC_PREFIX": place.prefix,
                "PQL_DATA_DIR": str(place.directory),
                "PQL_HTTP_PORT": "0",
                "PQL_STORE": store,
                "PQL_PROCESSING_GUARANTEE": guarantee,
                "PQL_LOG_FORMAT": "json",
            },
        )

    return launch


def _our_group(place: Place) -> str:
    return f"{place.prefix}{APP_ID}"


def _needs_exactly_once() -> None:
    try:
        load_settings({"PQL_PROCESSING_GUARANTEE": "exactly_once"})
    except InvalidSettings as exc:
        raise NotAvailable(f"the worker refuses PQL_PROCESSING_GUARANTEE=exactly_once: {exc.why}") from exc


def _arguments(place: Place) -> list[str]:
    topics = place.topics
    named = {
        "bootstrap": place.bootstrap,
        "group": place.own,
        "activity": topics.activity,
        "changes": topics.score_changed,
        "qualified": topics.qualified,
        "changelog": topics.leads_changelog,
        "partitions": str(place.partitions),
        "directory": str(place.directory),
    }
    return [text for name, value in named.items() for text in (f"--{name}", value)]


def _python(module: str, python: Callable[[], Path] = lambda: Path(sys.executable)) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        program = [str(python()), "-m", f"tests.bench.contenders.{module}"]
        return Launch([*program, *_arguments(place)], {"PYTHONPATH": str(ROOT)})

    return launch


def _streams(place: Place) -> Launch:
    command = [java(), f"-Xmx{STREAMS_HEAP}", "-cp", streams_classpath(), "bench.PqlStreams"]
    return Launch([*command, *_arguments(place), "--cache-mb", str(STREAMS_CACHE_MB)], {})


OURS = Contender(
    name="rocksdb",
    title="pql-stream worker, RocksDB",
    launch=_ours("rocksdb"),
    events_min=EVENTS_MIN,
    group=_our_group,
)
OURS_IN_MEMORY = Contender(name="memory", title="pql-stream worker, memory", launch=_ours("memory"), group=_our_group)
OURS_EXACTLY_ONCE = Contender(
    name="exactly-once",
    title="pql-stream worker, RocksDB, exactly once",
    launch=_ours("rocksdb", "exactly_once"),
    prepare=_needs_exactly_once,
    group=_our_group,
)
OURS_ALL = (OURS, OURS_IN_MEMORY, OURS_EXACTLY_ONCE)
KAFKA_STREAMS = Contender(
    name="kafka-streams",
    title="Kafka Streams (Java), RocksDB",
    launch=_streams,
    events_min=EVENTS_MIN,
    prepare=streams_classpath,
)
QUIX = Contender(
    name="quix",
    title="Quix Streams, RocksDB",
    launch=_python("quix", bench_python),
    share=0.2,
    events_per_s_min=1_000,
    prepare=bench_python,
)
FAUST = Contender(
    name="faust",
    title="plain Faust agent, RocksDB",
    launch=_python("plain_faust"),
    share=0.04,
    events_per_s_min=200,
)
BARE_CONFLUENT = Contender(
    name="bare-confluent", title="bare confluent-kafka, changelog", launch=_python("bare_confluent")
)
BARE_AIOKAFKA = Contender(name="bare-aiokafka", title="bare aiokafka, changelog", launch=_python("bare_aiokafka"))

LINEUP = (*OURS_ALL, KAFKA_STREAMS, QUIX, FAUST, BARE_CONFLUENT, BARE_AIOKAFKA)
