"""Can this machine and this cluster run a worker? Looks at everything, changes nothing, says what to do."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from pql_stream.core.lineups import Roster
from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.errors import BrokerAway, BrokerError, InvalidState, LedgerAway, PqlError
from pql_stream.ops.broker_facts import PROVEN_MAJOR, read_release, records_ahead
from pql_stream.ops.brokers.jars import find_java, find_maven
from pql_stream.ops.connecting import connection_of
from pql_stream.ops.delivery.checks import check_sinks
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.delivery.disabled import DisabledSinks
from pql_stream.ops.delivery.sinks import open_sinks
from pql_stream.ops.preflight import (
    ClusterShape,
    StateIdentity,
    check_state,
    is_state_claimed,
    read_shape,
)
from pql_stream.ops.redis_facts import read_redis_facts
from pql_stream.ops.rosters import load_roster
from pql_stream.ops.settings import Settings
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.ops.wheels import check_wheels
from pql_stream.stream.names import APP_ID, PRODUCT_ACTIVITY, PRODUCT_ACTIVITY_REKEYED, prefixed

DISK_FREE_BYTES_MIN = 1 << 30
"""Below it the state directory is a warning: a million leads take about half of it, and compaction as much again."""

State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about *subject*; *what_to_do* is "" where there is nothing to do."""

    subject: str
    state: State
    text: str
    what_to_do: str = ""


class _Doubt(PqlError):
    """A worker would run all the same."""


def examine(settings: Settings) -> Iterator[Finding]:
    """
    One finding after the other, each as soon as it is known. What an earlier failure makes pointless is skipped.

    A bad setting is no finding: `load_settings` has refused it before.
    """
    yield _finding("python", _python)
    yield _finding("packages", _packages)
    yield _finding("wheels", check_wheels)
    yield _finding("java", _java)
    roster: Roster | None = None
    try:
        roster = load_roster(settings)
    except PqlError as exc:
        yield _failed("pack", exc)
    else:
        for pack in roster.first.packs:
            yield Finding("pack", "ok", f"{pack.id}: {len(pack.rules)} rules, {len(pack.tiers)} tiers")
    yield _finding("disk", lambda: _disk(settings.data_dir))
    yield _finding("http", lambda: _http(settings.http_host, settings.http_port))
    sinks: tuple[str, ...] = ()
    if roster is None:
        yield Finding("delivery", "skipped", "without a pack")
    else:
        try:
            config = load_config(settings, roster.first.live.pack)
        except PqlError as exc:
            yield _failed("delivery", exc)
        else:
            sinks = tuple(config.sinks)
            yield from _examine_delivery(settings, config)
    yield from _examine_cluster(settings, roster, sinks)


def _examine_delivery(settings: Settings, config: DeliveryConfig) -> Iterator[Finding]:
    if not config.sinks:
        yield Finding("delivery", "skipped", "there are no sinks")
        return
    text = f"{config.path}: {len(config.sinks)} sinks, {len(config.routes)} routes"
    if config.warnings:
        yield Finding("delivery", "warning", "\n".join((text, *config.warnings)), "add a route, or take the sink away")
    else:
        yield Finding("delivery", "ok", text)
    yield _finding("redis", lambda: _redis(settings))
    for check in check_sinks(open_sinks(config, settings.topic_prefix), DisabledSinks(settings).of):
        text = f"{check.sink}: {check.text}"
        yield Finding("sink", "ok" if check.ok else "failed", text, check.what_to_do)


def _redis(settings: Settings) -> str:
    """The ledger answers, and this Redis keeps what it is given; reads, under our own prefix."""
    redis = RedisConnection(settings.require_redis_url())

    async def ask() -> str:
        try:
            await RedisLedger(redis, prefix=settings.topic_prefix, sink="doctor").repeats()
            text = f"{redis.address}: it answers, and runs our scripts"
            try:
                facts = await read_redis_facts(redis)
            except LedgerAway as exc:
                raise _Doubt(
                    f"{text}; how it is set up it does not tell",
                    why=exc.why,
                    what_to_do="see that maxmemory-policy is noeviction and appendonly is yes",
                ) from exc
        finally:
            await redis.close()
        text = f"{text}; {facts.product}"
        if doubts := list(facts.doubts()):
            raise _Doubt(
                "\n".join([text, *(doubt for doubt, _ in doubts)]),
                what_to_do="\n".join(what_to_do for _, what_to_do in doubts),
            )
        return f"{text}, noeviction, appendonly, clock {facts.skew_s * 1000:+.0f} ms from ours"

    return asyncio.run(ask())


def _examine_cluster(settings: Settings, roster: Roster | None, sinks: tuple[str, ...]) -> Iterator[Finding]:
    try:
        shape = read_shape(settings.kafka_client_config(), settings.topic_prefix, sinks)
    except PqlError as exc:
        yield _failed("kafka", exc)
        answers = isinstance(exc, BrokerError) and not isinstance(exc, BrokerAway)
        if answers:
            yield _finding("broker", lambda: _broker(settings))
        for subject in ("clock", "topics", "state") if answers else ("broker", "clock", "topics", "state"):
            yield Finding(subject, "skipped", "without the above")
        return
    yield Finding("kafka", "ok", f"{settings.bootstrap_servers}: {shape.partitions} partitions of every topic by lead")
    yield _finding("broker", lambda: _broker(settings))
    yield _finding("clock", lambda: _clock(settings, shape))
    yield _finding("topics", lambda: _topics(settings, sinks))
    if roster is None:
        yield Finding("state", "skipped", "without a pack")
    else:
        yield _finding("state", lambda: _state(settings, roster, shape))


