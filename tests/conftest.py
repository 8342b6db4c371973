"""
Brokers, topics and Redis servers for every test.

A test that uses `kafka`, `own_kafka` or `apache_kafka` needs a real Apache Kafka: mark it
`@pytest.mark.system`.
"""

import fcntl
import os
import shutil
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import HealthCheck, settings

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.class_archive import ClassArchive
from pql_stream.ops.brokers.embedded import EmbeddedKafka
from pql_stream.ops.brokers.jars import CACHE_VARIABLE, cache_dir, fetch_jars, find_java
from pql_stream.ops.brokers.local import LocalKafka
from pql_stream.ops.brokers.redis import EmbeddedRedis, find_server
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from tests.docker_kafka import NoDockerKafka, docker_kafka, engine_answers
from tests.nothing_personal import MARKER, found_in_logs
from tests.redis_space import RedisSpace, open_space
from tests.shared_by_processes import shared_by_processes

# How long an example takes is a matter of the machine.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

TEST_BOOTSTRAP_VARIABLE = "PQL_TEST_BOOTSTRAP_SERVERS"
TEST_REDIS_VARIABLE = "PQL_TEST_REDIS_URL"


def pytest_configure(config: pytest.Config) -> None:
    """Take the user's own cluster and settings out of reach: no test may touch them or depend on them."""
    kept = {TEST_BOOTSTRAP_VARIABLE, TEST_REDIS_VARIABLE, CACHE_VARIABLE}
    for name in list(os.environ):
        if name.startswith(("KAFKA_", "PQL_", "REDIS_")) and name not in kept:
            del os.environ[name]
    # A broker here lives for a minute: compiling its code for speed would cost more than it saves.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits for a cluster most of its time, so that what needs a core runs beside it."""
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose logs have an e-mail address or a secret of the fixtures, when it is torn down."""
    report = yield
    if report.when == "teardown" and report.passed and item.get_closest_marker(MARKER) is None:
        found = found_in_logs(report, getattr(item, "funcargs", {}).get("tmp_path"))
        if found is not None:
            report.outcome = "failed"
            report.longrepr = f"personal data or a secret was logged: {found}"
    return report


class TestKafka:
    """A real broker that may be shared: keep to topics and groups under a `topic_prefix`."""

    __test__ = False  # no test class, whatever its name

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._cluster = TopicCluster({"bootstrap.servers": bootstrap})

    def create_topics(self, topics: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
        """Create *topics* (name -> partitions), all with *config*, and return when they can be used."""
        new = [NewTopic(name, count, config=dict(config or {})) for name, count in topics.items()]
        for created in self.admin.create_topics(new).values():
            created.result()
        self._cluster.wait_for(topics)

    def create_pipeline_topics(self, prefix: str, partitions: int) -> None:
        """Create every declared topic under *prefix*."""
        self._cluster.apply(
            declared.on_cluster(prefix=prefix, partitions=partitions) for declared in load_declarations()
        )

    def delete_topics(self, prefix: str) -> None:
        """Delete every topic under *prefix*, and do not mind those that are gone."""
        names = [name for name in self.admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        if names:
            wait(self.admin.delete_topics(names).values(), timeout=30)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> None:
    """
    Whatever Apache Kafka needs to run here, and what makes it start quickly.

    Skip where there is no Java or Maven at home; fail in CI, where a skipped test would be a hole.
    """
    try:
        classes = ClassArchive(find_java(), fetch_jars())
        with (cache_dir() / "classes.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not classes.exists():
                with LocalKafka(tmp_path_factory.mktemp("classes")):
                    pass
    except BrokerError as exc:
        notice = f"{exc.what}; {exc.why}; {exc.what_to_do}"
        if os.environ.get("CI"):
            pytest.fail(notice)
        pytest.skip(notice)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestKafka]:
    """
    The real broker of this run, one for all its processes: that of PQL_TEST_BOOTSTRAP_SERVERS, else one in a container
    where a Docker engine answers, else one of our own from Maven's artifacts.
    """
    given = os.environ.get(TEST_BOOTSTRAP_VARIABLE, "").strip()
    if given:
        yield TestKafka(given)
        return

    @contextmanager
    def started() -> Iterator[str]:
        with ExitStack() as stack:
            if (bootstrap := _in_docker(stack)) is not None:
                yield bootstrap
                return
        request.getfixturevalue("apache_kafka")  # not a parameter: other brokers need no Java
        data_dir = tmp_path_factory.mktemp("kafka")
        with LocalKafka(data_dir) as broker:
            yield broker.bootstrap
        shutil.rmtree(data_dir, ignore_errors=True)  # pytest keeps the last three sessions' directories

    with shared_by_processes(tmp_path_factory.getbasetemp(), started) as bootstrap:
        yield TestKafka(bootstrap)


def _in_docker(stack: ExitStack) -> str | None:
    """The bootstrap servers of a broker in a container that ends with *stack*; None where there can be none."""
    if not engine_answers():
        return None
    try:
        return stack.enter_context(docker_kafka(_free_port()))
    except NoDockerKafka as exc:
        print(f"no broker in Docker, so one from Maven's artifacts: {exc}", file=sys.stderr)  # noqa: T201 - pytest shows it with the test
        return None


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


@pytest.fixture
def own_kafka(apache_kafka: None, tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker for this test alone, running, to be stopped, killed and started again at will."""
    with LocalKafka(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[Callable[[Mapping[str, int]], EmbeddedKafka]]:
    """A function that starts an in-memory broker with topics (name -> partitions); all end with the tests."""
    started: list[EmbeddedKafka] = []

    def start(topics: Mapping[str, int]) -> EmbeddedKafka:
        started.append(EmbeddedKafka(topics))
        return started[-1]

    yield start
    for broker in started:
        broker.close()


@pytest.fixture(scope="session")
def redis_server() -> None:
    """A Redis server's program. Skip where there is none at home; fail in CI, where a skipped test would be a hole."""
    try:
        find_server()
    except BrokerError as exc:
        notice = f"{exc.what}; {exc.why}; {exc.what_to_do}"
        if os.environ.get("CI"):
            pytest.fail(notice)
        pytest.skip(notice)


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    A real Redis that may be shared: keep to `redis_space`.

    That of PQL_TEST_REDIS_URL, else one of our own.
    """
    given = os.environ.get(TEST_REDIS_VARIABLE, "").strip()
    if given:
        yield given
        return
    request.getfixturevalue("redis_server")  # not a parameter: a given Redis needs no program
    with EmbeddedRedis() as redis:
        yield redis.url


@pytest.fixture
async def redis_space(redis_url: str) -> AsyncIterator[RedisSpace]:
    """A part of the Redis of `redis_url` for this test alone; its keys go after the test."""
    space = open_space(redis_url)
    yield space
    await space.close()


@pytest.fixture
def own_redis(redis_server: None, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis for this test alone that keeps its rows, running, to be stopped, killed and started again at will."""
    with EmbeddedRedis(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has, today or ever."""
    return f"t{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def make_topics(kafka: TestKafka, topic_prefix: str) -> Iterator[Callable[[int], None]]:
    """A function that creates the declared topics under `topic_prefix`; all under it goes after the test."""

    def make(partitions: int = 4) -> None:
        kafka.create_pipeline_topics(topic_prefix, partitions)

    yield make
    kafka.delete_topics(topic_prefix)
