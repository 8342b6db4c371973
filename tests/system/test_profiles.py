"""Contact data on a real broker: where it lies, that it survives whatever is done to workers, and how it is erased."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from score_bench import MOSTLY_AT_LEAST_ONCE, ScoreBench, Worker, bench_on
from score_proxy import HoldingProxy

from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record
from tests.proof import proof

pytestmark = pytest.mark.system

PARTITIONS = 4
AT_MS = 1_767_607_200_000
HOST = b"@secret.example"
PHONE = b"+49 30 901820"
LEADS = [f"lead-{number}" for number in range(20)]

Facts = dict[str, Any]


@pytest.fixture(params=MOSTLY_AT_LEAST_ONCE)
def bench(request, kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet; under each guarantee."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=PARTITIONS, guarantee=request.param) as made:
        yield made


class Story:
    """Events that say who leads are, and what is known after all of them: computed here, and not as workers do."""

    def __init__(self, bench: ScoreBench) -> None:
        self._bench = bench
        self._number = 0
        self._known: dict[str, dict[str, tuple[int, Any]]] = defaultdict(dict)

    def tell(
        self, lead_id: str, *, home: bool = True, name: str = "identify", ago_ms: int = 0, size: int = 0, **facts: Any
    ) -> None:
        """
        An event about *lead_id*, perhaps on a wrong partition, perhaps older than others; a team's *size* changes its
        score.
        """
        self._number += 1
        at_ms = AT_MS + self._number * 1000 - ago_ms
        for field, value in facts.items():
            self._known[lead_id][field] = max(self._known[lead_id].get(field, (0, None)), (at_ms, value))
        self._feed(lead_id, name, at_ms, facts | ({"team_size": size} if size else {}), home=home)

    def use(self, lead_id: str) -> None:
        """An event that has nothing to do with contact data, and changes the lead's row."""
        self._number += 1
        self._feed(lead_id, "feature_used", AT_MS + self._number * 1000, {"feature": f"f{self._number}"}, home=True)

    def _feed(self, lead_id: str, name: str, at_ms: int, facts: Facts, *, home: bool) -> None:
        fields = {"event_id": f"e{self._number}", "user_id": lead_id, "event": name, "occurred_at": at_ms}
        partition = (partition_of_lead(lead_id, PARTITIONS) + (0 if home else 1)) % PARTITIONS
        record = Record(json.dumps(fields | {"properties": facts}).encode(), (), lead_id.encode(), at_ms)
        self._bench.feed([(partition, record)])

    def forget(self, lead_id: str) -> None:
        """The lead is erased."""
        self._known.pop(lead_id, None)

    def known(self) -> dict[str, Facts]:
        """What is known of each lead."""
        return {
            lead_id: {field: value for field, (_, value) in fields.items()} for lead_id, fields in self._known.items()
        }

    def everybody(self) -> None:
        """All leads say who they are, twice, some on wrong partitions, some in the wrong order."""
        for number, lead_id in enumerate(LEADS):
            self.tell(lead_id, home=number % 5 != 0, email=f"old-{lead_id}{HOST.decode()}", phone=PHONE.decode())
            self.use(lead_id)
        for number, lead_id in enumerate(LEADS):
            late = 100_000 if number % 3 == 0 else 0
            self.tell(lead_id, name="profile_updated", ago_ms=late, email=f"new-{lead_id}{HOST.decode()}", title="CTO")


@pytest.fixture
def story(bench) -> Story:
    return Story(bench)


def stored(bench: ScoreBench) -> dict[str, Facts]:
    """The last record of each lead in lead-profiles, without what nobody said; each on its lead's partition."""
    (records,) = bench.read(bench.topics.lead_profiles)
    last = {record.key.decode(): record for record in records if record.key is not None}
    for lead_id, record in last.items():
        assert partition_of_lead(lead_id, PARTITIONS) == record.partition
    found = {lead_id: json.loads(record.value) for lead_id, record in last.items() if record.value}
    for lead_id, fields in found.items():
        assert (lead_id, "lead-profiles/1") == (fields.pop("lead_id"), fields.pop("schema"))
        said_by = fields.pop("said_by")
        assert said_by.keys() == {field for field, value in fields.items() if value is not None}
    return {lead_id: {name: v for name, v in fields.items() if v is not None} for lead_id, fields in found.items()}


