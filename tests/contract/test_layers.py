"""What an import costs: Faust is loaded by a worker and by nothing else."""

import subprocess
import sys

import pytest

FAUST = {"faust", "mode"}

PRINT_MODULES = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def loaded_by(statement):
    """The top-level packages that *statement* leaves loaded, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; {PRINT_MODULES}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    [
        "pql_stream",
        "pql_stream.core.transition",
        "pql_stream.wire.events",
        "pql_stream.replay.replayer",
        "pql_stream.stream.scorer",
        "pql_stream.stream.names",
        "pql_stream.testing.builders",
        "pql_stream.ops.worker",
        "pql_stream.ops.demo.run",
    ],
)
def test_importing_does_not_load_faust(module):
    """`import faust` parses the command line and takes up to half a second: only the app's modules do it."""
    loaded = loaded_by(f"import {module}")

    assert "pql_stream" in loaded
    assert set() == loaded & FAUST


def test_the_app_loads_faust():
    """The test above can fail: what is looked for does show up where Faust is used."""
    assert FAUST <= loaded_by("import pql_stream.stream.app")


def test_the_facade_loads_no_client():
    """`import pql_stream` opens nothing and needs neither a Kafka client nor a web server."""
    assert set() == loaded_by("import pql_stream") & {"aiohttp", "aiokafka", "confluent_kafka", "rocksdict", "click"}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["worker", "--help"], ["score", "--help"]], ids=" ".join)
def test_help_does_not_load_faust(args):
    """The command line answers before anything heavy is loaded, also for the command that runs a worker."""
    run = f"from pql_stream.ops.cli import cli; cli.main({args!r}, standalone_mode=False)"

    assert set() == loaded_by(run) & FAUST
