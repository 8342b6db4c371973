"""The section that starts: our worker with a full changelog, until it is ready; and whether it goes on rightly."""

from __future__ import annotations

import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
from confluent_kafka import Producer

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import dump_state
from tests.bench.cluster import Cluster, wait_for
from tests.bench.lineup import OURS, OURS_IN_MEMORY, Contender, Place
from tests.bench.load import EVENTS_A_LEAD_MIN, Load, keyed_events, lead_id
from tests.bench.processes import MeasuredProcess
from tests.bench.results import Restore
from tests.bench.session import Session, say

PREFIX = "restore-"
PARTITIONS = 4
PATTERNS = 500
"""So many different rows, each under many leads: a row does not know whose it is."""
PATTERN_EVENTS = 4 * EVENTS_A_LEAD_MIN
PROBES = 100
READY_S_MAX = 300.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Pattern:
    """A state that real events have made, and its row."""

    state: LeadState
    row: bytes


def patterns() -> list[Pattern]:
    """Rows in the middle of a trial: forty events each."""
    pack = compile_pack(load_pack("pql-100"))
    states: dict[bytes, LeadState] = {}
    load = Load(stream="steady", leads=PATTERNS, events=PATTERNS * PATTERN_EVENTS)
    for offset, (key, value) in enumerate(keyed_events(load)):
        event = decode_event(value, f"{PREFIX}product-activity", 0, offset)
        states[key] = advance(states.get(key), event, pack).state
    return [Pattern(state, dump_state(state, pack)) for state in states.values()]


def restores(session: Session, leads: int, reps: int) -> Iterator[Restore]:
    """Cold with each store, and again with the store that RocksDB kept; *reps* times."""
    cluster = session.cluster
    say(f"filling a changelog with {leads:,} rows")
    made = patterns()
    probes = itertools.count()
    cluster.make_topics(PREFIX, PARTITIONS, inputs=True)
    cluster.make_topics(PREFIX, PARTITIONS, inputs=False)
    place = session.place(PREFIX, PARTITIONS)
    _fill(cluster, place.topics.leads_changelog, made, leads)
    try:
        for rep, contender in itertools.product(range(reps), (OURS_IN_MEMORY, OURS)):
            own = session.place(PREFIX, PARTITIONS)
            for kept in (False, True) if contender is OURS else (False,):
                found = _restore(session, contender, own, made, leads=leads, kept=kept, first=next(probes) * PROBES)
                how = "with its store kept" if kept else "cold"
                outcome = found.failed or f"ready after {found.seconds:.1f} s {' '.join(found.faults)}"
                say(f"  {rep + 1}/{reps} {found.store}, {how}: {outcome}")
                yield found
    finally:
        cluster.delete_topics(PREFIX)


def _fill(cluster: Cluster, topic: str, made: list[Pattern], leads: int) -> None:
    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 512 * 1024,
            "log_level": 0,
        }
    )
    producer.list_topics(topic, timeout=10)
    for lead in range(leads):
        while True:
            try:
                producer.produce(topic, made[lead % PATTERNS].row, lead_id(lead))
            except BufferError:
                producer.poll(0.05)
            else:
                break
    producer.flush(60)


def _restore(
    session: Session, contender: Contender, place: Place, made: list[Pattern], *, leads: int, kept: bool, first: int
) -> Restore:
    launch = contender.launch(place)
    log_path = place.directory.with_suffix(".log")
    started_s = time.monotonic()
    try:
        with MeasuredProcess(launch.command, launch.environment, log_path, session.cores.worker(0)) as process:
            wait_for(lambda: _is_ready(process), "the worker is ready", READY_S_MAX)
            seconds, cpu_s, memory_mb = time.monotonic() - started_s, process.cpu_s(), process.memory_peak_mb()
            faults = _faults_after(session.cluster, contender, place, made, range(first, min(first + PROBES, leads)))
    except TimeoutError as exc:
        return Restore(store=contender.name, kept=kept, leads=leads, failed=str(exc))
    return Restore(
        store=contender.name,
        kept=kept,
        leads=leads,
        seconds=seconds,
        cpu_s=cpu_s,
        memory_peak_mb=memory_mb,
        faults=faults,
    )


def _is_ready(process: MeasuredProcess) -> bool:
    if process.exit_code is not None:
        raise TimeoutError(f"it ended with {process.exit_code}: {process.log_tail()}")
    address = _address(process.log_path)
    if address is None:
        return False
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=5):
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


def _address(log_path: Path) -> str | None:
    """Where the worker serves its health; it says so when it starts."""
    for line in log_path.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"worker_starting"' in line and line.endswith("}"):
            return str(json.loads(line)["http"])
    return None


def _faults_after(
    cluster: Cluster, contender: Contender, place: Place, made: list[Pattern], leads: range
) -> tuple[str, ...]:
    """Two events for each of *leads*, of which the second surely moves its score: does it go on from its row?"""
    topics = place.topics
    pack = compile_pack(load_pack("pql-100"))
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "partitioner": "murmur2_random", "log_level": 0})
    wanted: dict[bytes, tuple[int, float]] = {}
    for lead in leads:
        key, state = lead_id(lead), made[lead % PATTERNS].state
        for value in _probes(lead):
            producer.produce(topics.activity, value, key)
            state = advance(state, decode_event(value, topics.activity, 0, 0), pack).state
        wanted[key] = (state.pack.sequence, sum(state.pack.points) / 100)
    producer.flush(30)
    positions = cluster.positions(topics.activity, contender.group(place))
    try:
        wait_for(lambda: positions.committed() >= positions.end(), "the probes are scored")
    finally:
        positions.close()
    found: dict[bytes, tuple[int, float]] = {}
    for record in cluster.records(topics.score_changed):
        change = orjson.loads(record.value)
        found[record.key] = (change["sequence"], change["score_after"])
    wrong = [key.decode() for key, result in wanted.items() if found.get(key) != result]
    return (f"WRONG: {len(wrong)} of {len(wanted)} leads, {wrong[0]} first",) if wrong else ()


def _probes(lead: int) -> Iterator[bytes]:
    """A team of one, which earns nothing, then one of 25, which earns the most."""
    for size, second in ((1, 1), (25, 2)):
        yield orjson.dumps(
            {
                "event_id": f"probe-{lead}-{size}",
                "user_id": lead_id(lead).decode(),
                "event": "team_size_changed",
                "occurred_at": f"2026-02-01T00:00:0{second}.000Z",
                "properties": {"team_size": size},
            }
        )
