"""The README, run: each shell command and each program in it, in its order, on a real broker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pql_stream.testing.simulation import simulate

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SET_UP = ("make ", "pip ", "export ")
"""What this very test run has done already, or would do for minutes."""


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def shell_commands() -> list[str]:
    lines = (line.split("#")[0].strip() for block in fenced("sh") for line in block.splitlines())
    return [line for line in lines if line and not line.startswith(SET_UP)]


def a_lead_that_qualifies() -> bytes:
    events = [
        {"event": "identify", "properties": {"team_size": 12, "industry": "finance", "company_revenue": "10M+"}},
        {"event": "profile_updated", "properties": {"email": "u1@acme.example"}},
        {"event": "trial_created"},
        *({"event": "workflow_completed", "properties": {"run_id": f"r{i}"}} for i in range(50)),
        *({"event": "feature_used", "properties": {"feature": f"f{i}"}} for i in range(7)),
    ]
    common = {"user_id": "u1", "account_id": "acme", "occurred_at": "2026-01-05T10:00:00Z"}
    return b"".join(
        orjson.dumps({**common, **event, "event_id": f"e{i}"}, option=orjson.OPT_APPEND_NEWLINE)
        for i, event in enumerate(events)
    )


@pytest.fixture
def newcomer(tmp_path: Path, own_kafka):
    """A directory with a file of events, and an environment with a broker; returns how to run something there."""
    simulated = b"".join(event.value + b"\n" for event in simulate(5))
    (tmp_path / "events.jsonl").write_bytes(a_lead_that_qualifies() + simulated)
    (tmp_path / "old.jsonl").write_bytes(simulated)
    (tmp_path / "pql_stream").symlink_to(ROOT / "pql_stream")
    environ = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap,
        "PQL_HTTP_PORT": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    worker: list[subprocess.Popen] = []

    def start(command: str) -> None:
        with (tmp_path / "worker.log").open("wb") as log:
            worker.append(subprocess.Popen(command.split(), cwd=tmp_path, env=environ, stdout=log, stderr=log))

    yield run, start
    for process in worker:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "worker.log").read_text()


def test_every_command_and_program_of_the_readme_runs(newcomer):
    """
    A newcomer who types what the README says gets no error, and is told of the lead that qualified.
    """
    run, start = newcomer
    emit_program, subscribe_program = fenced("python")
    commands = shell_commands()
    # The worker has to be through with what was emitted before its state can be asked.
    explain_state = commands.pop(commands.index("pql-stream explain u1"))
    erase_dry, erase = [commands.pop(commands.index(f"pql-stream erase u1{option}")) for option in ("", " --yes")]

    for command in commands:
        if command == "pql-stream worker":
            start(command)
        elif command != "pql-stream kafka":
            run("sh", "-c", f"set -e; {command}")
    run(sys.executable, "-W", "error", "-c", emit_program)
    told = run(sys.executable, "-W", "error", "-c", subscribe_program)

    assert "u1 | silver" in told
    assert "50 successful workflow runs (+15)" in told
    assert "u1 of acme: 75 points, silver" in run("sh", "-c", explain_state)
    assert run("sh", "-c", erase_dry).startswith("u1: email in lead-profiles-")
    assert run("sh", "-c", erase).startswith("u1: email in lead-profiles-")
    assert run("sh", "-c", erase_dry).startswith("u1: erased already in lead-profiles-")