def erase_elsewhere(bench: ScoreBench, lead_id: str) -> None:
    """A tombstone, as any tool writes it."""
    bench.produce(bench.topics.lead_profiles, partition_of_lead(lead_id, PARTITIONS), lead_id.encode(), None)
    bench.flush()


def erase(bench: ScoreBench, lead_id: str, *options: str) -> dict[str, Any]:
    """`pql-stream erase`."""
    done = bench.run("erase", lead_id, "--json", *options)
    assert 0 == done.returncode, done.stderr
    assert HOST.decode() not in done.stdout + done.stderr
    return json.loads(done.stdout)


def restarted(bench: ScoreBench, worker: Worker, name: str, **settings: str) -> Worker:
    """Another worker in the place of *worker*, which is killed; under another name it knows the cluster only."""
    worker.kill()
    return bench.start(name, **settings)


def let_it_look(bench: ScoreBench, proxy: HoldingProxy) -> None:
    """Time for the worker behind *proxy* to notice an erasure: it looks every three seconds, and beats every 0.6."""
    heartbeats = proxy.heartbeats
    bench.wait_for(lambda: proxy.heartbeats >= heartbeats + 7)


@pytest.mark.parametrize("store", ["rocksdb", proof("memory")])
def test_contact_data_lies_in_its_topic_and_nowhere_else(bench, story, store):
    """
    What each lead said last, field by field, whatever the route and the order; and no address in any other topic but
    those that the product itself has written it to, nor in the log.
    """
    worker = bench.start(PQL_STORE=store, PQL_LOG_LEVEL="debug")
    story.everybody()
    bench.wait_all_committed()
    assert 0 == worker.stop()
    topics = bench.topics
    written = bench.read(topics.score_changed, topics.qualified, topics.leads_changelog)

    assert story.known() == stored(bench)
    for secret in (HOST, PHONE):
        assert not [record for records in written for record in records if secret in (record.value or b"")]
        assert secret.decode() not in worker.log()


@pytest.mark.parametrize("store", ["rocksdb", proof("memory")])
def test_what_was_known_survives_a_kill_and_a_lost_disk(bench, story, store):
    """
    The next worker folds onto what the killed one has stored, on its state and on none.
    """
    worker = bench.start("a", PQL_STORE=store)
    story.everybody()
    bench.wait_all_committed()
    worker = restarted(bench, worker, "a", PQL_STORE=store)
    for lead_id in LEADS[:10]:
        story.tell(lead_id, locale="en-GB")
    bench.wait_all_committed()
    restarted(bench, worker, "b", PQL_STORE=store)
    for lead_id in LEADS:
        story.tell(lead_id, timezone="Europe/London")
    bench.wait_all_committed()

    assert story.known() == stored(bench)


