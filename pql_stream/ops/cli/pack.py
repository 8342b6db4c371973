"""`pql-stream pack`: which model packs there are, what one says, what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from rich.table import Table

from pql_stream.core.packs import ModelPack
from pql_stream.errors import InvalidPack
from pql_stream.ops.cli.console import PlainConsole
from pql_stream.wire.packs import dump_pack, load_pack, load_pack_file, shipped_packs

EXIT_BAD_PACK = 2


@click.group("pack")
def command() -> None:
    """Model packs: what there is, what one says, what is wrong with it."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a pack.")
def list_command(*, as_json: bool) -> None:
    """List the packs that come with pql-stream."""
    packs = [load_pack(name) for name in shipped_packs()]
    if as_json:
        for pack in packs:
            _print_json({"pack": pack.name, "version": pack.version, "title": pack.title})
        return
    rows = ((pack.name, str(pack.version), str(len(pack.rules)), pack.title) for pack in packs)
    _print_table(("pack", "version", "rules", "title"), rows)


@command.command("show")
@click.argument("pack", metavar="PACK")
@click.option("--json", "as_json", is_flag=True, help="The pack as one JSON object, which is a pack again.")
def show_command(pack: str, *, as_json: bool) -> None:
    """Show what PACK, a shipped one or a file, says: rules, tiers, features."""
    loaded = load_pack(pack)
    plain = dump_pack(loaded)
    if as_json:
        _print_json(plain)
        return
    click.echo(f"{loaded.name} version {loaded.version}: {loaded.title}")
    for title, header, rows in (
        ("Rules", ("group", "rule", "max", "reads", "points"), _rule_rows(plain)),
        ("Tiers", ("tier", "from", "hand-off", "sales ready"), _tier_rows(plain)),
        ("Features", ("feature", "kind", "from the events"), _feature_rows(plain)),
    ):
        click.echo(f"\n{title}")
        _print_table(header, rows)
    if loaded.profile:
        click.echo(f"\nShown to sales: {', '.join(loaded.profile)}")


@command.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
def check_command(files: tuple[str, ...], *, as_json: bool) -> None:
    """
    Say what is wrong with the packs in FILES, every problem at once. A shipped pack's name will do, too.

    Exit code 0 when all are fine, else 2.
    """
    bad = False
    for path in files:
        file = click.format_filename(path)  # a name need not be UTF-8
        try:
            pack = load_pack(path) if _is_shipped_only(path) else load_pack_file(path)
        except InvalidPack as exc:
            bad = True
            _print_problems(file, exc, as_json=as_json)
        else:
            _print_fine(file, pack, as_json=as_json)
    if bad:
        sys.exit(EXIT_BAD_PACK)


def _is_shipped_only(path: str) -> bool:
    """A file comes first: whoever checks it wants to hear of it, whatever it is called."""
    return path in shipped_packs() and not Path(path).exists()


def _print_problems(file: str, fault: InvalidPack, *, as_json: bool) -> None:
    if as_json:
        problems = [{"line": p.line, "path": p.path, "message": p.message} for p in fault.problems]
        _print_json({"file": file, "fine": False, "pack": None, "version": None, "problems": problems})
        return
    for problem in fault.problems:
        place = f"{file}:{problem.line}" if problem.line else file
        click.echo(f"{place}: {problem.path}: {problem.message}")


def _print_fine(file: str, pack: ModelPack, *, as_json: bool) -> None:
    if as_json:
        _print_json({"file": file, "fine": True, "pack": pack.name, "version": pack.version, "problems": []})
        return
    sizes = f"{len(pack.rules)} rules, {len(pack.features)} features"
    click.echo(f"{file}: fine: {pack.name} version {pack.version}, {sizes}")


def _print_json(fields: dict[str, Any]) -> None:
    click.echo(orjson.dumps(fields))


def _rule_rows(plain: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for name, rule in plain["rules"].items():
        parts = rule["of"] if rule["kind"] == "greatest" else [rule]
        for place, part in enumerate(parts):
            head = (rule["group"], name, str(rule["max"])) if place == 0 else ("", "or", "")
            yield (*head, _reads(part), _points(part))


def _reads(rule: dict[str, Any]) -> str:
    if "points_each" in rule:
        return ", ".join(rule["points_each"])
    source = rule["input"]
    return source if isinstance(source, str) else f"seconds from {source['seconds_from']} to {source['to']}"


def _points(rule: dict[str, Any]) -> str:
    """What the rule gives, in a line: ">=3: 5, >=5: 10"."""
    if "points_each" in rule:
        return ", ".join(f"{each} for each of {name}" for name, each in rule["points_each"].items())
    if "bands" in rule:
        return ", ".join(_band(band) for band in rule["bands"])
    if isinstance(rule["points"], dict):
        return ", ".join(f"{text}: {points}" for text, points in rule["points"].items())
    return f"{rule['points']} once it has happened"


def _band(band: dict[str, Any]) -> str:
    sign, key = next((sign, key) for sign, key in ((">=", "at_least"), (">", "above"), ("<", "below")) if key in band)
    return f"{sign}{band[key]:,}: {band['points']}"


def _tier_rows(plain: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for tier in plain["tiers"]:
        ready = "yes" if tier.get("sales_ready") else ""
        yield tier["name"], str(tier["from"]), tier.get("handoff", ""), ready


def _feature_rows(plain: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for name, feature in plain["features"].items():
        events = dict.fromkeys(event for source in feature["from"] for event in source["events"])
        kind = f"{feature['kind']}, at most {feature['at_most']}" if "at_most" in feature else feature["kind"]
        yield name, kind, ", ".join(events)


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*row)
    PlainConsole().print(table)
