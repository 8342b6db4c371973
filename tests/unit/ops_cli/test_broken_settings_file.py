"""A settings file that is no TOML, in the working directory: in the way of those commands only that need settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pql_stream.ops.cli import cli
from pql_stream.testing.builders import native_json

PACK = Path(__file__).parents[3] / "pql_stream" / "packs" / "pql-100.yaml"
EVENTS = "events.jsonl"
WITHOUT_SETTINGS = [
    ("--version",),
    ("--help",),
    ("pack", "list"),
    ("pack", "show", "pql-100"),
    ("pack", "check", str(PACK)),
    ("score", EVENTS),
    ("replay", EVENTS, "--out", "out"),
    ("explain", "u1", EVENTS, "--pack", "pql-100"),
    ("whatif", EVENTS, "--pack", "pql-100", "--against", "pql-100-linear", "--no-routes"),
    ("simulate", "--leads", "1"),
]
WITH_SETTINGS = [
    ("explain", "u1", EVENTS),
    ("whatif", EVENTS, "--pack", "pql-100", "--against", "pql-100-linear"),
    ("worker",),
    ("emit", EVENTS),
    ("config", "check"),
]


def run(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(EVENTS).write_bytes(native_json("tutorial_completed"))
    Path("pql.toml").write_text("[settings\n")
    return CliRunner().invoke(cli, args)


@pytest.mark.parametrize("args", WITHOUT_SETTINGS, ids=" ".join)
def test_what_needs_no_settings_does_not_read_them(args, tmp_path, monkeypatch):
    """
    Exit 0, and no word of the file.
    """
    result = run(args, tmp_path, monkeypatch)

    assert 0 == result.exit_code, result.output
    assert "pql.toml" not in result.output


@pytest.mark.parametrize("args", WITH_SETTINGS, ids=" ".join)
def test_what_needs_settings_is_refused(args, tmp_path, monkeypatch):
    """
    The pack, the routes or the brokers may stand in it, so none is taken from elsewhere.
    """
    result = run(args, tmp_path, monkeypatch)

    assert "pql.toml cannot be used: a problem" == getattr(result.exception, "what", result.output)
