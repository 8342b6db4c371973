"""`pql-stream config`: what the settings are and where each comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from pydantic import SecretStr

from pql_stream.errors import InvalidPack, InvalidSettings
from pql_stream.ops.delivery.config import DeliveryConfig, load_live_config
from pql_stream.ops.delivery.files import lines_of
from pql_stream.ops.delivery.shown import MASK, entries
from pql_stream.ops.settings import Settings, read_settings
from pql_stream.ops.settings_sources import SettingsReading

EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class Row:
    """
    One setting as it is shown; a secret's value is `MASK`, and None is "not given".

    *source* is `environment`, `default`, the settings file with a line, or the path of a file that holds a secret.
    """

    name: str
    value: str | float | bool | None
    source: str
    description: str


@click.group()
def command() -> None:
    """Settings: what they are and where they come from."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
def show(*, as_json: bool) -> None:
    """Every setting with its value and where that comes from, sinks and routes too; secrets are masked."""
    reading = read_settings(os.environ)
    settings = reading.require()
    rows = [_row(reading, settings, name, field) for name, field in Settings.names().items()]
    rows += _rows_of_file(load_live_config(settings))
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def check(ctx: click.Context, *, as_json: bool) -> None:
    """
    Whether every setting that is given can be used, sinks, routes and templates too: exit 0, or 2 and every problem.

    Looks at nothing else: `pql-stream doctor` tells whether a worker could run, on which cluster and pack.
    """
    try:
        warnings = _warnings()
    except (InvalidSettings, InvalidPack) as exc:
        if not as_json:
            raise
        _print_checked(exc.what, problems=exc.why.splitlines())
        ctx.exit(EXIT_USAGE)
    if as_json:
        _print_checked("", warnings=warnings)
        return
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("the settings are fine; `pql-stream doctor` tells whether a worker can run with them", err=True)


def _warnings() -> list[str]:
    """
    What may be meant so in the settings, and yet is told.

    Raises:
        InvalidSettings, InvalidPack: there are problems.
    """
    reading = read_settings(os.environ)
    config = _delivery_config(reading)
    settings = reading.require()
    no_redis = config.sinks and settings.redis_url is None
    return [*config.warnings, *(["REDIS_URL is not set, and a worker that delivers needs it"] if no_redis else [])]


def _print_checked(error: str, *, problems: Sequence[str] = (), warnings: Sequence[str] = ()) -> None:
    click.echo(json.dumps({"fine": not error, "error": error, "problems": problems, "warnings": warnings}, indent=2))


def _delivery_config(reading: SettingsReading) -> DeliveryConfig:
    """
    The rest of the settings file.

    Raises:
        InvalidSettings, InvalidPack: it has problems; those of the settings are told along with them.
    """
    # All that the rest of the file is held against; other settings may have problems.
    pack = reading.given.texts.get("PQL_PACK") or Settings().pack
    try:
        return load_live_config(reading.settings or Settings(pack=pack, config_file=reading.file))
    except (InvalidSettings, InvalidPack) as exc:
        if not reading.problems:
            raise
        of = pack if isinstance(exc, InvalidPack) else reading.file
        problems = [*reading.problems, *(f"{of}: {line}" for line in exc.why.splitlines())]
        raise InvalidSettings(
            f"{len(problems)} problems with the settings",
            why="\n".join(problems),
            what_to_do="mend the environment and the file, then check again",
        ) from exc


def _row(reading: SettingsReading, settings: Settings, name: str, field: str) -> Row:
    value = getattr(settings, field)
    if isinstance(value, SecretStr):
        value = MASK
    elif isinstance(value, Path):
        value = str(value)
    description = Settings.model_fields[field].description or ""
    return Row(name, value, reading.place_of(name), description)


def _rows_of_file(config: DeliveryConfig) -> list[Row]:
    if config.path is None:
        return []
    lines = lines_of(config.path)
    return [
        Row(one.path, one.value, one.origin or f"{config.path}:{lines.of(one.path)}", "") for one in entries(config)
    ]


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join([*map(str.ljust, cells, widths), cells[-1]])
