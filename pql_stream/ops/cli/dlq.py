"""`pql-stream dlq`: the dead letters of sinks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import click

from pql_stream.core.routes import Route
from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.delivery.redrive import Wanted
from pql_stream.errors import InvalidEvent, InvalidSettings
from pql_stream.ops.delivery.dead_letters import DeadLetterReader, Found
from pql_stream.ops.delivery.files import load_sink_names
from pql_stream.ops.delivery.problems import unknown
from pql_stream.ops.delivery.redriving import RecordSender, Redriver, Tally
from pql_stream.ops.settings import Settings, load_settings
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.packs import load_pack
from pql_stream.wire.times import parse_time_ms


class _Time(click.ParamType):
    """RFC 3339 with an offset, to milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - as the base class has it
        try:
            return parse_time_ms(value, "")
        except InvalidEvent:
            self.fail(f"{value!r} is no time like 2026-01-05T10:00:00Z", param, ctx)


@dataclass(frozen=True, slots=True)
class _Query:
    """What was asked for, and of which cluster."""

    settings: Settings
    sinks: tuple[str, ...]
    wanted: Wanted

    @property
    def reader(self) -> DeadLetterReader:
        return DeadLetterReader(self.settings.kafka_client_config(), self.settings.topic_prefix)

    def found(self) -> Iterator[Found]:
        """Every dead letter that was asked for."""
        reader = self.reader if self.sinks else None
        for sink in self.sinks:
            assert reader is not None, "there are sinks"  # noqa: S101 - our own mistake
            for partition in reader.partitions(sink, self.wanted):
                yield from reader.letters(partition, self.wanted)