def _broker(settings: Settings) -> str:
    try:
        release = asyncio.run(read_release(connection_of(settings)))
    except BrokerError as exc:
        raise _Doubt(exc.what, why=exc.why, what_to_do=exc.what_to_do) from exc
    text = f"it speaks as Kafka {release} or newer does"
    if int(release.split(".")[0]) < PROVEN_MAJOR:
        raise _Doubt(
            text, what_to_do=f"this version is proven with Kafka {PROVEN_MAJOR}; update the brokers if you can"
        )
    return text


def _clock(settings: Settings, shape: ClusterShape) -> str:
    """Kafka tells nobody its time, and we write nothing to find out; but no record can be of the future."""
    topics = [prefixed(name, settings.topic_prefix) for name in (PRODUCT_ACTIVITY, PRODUCT_ACTIVITY_REKEYED)]
    cluster = TopicCluster(settings.kafka_client_config())
    try:
        newest_ms = cluster.newest_ms(dict.fromkeys(topics, shape.partitions))
    except BrokerError as exc:
        raise _Doubt(exc.what, why=exc.why, what_to_do="see that brokers and workers keep their time by NTP") from exc
    for topic, ahead_s in records_ahead(newest_ms):
        raise _Doubt(
            f"the newest record of {topic} is of {ahead_s:.0f} s from now",
            why="the clock of its producer, or of the broker, is ahead of this machine's",
            what_to_do="let producers, brokers and workers keep their time by NTP: latencies and bad_time go by it",
        )
    found = "no record of the input is of the future" if newest_ms else "the input has no records"
    return f"{found}; Kafka itself does not tell its time"


def _finding(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "ok", look())
    except _Doubt as exc:
        return Finding(subject, "warning", _told(exc), exc.what_to_do)
    except PqlError as exc:
        return _failed(subject, exc)


def _failed(subject: str, exc: PqlError) -> Finding:
    return Finding(subject, "failed", _told(exc), exc.what_to_do)


def _told(exc: PqlError) -> str:
    return f"{exc.what}: {exc.why}" if exc.why else exc.what


def _python() -> str:
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _packages() -> str:
    """The packages whose insides the transport knows are there in the very versions that it was proven with."""
    # Behind the ";" stands for which machines or extras it is.
    lines = [line.partition(";") for line in requires("pql-stream") or ()]
    pinned = [pin.strip() for pin, _, marker in lines if "==" in pin and "extra" not in marker]
    wrong = []
    for name, wanted in (pin.split("==") for pin in pinned):
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} is {found}, not {wanted}")
    if wrong:
        raise PqlError(
            "packages are not those that this version was proven with",
            why="; ".join(wrong),
            what_to_do="install pql-stream anew, into an environment of its own",
        )
    return ", ".join(pinned)


def _java() -> str:
    try:
        return f"{find_java()}, {find_maven()}"
    except BrokerError as exc:
        raise _Doubt(
            exc.what, why=exc.why, what_to_do=f"only for `pql-stream kafka` and the system tests: {exc.what_to_do}"
        ) from exc


def _disk(data_dir: Path) -> str:
    there = data_dir
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InvalidState(
            f"the state directory {data_dir} cannot be used",
            why=f"{there} is not ours to write to",
            what_to_do="set PQL_DATA_DIR to a directory that this user may write",
        )
    free = shutil.disk_usage(there).free
    text = f"{data_dir.absolute()}: {free / (1 << 30):.1f} GiB free"
    if free < DISK_FREE_BYTES_MIN:
        raise _Doubt(text, what_to_do="make room, or set PQL_DATA_DIR to a larger disk")
    return text


def _http(host: str, port: int) -> str:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], address[1]) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address[4])
    except OSError as exc:
        raise _Doubt(
            f"{host}:{port} cannot be listened on",
            why=exc.strerror or str(exc),
            what_to_do="fine if a worker of yours has it; else set PQL_HTTP_PORT (0 is any free port), PQL_HTTP_HOST",
        ) from exc
    return f"{host}:{port} is free for metrics and health"


def _topics(settings: Settings, sinks: tuple[str, ...]) -> str:
    declared = tuple(topic.on_cluster(prefix=settings.topic_prefix) for topic in load_declarations(sinks=sinks))
    # That the counts fit together was seen before; a small cluster may well have other counts than ours.
    found = [
        difference
        for difference in TopicCluster(settings.kafka_client_config()).differences(declared)
        if difference.setting != "partitions"
    ]
    if found:
        told = "; ".join(f"{one.topic}: {one.setting} is {one.actual}, declared {one.declared}" for one in found)
        raise _Doubt(
            f"{len(found)} settings of topics are not as declared",
            why=told,
            what_to_do="look with `pql-stream topics plan`, mend with `pql-stream topics apply`",
        )
    return f"{len(declared)} topics are as declared"


def _state(settings: Settings, roster: Roster, shape: ClusterShape) -> str:
    control = check_state(settings.kafka_client_config(), settings.topic_prefix, shape.partitions, roster)
    if settings.store == "rocksdb":
        app_id = prefixed(APP_ID, settings.topic_prefix)
        is_state_claimed(settings.data_dir, StateIdentity(app_id, shape.partitions))
    live = {str(control.live(partition)) for partition in control.casts}
    return f"live is {' and '.join(sorted(live))}" if live else f"none, or of pack {roster.first.live.id}"
