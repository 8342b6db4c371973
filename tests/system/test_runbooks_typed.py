"""The runbooks, typed: each command in them, in the trouble that it is for, on a real broker with a worker."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from deliver_bench import DeliverBench, Published

from pql_stream.errors import BrokerError
from pql_stream.stream.names import PRODUCT_ACTIVITY
from pql_stream.testing.builders import native_json
from pql_stream.testing.destinations.faults import Fault
from pql_stream.testing.destinations.webhook import FakeWebhook
from tests import program
from tests.deploy.runbook import COMMANDS
from tests.kafka_tools import make_scripts

pytestmark = pytest.mark.system

SHADOW = "pql-100-linear"
MEANT = {"PACK": SHADOW, "NAME": "hook"}
"""What somebody writes who finds these words in a command."""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = """
[sinks.hook]
type = "webhook"
url = { env = "HOOK_URL" }
secrets = [{ env = "HOOK_SECRET" }]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]

[[routes]]
name = "changes"
of = "score-changed"
sink = "hook"
action = "post"
"""
PARTITIONS = 2
COMMAND_S_MAX = 60


class OnCall:
    """Somebody with a shell, who types what the runbooks say."""

    def __init__(self, bench: DeliverBench, fake: FakeWebhook, scripts: Path) -> None:
        self.bench = bench
        self.fake = fake
        self.typed: set[str] = set()
        self._scripts = scripts

    async def types(self, named: str, *shown: str, adds: str = "", code: int = 0) -> None:
        """The command *named*, wholly or by a part that no other has, ends with *code* and shows all of *shown*."""
        (command,) = [one for one in COMMANDS if one == named] or [one for one in COMMANDS if named in one]
        self.typed.add(command)
        for word, meant in MEANT.items():
            command = re.sub(rf"\b{word}$", meant, command)
        done = await asyncio.to_thread(self._run, f"{command} {adds}")
        told = f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert code == done.returncode, told
        assert [] == [one for one in shown if not re.search(one, told, re.MULTILINE)], told

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        first, *others = shlex.split(command)
        env, cwd = self._environment(), self.bench.directory
        if first == "pql-stream":
            return program.run(*others, env=env, cwd=cwd, timeout=COMMAND_S_MAX)
        return subprocess.run(
            ["sh", "-c", command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S_MAX,
        )

    def _environment(self) -> dict[str, str]:
        """The worker's, with the port that it found."""
        (starting,) = (line for line in self.bench.log().splitlines() if '"worker_starting"' in line)
        port = json.loads(starting)["http"].rpartition(":")[2]
        path = os.pathsep.join([str(self._scripts), os.environ["PATH"]])
        return self.bench.environment_of() | {"PATH": path, "PQL_HTTP_PORT": port}

    async def dies(self, lead_id: str, status: int, dead: int) -> None:
        """The receiver refuses with *status* what comes of an event of *lead_id*: its dead letter number *dead*."""
        self.fake.faults.then(Fault("status", status))
        self.bench.publish([tutorial(lead_id)])
        await self.bench.written("delivery-hook-dlq", dead)
        await self.bench.done("delivery-hook")

    async def arrives(self, *lead_ids: str) -> None:
        """The receiver has taken what is about *lead_ids*, and nothing else."""
        await self.bench.wait_for(lambda: len(self.fake.journal.effects) >= len(lead_ids))
        assert list(lead_ids) == [effect.lead_id for effect in self.fake.journal.effects]


def tutorial(lead_id: str) -> Published:
    """Five points."""
    return PRODUCT_ACTIVITY, lead_id.encode(), native_json("tutorial_completed", lead_id, event_id=f"e-{lead_id}")


@pytest.fixture
def scripts(apache_kafka: None, tmp_path: Path) -> Path:
    """
    A directory with Kafka's own. Skip at home without the jar, curl or jq; fail in CI, where a skipped test would be a
    hole.
    """
    notice = " ".join(f"{name} is missing: install it." for name in ("curl", "jq") if shutil.which(name) is None)
    try:
        make_scripts(tmp_path / "bin")
    except BrokerError as exc:
        notice += f"{exc.what}; {exc.why}; {exc.what_to_do}"
    if notice and os.environ.get("CI"):
        pytest.fail(notice)
    if notice:
        pytest.skip(notice)
    return tmp_path / "bin"


@pytest.fixture
async def on_call(kafka, redis_url: str, topic_prefix: str, tmp_path: Path, scripts: Path) -> AsyncIterator[OnCall]:
    """A worker that scores by two packs, tells a webhook, and sends canaries."""
    fake = FakeWebhook([SECRET])
    bench = DeliverBench(kafka.bootstrap, redis_url, topic_prefix, tmp_path, SETTINGS, partitions=PARTITIONS)
    bench.environment = {
        "HOOK_SECRET": SECRET,
        "HOOK_URL": await fake.start(),
        "PQL_SHADOW_PACKS": SHADOW,
        "PQL_CANARY_EVERY_S": "2",
        "PQL_INSTANCE_ID": "worker-1",
    }
    bench.create_topics(["hook"])
    bench.start(command=["worker"])
    yield OnCall(bench, fake, scripts)
    bench.close()
    await fake.close()
    kafka.delete_topics(topic_prefix)


