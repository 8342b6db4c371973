"""`pql-stream demo` as a newcomer runs it: as a process, in an empty directory. Needs no broker of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proof import proof

WAIT_S = 120
BIN = Path(sys.executable).parent
DEMO = (str(BIN / "pql-stream"), "demo", "--quick")
HOSTILE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "PQL_TOPIC_PREFIX": "blue-",
    "PQL_PACK": "no-such-pack",
    "PQL_NO_SUCH_SETTING": "1",
    "PQL_HTTP_PORT": "1",
    "PQL_CONFIG": "no-such-file.toml",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DEMO_HUBSPOT_KEY": "of-somebody-else",
    "http_proxy": "http://127.0.0.1:1",
}
"""An environment that belongs to another cluster, and would stop a worker."""


def environ(**given: str) -> dict[str, str]:
    """As in a shell where no virtualenv is activated."""
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != BIN)
    return {**os.environ, "PATH": path, **given}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, str, str]]:
    """A function that runs the quick demo to its end, once for equal options: where, stdout, stderr."""
    done: dict[tuple[str, ...], tuple[Path, str, str]] = {}

    def run(*options: str) -> tuple[Path, str, str]:
        if options not in done:
            place = tmp_path_factory.mktemp("demo")
            (place / "pql.toml").write_text("the settings file of another cluster")
            process = subprocess.run(
                [*DEMO, *options],
                cwd=place,
                env=environ(**HOSTILE),
                capture_output=True,
                text=True,
                timeout=WAIT_S,
                check=False,
            )
            assert (0, "") == (process.returncode, process.stderr)
            # Every command but the demo reads it, and refuses it.
            (place / "pql.toml").unlink()
            done[options] = (place, process.stdout, process.stderr)
        return done[options]

    return run


class Running:
    """A demo that is kept running."""

    def __init__(self, place: Path, *options: str, **given: str) -> None:
        self.place = place
        with (place / "stdout").open("wb") as stdout, (place / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [*DEMO, "--keep", *options], cwd=place, env=environ(**given), stdout=stdout, stderr=stderr
            )

    @property
    def stderr(self) -> str:
        return (self.place / "stderr").read_text()

    def wait_for(self, text: str) -> None:
        """Return when it has said *text* on stderr."""
        deadline_s = time.monotonic() + WAIT_S
        while text not in self.stderr:
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline_s, self.stderr
            time.sleep(0.05)

    def commands(self) -> list[str]:
        """The lines that it tells to type in another terminal."""
        return re.findall(r"^ {6}(\S.*)$", self.stderr, re.MULTILINE)

    def children(self) -> dict[int, str]:
        """The processes that it started and that still run."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
        return {int(pid): command for pid, parent, command in rows if int(parent) == self.process.pid}


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """A function that starts a demo which is kept running, and waits until it says how to go on."""
    started: list[Running] = []

    def start(*options: str, **given: str) -> Running:
        started.append(Running(tmp_path, *options, **given))
        started[-1].wait_for("Ctrl-C ends everything.")
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def shell(script: str, place: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-ec", script],
        cwd=place,
        env=environ(**given),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def has_ended(pid: int) -> bool:
    """Whether there is no such process any more, within a bounded time."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if not listed.stdout.strip() or listed.stdout.strip().startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def test_the_account_adds_up(finished):
    """
    One JSON object: scored + refused + skipped = sent, every lead has a tier, the companies reach bronze at
    most and the trial users every tier; nothing of the environment's cluster and settings is used.
    """
    place, stdout, _ = finished("--json")
    result = json.loads(stdout)
    events = (place / result["events_file"]).read_bytes().splitlines()

    assert result["sent"] == result["scored"] + sum(result["refused"].values()) + result["skipped"]
    assert 8 == len(result["refused"])
    assert result["rekeyed"] > 0
    assert {"unqualified", "bronze", "silver", "gold", "platinum"} == set(result["tiers"]["trial users"])
    assert set(result["tiers"]["companies"]) <= {"unqualified", "bronze"}
    assert {"trial users"} == {one["chapter"] for one in result["qualifications"] if one["sales_ready"]}
    assert len(events) == result["sent"] - result["skipped"]


def test_every_delivery_is_accounted_for(finished):
    """
    Each sink has what the routes take of the qualifications, once: all at the webhook, silver and better as tasks,
    gold and platinum by mail, platinum in Slack; and of each lead that was updated in HubSpot, one contact update that
    has come or stands in a later one's place.
    """
    _, stdout, _ = finished("--json")
    result = json.loads(stdout)
    tiers = Counter(one["tier"] for one in result["qualifications"])
    sinks = result["deliveries"]
    tasks = tiers["silver"] + tiers["gold"] + tiers["platinum"]
    crm = sinks["crm"]

    assert {"wanted": tiers.total(), "arrived": {"post": tiers.total()}, "superseded": 0} == sinks["hook"]
    assert {"mail": tiers["gold"] + tiers["platinum"]} == sinks["mail"]["arrived"]
    assert {"message": tiers["platinum"]} == sinks["chat"]["arrived"]
    assert tasks == crm["arrived"]["task"] > 0
    assert crm["wanted"] == tasks + crm["arrived"]["contact"] + crm["superseded"]
    assert ["contact", "task", "message", "mail", "post"] == list(result["examples"])
    assert "Subject: Platinum lead: Company 7, 95 points" in result["examples"]["mail"]


def test_the_text_is_plain_where_it_is_no_terminal(finished):
    """
    No colour and no progress bar in a pipe (stderr is empty), and what a newcomer looks for is there.
    """
    _, stdout, stderr = finished()

    assert "\x1b" not in stdout
    assert "" == stderr
    for told in (
        "refused, untouched on product-activity-dlq:",
        "leads by tier",
        "ready for sales",
        "A mail to sales",
        "Try next",
    ):
        assert told in stdout


def test_what_it_tells_to_try_next_works_as_printed(finished):
    """
    Every command under "Try next" but the demo itself runs in a shell in that directory, where the program is
    not on PATH.
    """
    place, stdout, _ = finished()
    commands = re.findall(r"^ {6}(\S.*)$", stdout[stdout.index("Try next") :], re.MULTILINE)
    done = [shell(command, place) for command in commands[:-1]]

    assert 3 == len(commands)
    assert commands[-1].endswith("pql-stream demo --keep")
    assert [0, 0] == [process.returncode for process in done]
    assert ": 100 points, platinum" in done[0].stdout
    assert done[1].stdout.startswith("today (pql-100 v1) against then (pql-100-linear v1)")


def test_explain_answers_for_any_lead_of_the_demo(finished):
    """
    From the file that the demo leaves: leads by tier, and the tier of each lead that qualified, are those it had said.
    """
    place, stdout, _ = finished("--json")
    result = json.loads(stdout)
    last = {one["lead_id"]: one for one in result["qualifications"]}
    scored = shell(f"{BIN}/pql-stream score --json {result['events_file']}", place)
    scores = {one["lead_id"]: one for one in map(json.loads, scored.stdout.splitlines())}
    # An event of the far future is bad only beside a Kafka timestamp: in a file its lead counts.
    tiers = Counter(one["tier"] for lead, one in scores.items() if lead != "dirt")

    assert Counter(result["tiers"]["companies"]) + Counter(result["tiers"]["trial users"]) == tiers
    assert {lead: scores[lead]["tier"] for lead in last} == {lead: one["tier"] for lead, one in last.items()}


def test_own_events_can_be_emitted_explained_and_are_delivered(keep, tmp_path):
    """
    The printed commands, in one shell: the event is acknowledged, the score of the lead is there as soon as `explain`
    looks a few times, and the demo tells that the webhook has it; also where the shell has settings of another
    cluster.
    """
    running = keep(**HOSTILE)
    *preparing, emitting, explaining, simulating = running.commands()
    script = "\n".join([*preparing, emitting, f"for i in 1 2 3 4 5 6 7 8 9; do {explaining} && break; done"])
    done = shell(script, tmp_path, **HOSTILE)

    assert "1 event acknowledged by product-activity" in done.stderr
    assert (0, "me: 5 points") == (done.returncode, done.stdout[: len("me: 5 points")])
    running.wait_for("arrived at hook: score-changed of me: unqualified, 5 points")

    assert 0 == shell("\n".join([*preparing, simulating]), tmp_path, **HOSTILE).returncode
    for told in ("arrived at crm: task: PQL - Platinum", "arrived at chat: message", "arrived at mail: mail to sales"):
        running.wait_for(told)


@pytest.mark.parametrize("number", [signal.SIGINT, proof(signal.SIGTERM)], ids=lambda number: number.name)
def test_a_signal_ends_everything(keep, number):
    """
    Ctrl-C and SIGTERM: exit 0, no process is left, no traceback, and the result on stdout is one object.
    """
    running = keep("--json")
    children = running.children()
    running.process.send_signal(number)
    code = running.process.wait(WAIT_S)

    assert 0 == code
    assert 4 == len(children)  # the worker, Redis, and a watchdog for each
    assert all(has_ended(pid) for pid in children)
    assert "Traceback" not in running.stderr
    assert "sent" in json.loads((running.place / "stdout").read_text())


def test_a_killed_demo_leaves_nothing(keep):
    """
    kill -9 of the demo ends the worker and Redis too, although nobody can tell them.
    """
    running = keep()
    children = running.children()
    running.process.kill()
    running.process.wait()

    assert all(has_ended(pid) for pid in children)


def test_a_worker_that_dies_ends_the_demo_with_its_reason(keep):
    """
    The demo notices by itself: exit 1, with the worker's code and the end of its log.
    """
    running = keep()
    [worker] = [pid for pid, command in running.children().items() if command.endswith("pql_stream worker")]
    os.kill(worker, signal.SIGKILL)
    code = running.process.wait(WAIT_S)

    assert 1 == code
    assert "Error: the worker ended with code -9" in running.stderr
    assert '"timestamp": ' in running.stderr
    assert "Traceback" not in running.stderr


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path):
    """
    A file is in the way of data/: exit 1 with the path, before anything is started.
    """
    (tmp_path / "data").write_text("mine")
    done = shell(" ".join(DEMO), tmp_path)

    assert (1, "") == (done.returncode, done.stdout)
    assert "Error: the demo cannot write its events to data/demo-events.jsonl" == done.stderr.splitlines()[0]
