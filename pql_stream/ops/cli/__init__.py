"""The command line. Each command lies in a module of its own, imported only when it is called."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import click

import pql_stream
from pql_stream.errors import InvalidPack, InvalidSettings, PqlError

COMMANDS = {
    "score": "Final scores of the events in files.",
    "replay": "The changes that the events in files make.",
    "whatif": "Who would be treated otherwise by another pack.",
    "explain": "Why a lead has the score it has.",
    "pack": "Model packs: list, show, check.",
    "worker": "Score a cluster's product events.",
    "cutover": "Make another pack the live one, while events flow.",
    "rollback": "Back to the pack that was live before.",
    "shadow": "Packs that only compare: how much they know.",
    "topics": "The topics against the cluster: plan, apply, check.",
    "sinks": "Destinations: list, check, set-up.",
    "routes": "Routes: what they would make of recorded changes.",
    "dlq": "What could not be delivered: list, show, redrive.",
    "emit": "Produce events from files to the cluster.",
    "backfill": "Fill in history: old events, that nobody is told of.",
    "erase": "Erase the contact data of a lead.",
    "simulate": "Seeded trial users as events on stdout.",
    "demo": "The whole pipeline on real input; no server needed.",
    "kafka": "Run a real Apache Kafka on this machine.",
    "doctor": "Whether this machine and cluster can run a worker.",
    "config": "Settings: what they are and where they come from.",
}
"""Command -> the line that --help shows; the module of the same name beside this file has a click command `command`."""

EXIT_FAILED = 1
EXIT_USAGE = 2


class LazyGroup(click.Group):
    """Looks a command up by importing its module: `--help` must not pay for Faust."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the base class names it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader of ours (`head`) that has had enough is no failure, and ends it quietly."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _silence_output()
            return None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(pql_stream.__version__, prog_name="pql-stream")
def cli() -> None:
    """Product events in, lead scores and qualified leads out."""


def main(args: Sequence[str] | None = None) -> None:
    """
    Run the command line and exit: 0 fine, 1 failed, 2 wrong usage.

    A `PqlError` is somebody's to mend, so it is printed as what, why and what to do, never as a traceback.
    """
    _replace_closed_output()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A lead id that the terminal's encoding lacks is shown escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli.main(args, prog_name="pql-stream")
    except PqlError as exc:
        _print_error(exc.what, exc.why, exc.what_to_do)
        sys.exit(EXIT_USAGE if isinstance(exc, InvalidPack | InvalidSettings) else EXIT_FAILED)
    except OSError as exc:
        # What no command foresaw: a full disk behind stdout, say. What is still buffered cannot be written
        # either, and the interpreter must not try it again at exit.
        _silence_output()
        what = "the output cannot be written" if exc.filename is None else f"cannot use {exc.filename}"
        _print_error(what, exc.strerror or str(exc), "see that there is space, and the right to write")
        sys.exit(EXIT_FAILED)


def _print_error(what: str, why: str, what_to_do: str) -> None:
    # Where stderr is closed as well, only the exit code is left to tell.
    with suppress(OSError):
        for line in (f"Error: {what}", why, what_to_do):
            if line:
                click.echo(line, err=True)


def _replace_closed_output() -> None:
    """Where whoever started us closed stdout (`>&-`), Python has none: let what is written there fail by an OSError."""
    if cast("object", sys.stdout) is None:
        read_only = os.open(os.devnull, os.O_RDONLY)
        os.dup2(read_only, 1)
        if read_only != 1:
            os.close(read_only)
        sys.stdout = os.fdopen(1, "w", closefd=False)


def _silence_output() -> None:
    """Drop what is still buffered for stdout: what is behind it takes no more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
