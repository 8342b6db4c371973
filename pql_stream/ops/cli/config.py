"""`pql-stream config`: what the settings are and where each comes from."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from pydantic import SecretStr

from pql_stream.ops.delivery.config import load_live_config
from pql_stream.ops.delivery.shown import MASK, Origin, entries
from pql_stream.ops.settings import Settings, Source, load_settings, source_of


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it is shown; a secret's value is `MASK`, and None is "not given"."""

    name: str
    value: str | float | bool | None
    source: Source | Origin
    description: str


@click.group()
def command() -> None:
    """Settings: what they are and where they come from."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
def show(*, as_json: bool) -> None:
    """Every setting with its value and where that comes from, sinks and routes too; secrets are masked."""
    settings = load_settings()
    rows = [_row(settings, name, field) for name, field in Settings.names().items()]
    rows += [Row(one.path, one.value, one.origin, "") for one in entries(load_live_config(settings))]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    cells = [(row.name, "" if row.value is None else str(row.value), row.source) for row in rows]
    header = ("name", "value", "source")
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    click.secho(_aligned((*header, "description"), widths), bold=True)
    for row, shown in zip(rows, cells, strict=True):
        click.echo(_aligned((*shown, row.description), widths))


@command.command()
def check() -> None:
    """
    Whether every setting that is given can be used, sinks and routes too: exit 0, or 2 and every problem.

    Looks at nothing else: `pql-stream doctor` tells whether a worker could run, on which cluster and pack.
    """
    settings = load_settings()
    config = load_live_config(settings)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    if config.sinks and settings.redis_url is None:
        click.echo("warning: REDIS_URL is not set, and a worker that delivers needs it", err=True)
    click.echo("the settings are fine; `pql-stream doctor` tells whether a worker can run with them", err=True)


def _row(settings: Settings, name: str, field: str) -> Row:
    value = getattr(settings, field)
    if isinstance(value, SecretStr):
        value = MASK
    elif isinstance(value, Path):
        value = str(value)
    description = Settings.model_fields[field].description or ""
    return Row(name, value, source_of(name, os.environ), description)


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join([*map(str.ljust, cells, widths), cells[-1]])
