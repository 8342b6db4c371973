"""`pql-stream doctor`: can this machine and cluster run us, and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pql_stream.ops.doctor import Finding, State, examine
from pql_stream.ops.settings import load_settings

EXIT_FAILED = 1
COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects on stdout.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Whether this machine and cluster can run a worker, and what is missing: exit 1 when something is."""
    findings = []
    for finding in examine(load_settings()):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    if any(finding.state == "failed" for finding in findings):
        ctx.exit(EXIT_FAILED)


def _print(finding: Finding) -> None:
    lines = finding.text.splitlines()
    click.echo(f"{click.style(f'{finding.state:<8}', fg=COLOURS[finding.state])} {finding.subject:<9} {lines[0]}")
    for line in [*lines[1:], *finding.what_to_do.splitlines()]:
        click.echo(f"{'':<18} {line}")
