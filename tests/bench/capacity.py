"""
What leads and events take of memory, disk and network: measured without a cluster, and written into CAPACITY.md.

    python -m tests.bench.capacity [--bench bench.json] [--leads 100000,1000000]

Rows, changes and qualifications are those that `pql-100` makes of the benchmark's events; the local store is the
worker's own RocksDB, twelve partitions of it, in a process of its own. *bench.json* is what `make bench` writes, for
the table of what one worker does. Each table stands between marks of its name in deploy/CAPACITY.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rocksdict
from faust.stores.rocksdb import RocksDBOptions

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.stream.transport.stores import ROCKSDB_OPTIONS
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.rows import dump_state, load_state
from pql_stream.wire.score_changed import encode_score_changed
from tests.bench.lineup import OURS_ALL
from tests.bench.load import Load, keyed_events, lead_id

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy" / "CAPACITY.md"
PACK = compile_pack(load_pack("pql-100"))
PARTITIONS = 12
PATTERNS = 2_000
"""So many different rows, each under many leads: more than a block of the store sees at once."""
PATTERN_EVENTS = 40
"""Of one lead: the middle of a trial."""
WRITE_ROWS = 5_000
MIB = 1 << 20
RECORD_OVERHEAD_BYTES = 12
"""Of a record in a batch of Kafka's format 2, with its share of the batch's head."""
RATES = (1_000, 10_000, 100_000, 1_000_000)
REPLICAS = 3
EVENT_DAYS = 30
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a stream of events made: the bytes of each record with its key, and the states in the end."""

    events: list[int]
    changes: list[int]
    qualifications: list[int]
    states: list[LeadState]

    def rows(self) -> list[bytes]:
        """The states as the table has them."""
        return [dump_state(state, PACK) for state in self.states]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What *leads* rows take in one way of keeping them."""

    store: str
    leads: int
    memory_mib: float
    """Of the process, over what it has without a lead."""
    disk_mib: float = 0.0
    seconds: float = 0.0


def play(leads: int = PATTERNS) -> Played:
    """The benchmark's steady stream, one event in twenty of which changes a score."""
    played = Played(events=[], changes=[], qualifications=[], states=[])
    states: dict[bytes, LeadState] = {}
    load = Load(stream="steady", leads=leads, events=leads * PATTERN_EVENTS)
    for offset, (key, value) in enumerate(keyed_events(load)):
        step = advance(states.get(key), decode_event(value, "product-activity", 0, offset), PACK)
        states[key] = step.state
        played.events.append(len(key) + len(value))
        if step.change is not None:
            played.changes.append(len(key) + len(encode_score_changed(step.change)))
        if step.qualification is not None:
            played.qualifications.append(len(key) + len(encode_pql_qualified(step.qualification)))
    played.states.extend(states.values())
    return played


# --- what leads take ---


def in_rocksdb(rows: Sequence[bytes], leads: int) -> Stored:
    """Twelve stores as the worker opens them, filled in batches and then left alone until they are compact."""
    with tempfile.TemporaryDirectory(prefix="pql-capacity-") as directory:
        before, started_s = rss_mib(), time.monotonic()
        stores = [
            RocksDBOptions(**ROCKSDB_OPTIONS).open(Path(directory, str(partition))) for partition in range(PARTITIONS)
        ]
        for first in range(0, leads, WRITE_ROWS):
            batches = [rocksdict.WriteBatch(raw_mode=True) for _ in stores]
            for lead in range(first, min(first + WRITE_ROWS, leads)):
                batches[lead % PARTITIONS].put(lead_id(lead), rows[lead % len(rows)])
            for store, batch in zip(stores, batches, strict=True):
                store.write(batch)
        seconds, memory_mib = time.monotonic() - started_s, rss_mib() - before
        for store in stores:
            store.flush()
            store.compact_range(None, None)
        disk_mib = sum(path.stat().st_size for path in Path(directory).rglob("*.sst")) / MIB
        for store in stores:
            store.close()
    return Stored(store="rocksdb", leads=leads, memory_mib=memory_mib, disk_mib=disk_mib, seconds=seconds)


def in_memory(rows: Sequence[bytes], leads: int) -> Stored:
    """A dict a partition, as the memory store has it."""
    before = rss_mib()
    stores: list[dict[bytes, bytes]] = [{} for _ in range(PARTITIONS)]
    for lead in range(leads):
        # A row that was read from a changelog is an object of its own.
        stores[lead % PARTITIONS][lead_id(lead)] = bytes(bytearray(rows[lead % len(rows)]))
    return Stored(store="memory", leads=leads, memory_mib=rss_mib() - before)


def decoded(rows: Sequence[bytes], leads: int) -> Stored:
    """The states of leads that were needed lately: PQL_LEADS_KEPT."""
    before = rss_mib()
    states = {str(lead): load_state(rows[lead % len(rows)], PACK) for lead in range(leads)}
    return Stored(store="decoded", leads=len(states), memory_mib=rss_mib() - before)


WAYS: dict[str, Callable[[Sequence[bytes], int], Stored]] = {
    "rocksdb": in_rocksdb,
    "memory": in_memory,
    "decoded": decoded,
}