async def test_each_command_shows_what_the_runbook_says(on_call):
    """
    Records that are no events, a webhook that refuses and then is gone, a cut-over: in each trouble the commands of its
    runbook end with 0 (`sinks check` with 1, where a sink is disabled) and show it; in the end none was left out.
    """
    await on_call.bench.wait_for(lambda: "worker_starting" in on_call.bench.log())
    on_call.bench.publish([(PRODUCT_ACTIVITY, b"u0", b"rubbish")] * 5)
    await on_call.bench.written("product-activity-dlq", 5)
    await on_call.dies("u1", status=413, dead=1)
    await first_of_all(on_call)
    await dead_letters_of_the_input(on_call)
    await dead_letters_of_a_sink(on_call)
    await a_disabled_sink(on_call)
    await on_call.bench.written("pql-score-leads-changelog", 4)  # of three leads, each with one event, and the canary
    await scores_and_packs(on_call)

    assert set(COMMANDS) == on_call.typed


async def first_of_all(on_call: OnCall) -> None:
    await on_call.types("pql-stream doctor", r"^ok +sink +hook: ", r"^ok +topics ", r"^ok +state +.*pql-100 version 1")
    await on_call.types(
        "pql-stream config show", r"^PQL_PACK +pql-100 +default", r"^PQL_SHADOW_PACKS +\S+ +environment"
    )
    await on_call.types("pql-stream config check", "^the settings are fine")
    await on_call.types("pql-stream topics check", ", 0 differences", adds=f"--partitions {PARTITIONS}")
    await on_call.types("/healthz", r"^the worker is alive\n200$")
    await on_call.types("/readyz", r"^pql-score: ready, .*; pql-deliver: ready, .*\n200$")
    await on_call.types("/startupz", r"^the worker has started\n200$")
    for group, topic in (("pql-score", "product-activity"), ("pql-deliver", "score-changed")):
        owned = rf"-{group} +\S+-{topic} +\d +\d+ +\d+ +\d+ +worker-1-\S+ +/[\d.]+ "
        await on_call.types(group, "LAG +CONSUMER-ID +HOST ", owned)


async def dead_letters_of_the_input(on_call: OnCall) -> None:
    letter = r"pql-dlq-reason:not_json,pql-dlq-detail:not valid JSON,.*pql-dlq-original-offset:4,.*\trubbish$"
    await on_call.types("kafka-console-consumer.sh", letter, "total of 5 messages")
    await on_call.types("kafka-get-offsets.sh")
    await on_call.types("jq ")
    await on_call.types("kafka-delete-records.sh", r"product-activity-dlq-\d\slow_watermark: 5$")


async def dead_letters_of_a_sink(on_call: OnCall) -> None:
    await on_call.types("pql-stream sinks list", "^hook +webhook +30 calls in 1 s +changes$")
    await on_call.types("pql-stream dlq list", "^hook +too_large +1 waiting, +0 redriven")
    await on_call.types(
        "pql-stream dlq show --limit 5", r"delivery-hook-dlq/\d/0$", "^ +reason +too_large$", "^ +lead_id +u1$"
    )
    await on_call.types("pql-stream dlq redrive", "^1 would be redriven")
    await on_call.types("pql-stream dlq redrive --yes", "^1 were redriven")
    await on_call.arrives("u1")
    await on_call.dies("u2", status=413, dead=3)  # the second is the mark of what was redriven
    await on_call.types("pql-stream dlq redrive --new-options --yes", "^1 were redriven")
    await on_call.arrives("u1", "u2")


async def a_disabled_sink(on_call: OnCall) -> None:
    await on_call.types("pql-stream sinks check", "^ok +hook ")
    await on_call.dies("u3", status=410, dead=5)
    await on_call.types("pql-stream sinks check", "^failed +hook +disabled since", code=1)
    await on_call.types("pql-stream sinks enable NAME", "^ok +hook +enabled$")
    await on_call.types("pql-stream dlq redrive --reason gone --yes", "^hook +gone +1 redrive$", "^1 were redriven")
    await on_call.arrives("u1", "u2", "u3")


async def scores_and_packs(on_call: OnCall) -> None:
    await on_call.types("pql-stream explain u1", "^u1: 5 points", r"^ +documentation +5/5 +true +by e-u1 ")
    await on_call.types("pql-stream explain pql-canary", r"^seen from \S+ to \S+$", r"^ +compliance +\d+/10 .*canary-")
    await on_call.types("pql-stream pack show pql-100", "^pql-100 version 1: ", "^usage +feature_adoption +15 ")
    await on_call.types(
        "pql-stream cutover PACK", rf"^{SHADOW} version 1 is live: {PARTITIONS} of {PARTITIONS} partitions$"
    )
    await on_call.types(
        "pql-stream cutover --status", *(rf"^partition {one}: {SHADOW} version 1 " for one in range(PARTITIONS))
    )
    await on_call.types("pql-stream rollback", rf"^pql-100 version 1 is live: {PARTITIONS} of {PARTITIONS} partitions$")
