"""What the runbooks tell people to type is there to be typed."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from pql_stream.ops.cli import cli
from tests.deploy.queries import known
from tests.deploy.runbook import COMMANDS, LANGUAGES, PHRASES, PROGRAMS, PROSE, TEXT
from tests.kafka_tools import SCRIPTS


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("pql-stream ")])
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


def test_nothing_else_is_a_command():
    """
    tests/system/test_runbooks_typed.py runs each command that is found: what might be one is known to be one or not.
    What needs a program that is not at hand there, as kubectl, would have to be named here.
    """
    assert {"sh"} == LANGUAGES
    assert "```" not in PROSE
    assert {"pql-stream", "curl", "jq", *SCRIPTS} == PROGRAMS
    assert {'"level": "error"', "nothing moved", "--command-config FILE"} == PHRASES


def test_each_section_says_all_five_things():
    """
    What it means, what users feel, where to look, what to do, and when it is over.
    """
    sections = re.split(r"^## (Pql\w+)$", TEXT, flags=re.MULTILINE)[1:]
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
    named = set(re.findall(r"`(pql[:_][a-z0-9_:]+)`", TEXT))

    assert set() == named - known().keys()
