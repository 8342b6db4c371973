"""The benchmark's way with a contender, on a real broker: it measures, and sees a wrong output."""

import sys
from dataclasses import replace

import pytest

from tests.bench.cluster import Cluster
from tests.bench.cores import Cores
from tests.bench.lineup import BARE_AIOKAFKA, BARE_CONFLUENT, OURS, Contender, Launch
from tests.bench.load import Load
from tests.bench.session import Session

pytestmark = pytest.mark.system

LOAD = Load(stream="steady", leads=100, events=2_000)

FORGETFUL = """
import sys
from tests.bench.contenders import job
class Forgetful(job.EventScorer):
    def score(self, state, value, partition, offset, timestamp_ms):
        scored = super().score(state, value, partition, offset, timestamp_ms)
        return scored if offset % 100 else job.Scored(scored.state, None, None)
job.EventScorer = Forgetful
from tests.bench.contenders.bare_confluent import BareScorer
BareScorer(job.job_of_command_line()).run()
"""


@pytest.fixture
def session(kafka, tmp_path):
    """The benchmark on the broker of the tests; nothing is held to a core."""
    return Session(Cluster(kafka.bootstrap), Cores(frozenset(), ()), tmp_path)


@pytest.mark.parametrize("contender", [OURS, BARE_CONFLUENT, BARE_AIOKAFKA], ids=lambda contender: contender.name)
def test_a_right_contender_is_right(session, contender):
    """Every lead's score, changes and qualifications agree with the core, and all records of some with the oracle."""
    with session.input(LOAD) as given:
        run = session.run(contender, given)

    assert () == run.checked.faults
    assert (100, given.expected.changes) == (run.checked.leads, run.checked.changes)
    assert run.throughput.cpu_s_per_million > 0


def test_a_change_that_is_not_written_is_seen(session):
    """A contender that leaves out a few changes is reported as wrong, with the leads that it is wrong about."""

    def launch(place):
        right = BARE_CONFLUENT.launch(place)
        arguments = right.command[right.command.index("--bootstrap") :]
        return Launch([sys.executable, "-c", FORGETFUL, *arguments], right.environment)

    with session.input(LOAD) as given:
        run = session.run(replace(BARE_CONFLUENT, launch=launch), given)

    assert not run.is_right
    assert any("changes instead of" in fault for fault in run.checked.faults)


def test_a_contender_that_ends_has_failed(session):
    """Its last words are in the result, and nothing is waited for."""
    broken = Contender(
        name="broken",
        title="broken",
        launch=lambda _: Launch([sys.executable, "-c", "raise SystemExit('no store')"], {}),
    )

    with session.input(LOAD) as given:
        run = session.run(broken, given)

    assert (None, None, True) == (run.throughput, run.checked, "no store" in run.failed)
