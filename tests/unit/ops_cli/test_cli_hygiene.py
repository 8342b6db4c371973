"""What every command owes its user: help, exit codes, and no traceback when the output goes nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import pql_stream
from pql_stream.ops.cli import COMMANDS, cli
from tests import program

EVENT = '{"event_id": "%s", "user_id": "%s", "event": "tutorial_completed", "occurred_at": "2026-01-05T10:00:00Z"}\n'
FULL = Path("/dev/full")


def run(*args, stdout=subprocess.PIPE, **environ):
    return program.run(*args, env={**os.environ, **environ}, stdout=stdout)


def every_command():
    """The words of every command there is, groups and what is in them."""
    ctx = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(ctx, name)
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.commands)


@pytest.fixture
def events(tmp_path):
    """A file of more leads than a pipe holds in its buffer."""
    path = tmp_path / "events.jsonl"
    path.write_text("".join(EVENT % (f"e{number}", f"lead-{number:05d}") for number in range(2_000)))
    return str(path)


@pytest.mark.parametrize("words", [(), *every_command()], ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(words, flag):
    """Exit 0, and a sentence after the usage line."""
    result = CliRunner().invoke(cli, [*words, flag])
    usage, _, rest = result.output.partition("\n")

    assert 0 == result.exit_code
    assert usage.startswith("Usage:")
    assert rest.strip().endswith(".") or "Options:" in rest


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("--nonsense",),
        ("score",),
        ("replay", "events.jsonl"),
        ("emit",),
        ("explain",),
        ("topics", "nonsense"),
        ("cutover", "pql-100", "--patience", "nan"),
        ("backfill", "events.jsonl", "--stalled-after", "nan"),
        *((*words, "--nonsense") for words in every_command()),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(args):
    """Unknown commands, unknown flags and missing arguments: two lines of usage and the reason."""
    result = CliRunner().invoke(cli, args)

    assert 2 == result.exit_code
    assert "Error: " in result.stderr
    assert "" == result.stdout


def test_the_version_is_the_package_s():
    """`python -m pql_stream` is the command, whatever the file is called that it was started from."""
    done = run("--version")

    assert (0, f"pql-stream, version {pql_stream.__version__}\n") == (done.returncode, done.stdout)


OUTPUTS = [
    ("score", "{events}"),
    ("score", "--json", "{events}"),
    ("replay", "--json", "--out", "{out}", "{events}"),
    ("explain", "lead-00001", "{events}"),
    ("whatif", "--against", "pql-100-linear", "{events}"),
    ("whatif", "--against", "pql-100-linear", "--json", "{events}"),
    ("pack", "list"),
    ("pack", "show", "pql-100"),
    ("config", "show"),
    ("simulate", "--leads", "20"),
]


def filled(args, events, tmp_path):
    return [word.format(events=events, out=tmp_path / "out") for word in args]


@pytest.mark.parametrize("args", OUTPUTS, ids=" ".join)
def test_a_reader_that_has_had_enough_is_no_failure(args, events, tmp_path):
    """The other end of the pipe is closed: exit 0, and nothing said, not even by the interpreter at its end."""
    reading, writing = os.pipe()
    os.close(reading)
    done = run(*filled(args, events, tmp_path), stdout=writing)
    os.close(writing)

    assert 0 == done.returncode
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("args", OUTPUTS, ids=" ".join)
def test_a_full_disk_is_an_error_of_three_lines(args, events, tmp_path):
    """What is printed cannot be stored: exit 1 with what, why and what to do, and no traceback."""
    with FULL.open("wb") as full:
        done = run(*filled(args, events, tmp_path), stdout=full)

    assert 1 == done.returncode
    assert ["Error: the output cannot be written", "No space left on device"] == done.stderr.splitlines()[-3:-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", OUTPUTS, ids=" ".join)
def test_a_closed_stdout_is_an_error_of_three_lines(args, events, tmp_path):
    """Started with `>&-`: what cannot be written is told as on a full disk, and not by a traceback."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "pql_stream", *filled(args, events, tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )

    assert 1 == done.returncode
    assert ["Error: the output cannot be written", "Bad file descriptor"] == done.stderr.splitlines()[-3:-1]
    assert "Traceback" not in done.stderr


def test_a_replay_that_cannot_write_leaves_nothing_half_done(events, tmp_path):
    """A file lies where a directory on the way should be: exit 1, what and why and what to do."""
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "out"
    done = run("replay", "--out", str(out), events)

    assert 1 == done.returncode
    assert [f"Error: cannot write to {out}", "Not a directory"] == done.stderr.splitlines()[:2]
    assert "mine" == (tmp_path / "file").read_text()


def test_a_lead_that_the_terminal_cannot_show_is_escaped(tmp_path):
    """Where stdout takes Latin letters only, an id with others is shown all the same."""
    path = tmp_path / "events.jsonl"
    path.write_text(EVENT % ("e1", "日"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pql_stream", "score", path],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 0 == done.returncode
    assert "\\u65e5" in done.stdout