def _query_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose dead letters."""
    for option in (
        click.option("--until", type=_Time(), metavar="TIME", help="Died before it."),
        click.option("--since", type=_Time(), metavar="TIME", help="Died then or later, as 2026-01-05T10:00:00Z."),
        click.option("--lead", "leads", multiple=True, metavar="ID", help="Of this lead; may be repeated."),
        click.option("--reason", "reasons", multiple=True, metavar="WORD", help="Of this reason; may be repeated."),
        click.option("--sink", "sinks", multiple=True, metavar="NAME", help="Of this sink; may be repeated."),
    ):
        function = option(function)
    return function


_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array, or object, on stdout.")


@click.group
def command() -> None:
    """
    What could not be delivered: the dead letters of the sinks in the settings file.

    No option means all. Times are when a delivery was given up.
    """


@command.command("list")
@_query_options
@_json_option
def list_(*, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - options, for _query
    """Count them by sink and reason."""
    counts: dict[tuple[str, str], _Summary] = {}
    for found in _query(**asked).found():
        key = (found.sink, found.letter.reason)
        counts.setdefault(key, _Summary(*key)).add(found)
    rows = [counts[key] for key in sorted(counts)]
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], indent=2))
        return
    for row in rows:
        told = f"{row.waiting:>9,} waiting, {row.redriven:>7,} redriven"
        click.echo(f"{row.sink:<16} {row.reason:<18} {told}  {rfc3339(row.first_ms)} to {rfc3339(row.last_ms)}")
    if not rows:
        click.echo("there are none", err=True)


@command.command
@_query_options
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")
@_json_option
def show(*, limit: int, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - options, for _query
    """Show them one by one, with their records."""
    shown = [_as_json(found) for found in islice(_query(**asked).found(), limit)]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for one in shown:
        click.echo(f"{one['topic']}/{one['partition']}/{one['offset']}{' (redriven)' if one['is_redriven'] else ''}")
        for name in ("died_at", "reason", "detail", "lead_id", "delivery_id", "route", "action", "attempts", "record"):
            value = one.get(name)
            click.echo(f"  {name:<12} {json.dumps(value) if isinstance(value, dict) else value}")
    if not shown:
        click.echo("there are none", err=True)


@command.command
@_query_options
@click.option("--new-options", is_flag=True, help="With the options that their routes have now, not those of then.")
@click.option("--yes", is_flag=True, help="Do it; without it this is a dry run.")
@_json_option
def redrive(*, new_options: bool, yes: bool, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - options, for _query
    """
    Have their sinks try them again. Without --yes it says what it would do, and does nothing.

    Left alone is what was redriven before, delivered meanwhile or is under way; what brings back old values; what is
    about a tier that the lead has lost; and whoever was erased. A second run finds nothing left to do.
    """
    query = _query(**asked)
    routes = _routes(query.settings) if new_options else ()
    tally = asyncio.run(_redrive(query, routes, is_dry=not yes)) if query.sinks else Tally()
    rows = [
        {**count._asdict(), "count": tally.counts[count], "in_doubt": tally.in_doubt[count]}
        for count in sorted(tally.counts)
    ]
    if as_json:
        click.echo(json.dumps({"done": yes, "counts": rows}, indent=2))
        return
    for row in rows:
        note = f"  {row['in_doubt']:,} of them may have arrived" if row["in_doubt"] else ""
        verdict = str(row["verdict"]).replace("_", " ")
        click.echo(f"{row['sink']:<16} {row['reason']:<18} {row['count']:>9,} {verdict}{note}")
    total = sum(count for key, count in tally.counts.items() if key.verdict == "redrive")
    click.echo(f"{total:,} {'were redriven' if yes else 'would be redriven; --yes does it'}", err=True)


@dataclass(slots=True)
class _Summary:
    sink: str
    reason: str
    waiting: int = 0
    redriven: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def add(self, found: Found) -> None:
        died_at_ms = found.letter.died_at_ms
        self.first_ms = min(self.first_ms or died_at_ms, died_at_ms)
        self.last_ms = max(self.last_ms, died_at_ms)
        self.redriven += found.is_redriven
        self.waiting += not found.is_redriven

    def as_json(self) -> dict[str, object]:
        fields = asdict(self)
        return {**fields, "first": rfc3339(fields.pop("first_ms")), "last": rfc3339(fields.pop("last_ms"))}


def _query(
    sinks: tuple[str, ...], reasons: tuple[str, ...], leads: tuple[str, ...], since: int | None, until: int | None
) -> _Query:
    settings = load_settings()
    names = load_sink_names(settings)
    if strange := [name for name in sinks if name not in names]:
        raise InvalidSettings(f"there is no such sink: {unknown(strange[0], names)}")
    if not names:
        click.echo("there are no sinks: write them into ./pql.toml, or the file of PQL_CONFIG", err=True)
    wanted = Wanted(reasons=frozenset(reasons), lead_ids=frozenset(leads), since_ms=since, until_ms=until)
    return _Query(settings, tuple(name for name in names if not sinks or name in sinks), wanted)


def _routes(settings: Settings) -> tuple[Route, ...]:
    from pql_stream.ops.delivery.config import load_live_config  # noqa: PLC0415 - brings every destination's client

    return load_live_config(settings).routes


async def _redrive(query: _Query, routes: tuple[Route, ...], *, is_dry: bool) -> Tally:
    settings, prefix = query.settings, query.settings.topic_prefix
    redis = RedisConnection(settings.require_redis_url())
    try:
        with ExitStack() as stack:
            sender = None if is_dry else stack.enter_context(RecordSender(settings.kafka_client_config()))
            redriver = Redriver(
                query.reader,
                lambda sink: RedisLedger(redis, prefix=prefix, sink=sink),
                prefix=prefix,
                tiers=[tier.name for tier in load_pack(settings.pack).tiers],
                routes=routes,
                sender=sender,
            )
            for sink in query.sinks:
                await redriver.run(sink, query.wanted)
    finally:
        await redis.close()
    return redriver.tally


def _as_json(found: Found) -> dict[str, Any]:
    letter = found.letter
    delivery = letter.delivery
    fields: dict[str, Any] = {
        "sink": found.sink,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "died_at": rfc3339(letter.died_at_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "is_redriven": found.is_redriven,
        "headers": {name: (content or b"").decode(errors="replace") for name, content in letter.headers},
    }
    if delivery is None:
        return {**fields, "value": letter.value.decode(errors="replace")}
    return {
        **fields,
        "lead_id": delivery.lead_id,
        "delivery_id": delivery.delivery_id,
        "route": delivery.route,
        "action": delivery.action,
        "of": delivery.of,
        "attempts": delivery.attempts,
        "options": delivery.options,
        "record": delivery.record,
    }