def rss_mib() -> float:
    """Resident memory of this process now."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def stored(way: str, leads: int) -> Stored:
    """Measure in a process of its own: what another measurement has left behind does not count."""
    command = [sys.executable, "-m", "tests.bench.capacity", "--measure", way, "--leads", str(leads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Stored(**json.loads(done.stdout))


# --- the tables ---


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def lead_table(found: Iterable[Stored]) -> str:
    """Bytes a lead as well, for another number of them."""
    head = (
        "kept as",
        "leads",
        "memory, MiB",
        "disk, MiB",
        "bytes a lead in memory",
        "on disk",
        "rows a second written",
    )
    rows = [
        (
            one.store,
            f"{one.leads:,}",
            f"{one.memory_mib:,.0f}",
            f"{one.disk_mib:,.0f}" if one.disk_mib else "-",
            f"{one.memory_mib * MIB / one.leads:,.0f}",
            f"{one.disk_mib * MIB / one.leads:,.0f}" if one.disk_mib else "-",
            f"{one.leads / one.seconds:,.0f}" if one.seconds else "-",
        )
        for one in found
    ]
    return table(head, rows)


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def record_table(played: Played) -> str:
    """What an event makes, and how large it is."""
    count = len(played.events)
    rows = [len(row) + len(lead_id(0)) for row in played.rows()]
    return table(
        ("record", "bytes, with key", "of them an event"),
        [
            ("event", f"{_mean(played.events):,.0f}", "1"),
            ("`score-changed`", f"{_mean(played.changes):,.0f}", f"{len(played.changes) / count:.3f}"),
            ("`pql-qualified`", f"{_mean(played.qualifications):,.0f}", f"{len(played.qualifications) / count:.3f}"),
            ("row in the changelog", f"{_mean(rows):,.0f}", "at most 1: one a lead and batch"),
        ],
    )


def kafka_table(played: Played) -> str:
    """What a cluster has to carry, by events a second; computed, not run."""
    event = _mean(played.events) + RECORD_OVERHEAD_BYTES
    row = _mean([len(one) + len(lead_id(0)) for one in played.rows()]) + RECORD_OVERHEAD_BYTES
    made = sum(played.changes) + sum(played.qualifications)
    made += RECORD_OVERHEAD_BYTES * (len(played.changes) + len(played.qualifications))
    out = made / len(played.events)

    def line(rate: int) -> tuple[str, ...]:
        written = rate * (event + row + out)
        return (
            f"{rate:,}",
            f"{rate * event / 1e6:,.1f}",
            f"{rate * row / 1e6:,.1f}",
            f"{rate * out / 1e6:,.1f}",
            f"{written * REPLICAS / 1e6:,.0f}",
            f"{rate * event * DAY_S * EVENT_DAYS * REPLICAS / 1e12:,.1f}",
        )

    head = (
        "events/s",
        "in, MB/s",
        "changelog, MB/s",
        "changes, MB/s",
        "disks write, MB/s",
        f"{EVENT_DAYS} days of events, TB",
    )
    return table(head, map(line, RATES))


def bench_table(results: dict[str, Any]) -> str:
    """What one worker did in a benchmark: the medians of its runs that were right."""
    titles = {contender.name: contender.title for contender in OURS_ALL}
    cases: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for run in results["throughput"]:
        case, checked = run["case"], run["checked"]
        if case["contender"] in titles and run["throughput"] and checked and not checked["faults"]:
            cases.setdefault((case["contender"], case["stream"], case["leads"]), []).append(run["throughput"])
    rows = [
        (
            titles[contender],
            stream,
            f"{leads:,}",
            f"{_median(runs, 'events_per_s'):,.0f}",
            f"{_median(runs, 'cpu_s_per_million'):.1f}",
            f"{_median(runs, 'memory_peak_mb'):,.0f}",
        )
        for (contender, stream, leads), runs in sorted(cases.items())
    ]
    about = ", ".join(str(results["about"][name]) for name in ("when", "machine", "broker") if name in results["about"])
    head = ("worker", "stream", "leads", "events/s", "CPU s a million events", "peak memory, MB")
    return f"{table(head, rows)}\n\n{about}"


def _median(runs: Sequence[dict[str, Any]], name: str) -> float:
    values = sorted(run[name] for run in runs)
    return float(values[len(values) // 2])


def written(page: str, tables: dict[str, str]) -> str:
    """*page* with each of *tables* between the marks of its name."""
    for name, text in tables.items():
        begin, end = f"<!-- {name}: made by tests/bench/capacity.py -->", f"<!-- end of {name} -->"
        head, rest = page.split(begin)
        page = f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}"
    return page


def main() -> None:
    """Measure and write, or measure one thing for the process that asked."""
    parser = argparse.ArgumentParser(description="Measures what CAPACITY.md says.")
    parser.add_argument("--bench", type=Path, help="JSON of `make bench`")
    parser.add_argument("--leads", default="100000,1000000")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    leads = [int(number) for number in options.leads.split(",")]
    played = play()
    if options.measure:
        print(json.dumps(asdict(WAYS[options.measure](played.rows(), leads[0]))))  # noqa: T201 - a program's own output
        return
    tables = {"records": record_table(played), "kafka": kafka_table(played), "leads": lead_table(_measured(leads))}
    if options.bench:
        tables["worker"] = bench_table(json.loads(options.bench.read_text(encoding="utf-8")))
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


def _measured(leads: Iterable[int]) -> Iterator[Stored]:
    for way, count in [*((way, count) for way in ("rocksdb", "memory") for count in leads), ("decoded", 40_000)]:
        print(f"measuring {way} with {count:,} leads", file=sys.stderr)  # noqa: T201 - a program's own output
        yield stored(way, count)


if __name__ == "__main__":
    main()