@pytest.mark.parametrize("held", [proof("score_changed"), "leads_changelog", proof("lead_profiles")])
def test_a_worker_killed_between_two_steps_loses_no_contact_data(bench, story, proxy, held):
    """
    kill -9 of a worker whose outputs, or whose rows of one of the tables, are on their way and not written.
    """
    name = getattr(bench.topics, held)
    killed = bench.start(KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    story.tell("lead-0", email=f"a{HOST.decode()}")
    bench.wait_all_committed()
    with proxy.held(name):
        story.everybody()
        for lead_id in LEADS:
            story.tell(lead_id, name="tutorial_completed")
        bench.wait_for(lambda: proxy.stands(name))
        killed.kill()
        proxy.cut()
    bench.start()
    bench.wait_all_committed()

    assert story.known() == {lead_id: facts for lead_id, facts in stored(bench).items() if facts}


def test_a_worker_that_ends_between_its_two_tables_loses_no_contact_data(bench, story):
    """
    The broker takes the states and refuses the contact data of the same batch, and the worker ends; the next one
    makes the rest.
    """
    ended = bench.start("a")
    story.tell("lead-0", email=f"a{HOST.decode()}")
    bench.wait_all_committed()
    with refusing(bench, bench.topics.lead_profiles):
        story.everybody()
        assert 0 != bench.wait_ended(ended)
    bench.start("a")
    bench.wait_all_committed()

    assert story.known() == stored(bench)


class refusing:  # noqa: N801 - used as a function
    """The broker takes no record for a topic within the block."""

    def __init__(self, bench: ScoreBench, topic: str) -> None:
        self._bench, self._topic = bench, topic

    def __enter__(self) -> None:
        self._set("100")

    def __exit__(self, *exc_info: object) -> None:
        self._set("1048588")

    def _set(self, bytes_max: str) -> None:
        entry = ConfigEntry("max.message.bytes", bytes_max, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self._topic, incremental_configs=[entry])
        self._bench._admin.incremental_alter_configs([resource])[resource].result()


def test_a_row_that_somebody_else_has_written_is_written_again(bench, story):
    """
    At least once a record of a zombie does not stay the last one. (Exactly once a zombie cannot write.)
    """
    if bench.guarantee == "exactly_once":
        pytest.skip("nobody else can write rows")
    bench.start()
    story.everybody()
    bench.wait_all_committed()
    late = {"schema": "lead-profiles/1", "lead_id": "lead-1", "email": "late@secret.example"}
    late |= {"said_by": {"email": {"event_id": "e", "occurred_at": "2026-01-01T00:00:00.000Z"}}}
    home = partition_of_lead("lead-1", PARTITIONS)
    bench.produce(bench.topics.lead_profiles, home, b"lead-1", json.dumps(late).encode())
    bench.flush()
    bench.wait_for(lambda: stored(bench) == story.known())


def test_a_lead_is_erased_while_a_worker_runs(bench, story):
    """
    The running worker forgets the lead, and so does every later one, on its state and on none. What the lead says
    afterwards is all that is known of it.
    """
    worker = bench.start("a")
    story.everybody()
    bench.wait_all_committed()
    known = erase(bench, "lead-3")
    done = erase(bench, "lead-3", "--yes")
    story.forget("lead-3")

    assert (["email", "title", "phone"], False) == (known["known"], known["erased"])
    assert (True, bench.guarantee == "at_least_once") == (done["erased"], done["confirmed"])
    assert story.known() == stored(bench)

    story.tell("lead-3", title="CEO")
    story.use("lead-3")
    bench.wait_all_committed()

    assert {"title": "CEO"} == stored(bench)["lead-3"]

    worker = restarted(bench, worker, "a")
    story.tell("lead-3", locale="fr")
    bench.wait_all_committed()
    restarted(bench, worker, "b")
    story.tell("lead-3", timezone="Europe/Paris")
    bench.wait_all_committed()

    assert story.known() == stored(bench)
    assert {"title": "CEO", "locale": "fr", "timezone": "Europe/Paris"} == stored(bench)["lead-3"]


def test_a_lead_is_erased_by_a_tombstone_of_another_tool(bench, story):
    """
    No command of ours is needed, and no worker needs to run.
    """
    worker = bench.start("a")
    story.everybody()
    bench.wait_all_committed()
    erase_elsewhere(bench, "lead-4")
    story.forget("lead-4")
    # A batch is enough for the worker to notice: no row of the lead may come of what it knew.
    story.tell("lead-4", ago_ms=1, title="CEO")
    bench.wait_all_committed()
    noticed = stored(bench).get("lead-4")
    assert noticed in (None, {"title": "CEO"})

    assert 0 == worker.stop()
    erase_elsewhere(bench, "lead-4")
    erase_elsewhere(bench, "lead-5")
    story.forget("lead-4")
    story.forget("lead-5")
    bench.start("a")
    story.tell("lead-4", locale="fr")
    story.tell("lead-5", locale="fr")
    bench.wait_all_committed()

    assert story.known() == stored(bench)


def test_a_row_on_its_way_does_not_undo_an_erasure(bench, story, proxy):
    """
    A row that was made of what is to be forgotten arrives behind the tombstone: the worker that wrote it takes it back.
    """
    name = bench.topics.lead_profiles
    bench.start(KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    story.everybody()
    bench.wait_all_committed()
    with proxy.held(name):
        story.tell("lead-6", title="CEO")
        bench.wait_for(lambda: proxy.stands(name))
        erase_elsewhere(bench, "lead-6")
    bench.wait_all_committed()
    story.forget("lead-6")

    assert story.known() == stored(bench)

    story.tell("lead-6", locale="fr")
    bench.wait_all_committed()

    assert story.known() == stored(bench)


def test_a_batch_at_work_does_not_undo_an_erasure(bench, story, proxy):
    """
    The tombstone comes after a batch has read what is known and before it stores what it made of it.
    """
    name = bench.topics.score_changed
    bench.start(KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    story.everybody()
    bench.wait_all_committed()
    with proxy.held(name):
        story.tell("lead-7", title="CEO", size=9)
        bench.wait_for(lambda: proxy.stands(name))
        erase_elsewhere(bench, "lead-7")
        let_it_look(bench, proxy)
    bench.wait_all_committed()
    let_it_look(bench, proxy)
    story.forget("lead-7")

    assert story.known() == stored(bench)

    story.tell("lead-7", phone="1")
    bench.wait_all_committed()

    assert story.known() == stored(bench)


def test_erase_refuses_who_is_not_known(bench, story):
    """
    A lead that is misspelt, a topic that is not there: one line what, one line why, one line what to do, exit 1.
    """
    bench.start()
    story.tell("lead-1", email=f"a{HOST.decode()}")
    bench.wait_all_committed()
    unknown = bench.run("erase", "lead-11", "--yes")
    elsewhere = bench.run("erase", "lead-1", "--yes", PQL_TOPIC_PREFIX="nobody-")

    assert (1, "Error: there is no contact data of a lead lead-11") == (unknown.returncode, _first_line(unknown.stderr))
    assert (1, "Error: there is no topic nobody-lead-profiles") == (elsewhere.returncode, _first_line(elsewhere.stderr))
    assert story.known() == stored(bench)


def test_erase_says_what_it_would_do_and_what_it_has_done(bench, story):
    """
    Without --yes nothing happens. A second time there is nothing left to do, and that is no failure.
    """
    story.tell("lead-1", email=f"a{HOST.decode()}", consent=True)
    bench.start().may_end = True
    bench.wait_all_committed()
    dry = bench.run("erase", "lead-1")

    assert (0, story.known()) == (dry.returncode, stored(bench))
    assert dry.stdout.startswith(f"lead-1: email, consent in {bench.topics.lead_profiles}-")
    assert "add --yes" in dry.stderr

    first, second = bench.run("erase", "lead-1", "--yes"), bench.run("erase", "lead-1", "--yes")

    assert (0, 0, {}) == (first.returncode, second.returncode, stored(bench))
    assert first.stdout.endswith(", erased\n")
    assert second.stdout.startswith("lead-1: erased already in ")


def test_a_row_of_a_later_version_stops_the_worker(bench):
    """
    A worker that an upgrade was taken back from does not start over what a newer one knows.
    """
    home = partition_of_lead("lead-1", PARTITIONS)
    bench.produce(bench.topics.lead_profiles, home, b"lead-1", b'{"schema": "lead-profiles/2", "all": "new"}')
    bench.flush()
    worker = bench.start()

    assert 1 == bench.wait_ended(worker)
    assert "version 2" in worker.log()


def _first_line(text: str) -> str:
    return text.splitlines()[0]
