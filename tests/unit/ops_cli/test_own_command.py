"""How our own command is typed again."""

import os
import sys

import pytest

from pql_stream.ops.demo.invocation import own_command


@pytest.fixture
def program(tmp_path, monkeypatch):
    """An installed `pql-stream`, in a directory that is not on PATH; it is what runs."""
    path = tmp_path / "project" / ".venv" / "bin" / "pql-stream"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "demo"])
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path / "project")
    return path


def test_on_path_the_name_is_enough(program, monkeypatch):
    """An activated virtualenv."""
    monkeypatch.setenv("PATH", str(program.parent))

    assert "pql-stream" == own_command()


def test_another_program_of_that_name_on_path_is_not_meant(program, tmp_path, monkeypatch):
    """PATH leads to another installation: ours is named by its path."""
    other = tmp_path / "other" / "pql-stream"
    other.parent.mkdir()
    other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other.parent))

    assert ".venv/bin/pql-stream" == own_command()


def test_below_this_directory_the_path_is_relative(program):
    """`make demo` in a checkout, nothing activated."""
    assert ".venv/bin/pql-stream" == own_command()


def test_elsewhere_the_path_is_whole_and_quoted(program, tmp_path, monkeypatch):
    """A directory with a blank in its name must not fall into two words."""
    (tmp_path / "a b").mkdir()
    moved = tmp_path / "a b" / "pql-stream"
    os.rename(program, moved)  # noqa: PTH104 - the fixture's own path stays as it is
    monkeypatch.setattr(sys, "argv", [str(moved)])

    assert f"'{moved}'" == own_command()


def test_a_module_is_run_as_a_module(program, tmp_path, monkeypatch):
    """`python -m pql_stream` has no program of its own name."""
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "pql_stream" / "__main__.py")])
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))

    assert ".venv/bin/python -m pql_stream" == own_command()
