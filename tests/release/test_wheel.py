"""The wheel alone, in an empty virtualenv, outside the checkout: what a user of `pip install` has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.offline import skip_if_offline

ROOT = Path(__file__).parents[2]
INSTALL_S_MAX = 240
RUN_S_MAX = 120
EVENT = '{"event_id": "e1", "user_id": "u1", "event": "tutorial_completed", "occurred_at": "2026-01-05T10:00:00Z"}\n'


@dataclass(frozen=True)
class Installed:
    """A virtualenv with the wheel in it, and a directory to work in."""

    program: Path
    place: Path

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [str(self.program), *args],
            cwd=self.place,
            env={**kept, **environ},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )


def run_or_fail(*command: object) -> None:
    """Run *command*; without a network at home the tests skip, and in CI they fail."""
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
    )
    skip_if_offline(done)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as a release builds it."""
    out = tmp_path_factory.mktemp("dist")
    run_or_fail(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installed once, as a user would: the pinned requirements by their hashes, then the wheel."""
    place = tmp_path_factory.mktemp("elsewhere")
    run_or_fail(sys.executable, "-m", "venv", place / "venv")
    pip = (
        place / "venv" / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
    )
    run_or_fail(*pip, "--require-hashes", "--no-deps", "-r", ROOT / "requirements.txt")
    run_or_fail(*pip, "--no-deps", wheel)
    (place / "events.jsonl").write_text(EVENT)
    return Installed(place / "venv" / "bin" / "pql-stream", place)


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The files in the wheel."""
    with ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.parametrize(
    "name",
    [
        "pql_stream/py.typed",
        "pql_stream/packs/pql-100.yaml",
        "pql_stream/packs/pql-100-linear.yaml",
        "pql_stream/sinks/shipped_templates/sales_mail.html",
        "pql_stream/sinks/shipped_templates/sales_slack.txt",
        "pql_stream/ops/brokers/pom.xml",
        "pql_stream/ops/demo/data/ravenstack.jsonl.gz",
        "pql_stream/ops/demo/data/LICENSE.ravenstack.txt",
    ],
)
def test_the_wheel_has_what_the_program_reads(names, name):
    """Data files are in it, not only modules."""
    assert name in names


@pytest.mark.parametrize(("directory", "pattern"), [("topics", "*.yaml"), ("schemas", "*.json"), ("schemas", "*.yaml")])
def test_the_wheel_has_the_files_beside_the_package(names, directory, pattern):
    """Every topic declaration and every record's schema of the checkout, and there are some."""
    beside = {path.name for path in (ROOT / directory).glob(pattern)}
    shipped = {Path(name).name for name in names if name.startswith(f"pql_stream/_shipped/{directory}/")}

    assert beside
    assert beside <= shipped


def test_the_wheel_has_every_module_and_nothing_else(names):
    """All of the package, its metadata, and no tests, tools or leftovers."""
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "pql_stream").rglob("*.py")}
    strange = [name for name in names if not name.startswith(("pql_stream/", "pql_stream-"))]

    assert modules == {name for name in names if name.endswith(".py")}
    assert [] == strange
    assert [] == [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_the_wheel_tells_its_licences(wheel):
    """Ours and that of the demo's data, both as files."""
    with ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        headers = Parser().parsestr(archive.read(metadata).decode())
        licences = metadata.replace("METADATA", "licenses/")
        shipped = {name.removeprefix(licences) for name in archive.namelist() if name.startswith(licences)}

    assert "Apache-2.0" == headers["License-Expression"]
    assert {"LICENSE", "pql_stream/ops/demo/data/LICENSE.ravenstack.txt"} == shipped


def test_the_installed_program_scores_files(installed):
    """The default pack is found, and the score is that of one tutorial."""
    done = installed.run("score", "events.jsonl", "--json")

    assert (0, 5) == (done.returncode, json.loads(done.stdout)["score"])


def test_the_installed_program_lists_its_packs(installed):
    """Both shipped packs."""
    done = installed.run("pack", "list")

    assert 0 == done.returncode
    assert {"pql-100", "pql-100-linear"} <= set(done.stdout.split())


def test_the_installed_program_has_its_topic_declarations(installed):
    """`topics plan` gets as far as the broker, which is away: no complaint about missing files."""
    done = installed.run("topics", "plan", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert 1 == done.returncode
    assert "Error: no answer from Kafka at 127.0.0.1:1" == done.stderr.splitlines()[0]


def test_the_installed_program_runs_the_demo(installed):
    """The worker is found through the entry points of the wheel, and the account adds up."""
    done = installed.run("demo", "--quick", "--json")
    result = json.loads(done.stdout)

    assert 0 == done.returncode
    assert result["sent"] == result["scored"] + sum(result["refused"].values()) + result["skipped"]
