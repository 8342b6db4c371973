"""`pql-stream sinks`: the destinations of the settings file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click

from pql_stream.delivery.ports import SinkTopics
from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.checks import SinkSetUp, check_sinks, set_up_sinks
from pql_stream.ops.delivery.config import DeliveryConfig, load_live_config
from pql_stream.ops.delivery.disabled import DisabledSinks, enable_sinks
from pql_stream.ops.delivery.problems import unknown
from pql_stream.ops.delivery.sinks import OpenSink, open_sinks
from pql_stream.ops.settings import Settings, load_settings

EXIT_FAILED = 1

_json_option = click.option("--json", "as_json", is_flag=True, help="One array of objects on stdout.")
_names_argument = click.argument("names", nargs=-1, metavar="[NAME...]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sink as it is listed."""

    name: str
    type: str
    routes: tuple[str, ...]
    calls: int
    period_s: float
    topics: SinkTopics


@click.group
def command() -> None:
    """The destinations of the settings file (PQL_CONFIG, or ./pql.toml)."""


@command.command("list")
@_json_option
def list_(*, as_json: bool) -> None:
    """Each sink with its type, its rate and the routes that lead to it."""
    config, sinks = _open(load_settings(), ())
    rows = [_row(config, one) for one in sinks]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        routes = ", ".join(row.routes) or "no route"
        click.echo(f"{row.name:<16} {row.type:<11} {row.calls} calls in {row.period_s:g} s  {routes}")
    _tell_if_none(sinks)


@command.command
@_names_argument
@_json_option
@click.pass_context
def check(ctx: click.Context, names: tuple[str, ...], *, as_json: bool) -> None:
    """Ask each destination whether the credentials are good, by a call that changes nothing: exit 1 if one says no."""
    settings = load_settings()
    _, sinks = _open(settings, names)
    checks = check_sinks(sinks, DisabledSinks(settings).of)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in checks], indent=2))
    else:
        for one in checks:
            _print(one.sink, "ok" if one.ok else "failed", one.text, one.what_to_do)
        _tell_if_none(sinks)
    if not all(one.ok for one in checks):
        ctx.exit(EXIT_FAILED)


@command.command("set-up")
@_names_argument
@_json_option
@click.pass_context
def set_up(ctx: click.Context, names: tuple[str, ...], *, as_json: bool) -> None:
    """Make at each destination what we write to and is not there: HubSpot's properties. What is there stays."""
    _, sinks = _open(load_settings(), names)
    done = set_up_sinks(sinks)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in done], indent=2))
    else:
        for one in done:
            _print_set_up(one)
        _tell_if_none(sinks)
    if any(one.state == "failed" or one.different for one in done):
        ctx.exit(EXIT_FAILED)


@command.command
@click.argument("names", nargs=-1, metavar="NAME...", required=True)
@_json_option
def enable(names: tuple[str, ...], *, as_json: bool) -> None:
    """
    Send to a webhook again that has disabled itself by answering 410 (gone).

    Running workers go on within a batch. What went to the dead letters meanwhile stays there: see `dlq redrive`.
    """
    settings = load_settings()
    settings.require_redis_url()
    _, sinks = _open(settings, names)
    done = enable_sinks(settings, sinks)
    if as_json:
        click.echo(json.dumps([{"sink": name, "was_disabled": was_disabled} for name, was_disabled in done.items()]))
        return
    for name, was_disabled in done.items():
        hint = f"`pql-stream dlq redrive --sink {name} --reason gone` brings back what it missed"
        text = "enabled" if was_disabled else "it was not disabled"
        _print(name, "ok", text, hint if was_disabled else "")


def _open(settings: Settings, names: tuple[str, ...]) -> tuple[DeliveryConfig, tuple[OpenSink, ...]]:
    """The sinks of *names*, all if there are none."""
    config = load_live_config(settings)
    if strange := [name for name in names if name not in config.sinks]:
        raise InvalidSettings(f"there is no such sink: {unknown(strange[0], config.sinks)}")
    sinks = open_sinks(config, settings.topic_prefix)
    return config, tuple(one for one in sinks if not names or one.name in names)


def _row(config: DeliveryConfig, one: OpenSink) -> Row:
    return Row(
        name=one.name,
        type=config.sinks[one.name].type,
        routes=tuple(route.name for route in config.routes if route.sink == one.name),
        calls=one.rate.calls,
        period_s=one.rate.period_s,
        topics=one.topics,
    )


def _print(subject: str, state: str, text: str, what_to_do: str) -> None:
    click.echo(f"{click.style(f'{state:<8}', fg='green' if state == 'ok' else 'red')} {subject:<16} {text}")
    if what_to_do:
        click.echo(f"{'':<25} {what_to_do}")


def _print_set_up(one: SinkSetUp) -> None:
    if one.state != "done":
        _print(one.sink, "ok" if one.state == "nothing_to_do" else "failed", one.text, one.what_to_do)
        return
    text = f"{len(one.made)} made, {len(one.found)} found, {len(one.different)} different"
    _print(one.sink, "failed" if one.different else "ok", text, one.what_to_do)
    for mark, names in (("+", one.made), ("=", one.found), ("!", one.different)):
        for name in names:
            click.echo(f"{'':<25} {mark} {name}")


def _tell_if_none(sinks: tuple[OpenSink, ...]) -> None:
    if not sinks:
        click.echo("there are no sinks: write them into ./pql.toml, or the file of PQL_CONFIG", err=True)
