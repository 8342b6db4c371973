"""The command line. Each command lies in a module of its own, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import pql_stream
from pql_stream.errors import InvalidPack, InvalidSettings, PqlError

COMMANDS = {
    "score": "Final scores of the events in files.",
    "replay": "The changes that the events in files make.",
    "explain": "Why a lead has the score it has.",
    "pack": "Model packs: list, show, check.",
    "worker": "Score a cluster's product events.",
    "topics": "The topics against the cluster: plan, apply, check.",
    "emit": "Produce events from files to the cluster.",
    "simulate": "Seeded trial users as events on stdout.",
    "demo": "The whole pipeline on real input; no server needed.",
    "kafka": "Run a real Apache Kafka on this machine.",
    "config": "Settings: what they are and where they come from.",
}
"""Command -> the line that --help shows; the module of the same name beside this file has a click command `command`."""

EXIT_FAILED = 1
EXIT_USAGE = 2


class LazyGroup(click.Group):
    """Looks a command up by importing its module: `--help` must not pay for Faust."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(pql_stream.__version__, prog_name="pql-stream")
def cli() -> None:
    """Product events in, lead scores and qualified leads out."""


def main(args: Sequence[str] | None = None) -> None:
    """
    Run the command line and exit: 0 fine, 1 failed, 2 wrong usage.

    A `PqlError` is somebody's to mend, so it is printed as what, why and what to do, never as a traceback.
    """
    try:
        cli.main(args, prog_name="pql-stream")
    except PqlError as exc:
        for line in (f"Error: {exc.what}", exc.why, exc.what_to_do):
            if line:
                click.echo(line, err=True)
        sys.exit(EXIT_USAGE if isinstance(exc, InvalidPack | InvalidSettings) else EXIT_FAILED)
    except OSError as exc:
        # What no command foresaw: a full disk behind stdout, say.
        click.echo(f"Error: {exc.strerror or exc}", err=True)
        sys.exit(EXIT_FAILED)
