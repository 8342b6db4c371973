"""`pql-stream simulate`: what it prints, and what it says to a wrong option."""

import subprocess

import pytest
from click.testing import CliRunner

from pql_stream.ops.cli.simulate import command
from pql_stream.testing.simulation import simulate
from tests.program import Program


def test_it_prints_the_simulated_events_as_lines():
    """Options reach the simulation, and stdout has its records, one a line, and nothing else."""
    options = ["--leads", "5", "--seed", "9", "--days", "3", "--form", "mixed", "--start", "2025-03-01"]
    expected = [
        event.value for event in simulate(5, 9, 3, start_ms=1_740_787_200_000, form="mixed")
    ]  # 2025-03-01T00:00:00Z

    result = CliRunner().invoke(command, options)

    assert expected == result.stdout_bytes.splitlines()
    assert (0, "") == (result.exit_code, result.stderr)


@pytest.mark.parametrize(
    "options",
    [
        ["--leads", "0"],
        ["--leads", "many"],
        ["--days", "0"],
        ["--days", "367"],
        ["--form", "xml"],
        ["--start", "yesterday"],
        ["--start", "1999-12-31"],
        ["--start", "9999-01-01"],
        ["--seed", "x"],
        ["events.jsonl"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_wrong_usage(options):
    """Exit 2, a word on stderr, nothing on stdout."""
    result = CliRunner().invoke(command, options)

    assert (2, b"") == (result.exit_code, result.stdout_bytes)
    assert "Error: " in result.stderr


def test_a_reader_that_stops_reading_gets_no_traceback():
    """As in `pql-stream simulate | head -1`: the closed pipe ends the command with 0 and silence."""
    arguments = ("simulate", "--leads", "500")
    with Program(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()

    assert first.startswith(b'{"event_id":')
    assert (0, b"") == (process.returncode, complaint)
