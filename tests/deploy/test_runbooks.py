"""What the runbooks tell people to type is there to be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pql_stream.ops.cli import cli
from tests.deploy.queries import known

RUNBOOKS = (Path(__file__).parents[2] / "deploy" / "RUNBOOKS.md").read_text()
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for block in re.findall(r"^```sh\n(.*?)^```", RUNBOOKS, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if line.startswith("pql-stream ")
    }
    | set(re.findall(r"`(pql-stream [^`]+)`", RUNBOOKS))
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one(command):
    """
    The command and its options parse; nothing is run.
    """
    context = click.Context(cli, **cli.context_settings)  # a command keeps the help option that it was first asked by
    group, words = cli, shlex.split(command)[1:]
    while isinstance(group, click.Group):
        name, group, words = group.resolve_command(context, words)
        assert name

    with group.make_context(group.name, words, parent=context, resilient_parsing=False) as made:
        assert set() == set(made.args)


def test_each_section_says_all_five_things():
    """
    What it means, what users feel, where to look, what to do, and when it is over.
    """
    sections = re.split(r"^## (Pql\w+)$", RUNBOOKS, flags=re.MULTILINE)[1:]
    told = dict(zip(sections[::2], sections[1::2], strict=True))

    assert [] == [
        (name, word)
        for name, text in told.items()
        for word in ("means", "users feel", "look at", "do", "over")
        if not re.search(rf"\*\*[^*]*\b{word}\b[^*]*\*\*", text, re.IGNORECASE)
    ]


def test_metrics_that_are_named_exist():
    """
    Whoever types a metric's name into Prometheus finds it.
    """
    named = set(re.findall(r"`(pql[:_][a-z0-9_:]+)`", RUNBOOKS))

    assert set() == named - known().keys()
