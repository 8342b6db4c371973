"""The tables of a benchmark, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.bench.bars import Bar
from tests.bench.lineup import LINEUP
from tests.bench.measure import Throughput
from tests.bench.results import Beside, Delivery, Latency, Replaying, Restore, Results, Run, Spread, by_case, spread_of

_TITLES = {contender.name: contender.title for contender in LINEUP}


def report(results: Results, bars: Sequence[Bar]) -> str:
    """Everything there is to say, section by section."""
    parts = [
        "\n".join(f"- {name}: {value}" for name, value in results.about.items()),
        *_throughput_tables(results.throughput),
        _table("Latency", _LATENCY_HEAD, _latency_rows(results.latency)),
        _table("Live latency beside a backfill", _BESIDE_HEAD, _beside_rows(results.backfill)),
        _table("Restore", _RESTORE_HEAD, _restore_rows(results.restore)),
        _table("Delivery to one local webhook", _DELIVERY_HEAD, _delivery_rows(results.delivery)),
        _table("Replay of a file", _REPLAY_HEAD, _replay_rows(results.replay)),
        _table("Growth of our worker (RocksDB, steady)", _GROWTH_HEAD, _growth_rows(results.growth)),
        _table("Not available here", ("contender", "why"), _unavailable_rows(results)),
        _table("Bars", ("bar", "found", ""), [(bar.what, bar.found, _verdict(bar)) for bar in bars]),
    ]
    return "\n\n".join(part for part in parts if part)


_THROUGHPUT_HEAD = ("contender", "events", "events/s", "CPU s a million", "peak MB", "outputs")
_GROWTH_HEAD = ("leads", "event bytes", "partitions", "workers", "events/s", "CPU s a million", "peak MB", "outputs")
_LATENCY_HEAD = ("contender", "events/s", "p50 ms", "p99 ms", "max ms", "answered")
_BESIDE_HEAD = ("events/s", "p50 ms alone", "p99 ms alone", "p50 ms", "p99 ms", "filled in/s", "answered")
_RESTORE_HEAD = ("store", "leads", "ready after, s", "CPU s", "peak MB", "outputs")
_REPLAY_HEAD = ("leads", "events", "processes", "events/s", "CPU s a million", "peak MB of one", "lines")
_DELIVERY_HEAD = ("deliveries/s", "CPU ms each", "peak MB", "at, records/s", "p50 ms", "p99 ms", "records")


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Nothing without rows."""
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"### {title}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines])


def _throughput_tables(runs: Sequence[Run]) -> Iterator[str]:
    for stream, leads in dict.fromkeys((run.case.stream, run.case.leads) for run in runs):
        chosen = [run for run in runs if (run.case.stream, run.case.leads) == (stream, leads)]
        yield _table(f"{stream}, {leads:,} leads", _THROUGHPUT_HEAD, _throughput_rows(chosen))


def _throughput_rows(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    cases = by_case(runs)
    fastest_first = sorted(cases, key=lambda case: -_median_rate(cases[case]))
    for case in fastest_first:
        yield (_TITLES[case.contender], f"{case.events:,}", *_figures(cases[case]))


def _growth_rows(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    for case, repeated in by_case(runs).items():
        what = (f"{case.leads:,}", f"{case.event_bytes:,}", str(case.partitions), str(case.workers))
        yield (*what, *_figures(repeated))


def _figures(runs: Sequence[Run]) -> tuple[str, str, str, str]:
    return (
        _spread(runs, lambda throughput: throughput.events_per_s, "{:,.0f}"),
        _spread(runs, lambda throughput: throughput.cpu_s_per_million, "{:.1f}"),
        _spread(runs, lambda throughput: throughput.memory_peak_mb, "{:.0f}"),
        _outputs(runs),
    )


def _median_rate(runs: Sequence[Run]) -> float:
    found = spread_of(runs, lambda throughput: throughput.events_per_s)
    return 0.0 if found is None else found.median


def _spread(runs: Sequence[Run], value: Callable[[Throughput], float], form: str) -> str:
    return _shown(spread_of(runs, value), form)


def _shown(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "-"
    if spread.least == spread.greatest:
        return form.format(spread.median)
    return f"{form.format(spread.median)} ({form.format(spread.least)}-{form.format(spread.greatest)})"


def _outputs(runs: Sequence[Run]) -> str:
    """How many changes and qualifications there were, and whether they are right."""
    for run in runs:
        if run.failed:
            return f"failed: {run.failed.splitlines()[0]}"
        if not run.is_right and run.checked is not None:
            return f"WRONG: {run.checked.faults[0]}"
    checked = runs[0].checked
    if checked is None:
        return "not checked"
    too_short = any(run.throughput.is_short for run in runs if run.throughput is not None)
    note = "; too short to tell the speed" if too_short else ""
    return f"right: {checked.changes:,} changes, {checked.qualifications:,} qualifications{note}"


def _latency_rows(found: Sequence[Latency]) -> Iterator[tuple[str, ...]]:
    for contender, rate in dict.fromkeys((one.contender, one.rate) for one in found):
        same = [one for one in found if (one.contender, one.rate) == (contender, rate)]
        fine = [one for one in same if not one.failed]
        if not fine:
            yield (_TITLES[contender], f"{rate:,}", "-", "-", "-", f"failed: {same[0].failed}")
            continue
        yield (
            _TITLES[contender],
            f"{Spread.of(one.rate_fed for one in fine).median:,.0f}",
            _shown(Spread.of(one.p50_ms for one in fine), "{:.1f}"),
            _shown(Spread.of(one.p99_ms for one in fine), "{:.1f}"),
            f"{max(one.max_ms for one in fine):.0f}",
            f"{sum(one.answered for one in fine):,} of {sum(one.sent for one in fine):,}",
        )


def _beside_rows(found: Sequence[Beside]) -> Iterator[tuple[str, ...]]:
    for one in found:
        waits = (one.p50_alone_ms, one.p99_alone_ms, one.p50_ms, one.p99_ms)
        answered = f"failed: {one.failed}" if one.failed else f"{one.answered:,} of {one.sent:,}"
        yield f"{one.rate:,}", *(f"{ms:.1f}" for ms in waits), f"{one.filled_per_s:,.0f}", answered


def _restore_rows(found: Sequence[Restore]) -> Iterator[tuple[str, ...]]:
    for store, kept, leads in dict.fromkeys((one.store, one.kept, one.leads) for one in found):
        same = [one for one in found if (one.store, one.kept, one.leads) == (store, kept, leads)]
        name = f"{store}, its store kept" if kept else f"{store}, cold"
        fine = [one for one in same if not one.failed]
        if not fine:
            yield (name, f"{leads:,}", "-", "-", "-", f"failed: {same[0].failed.splitlines()[0]}")
            continue
        faults = [fault for one in fine for fault in one.faults]
        yield (
            name,
            f"{leads:,}",
            _shown(Spread.of(one.seconds for one in fine), "{:.1f}"),
            _shown(Spread.of(one.cpu_s for one in fine), "{:.1f}"),
            _shown(Spread.of(one.memory_peak_mb for one in fine), "{:.0f}"),
            faults[0] if faults else "right",
        )


def _delivery_rows(found: Sequence[Delivery]) -> Iterator[tuple[str, ...]]:
    fine = [one for one in found if not one.failed]
    if fine:
        yield (
            _shown(Spread.of(one.deliveries_per_s for one in fine), "{:,.0f}"),
            _shown(Spread.of(one.cpu_ms_each for one in fine), "{:.2f}"),
            _shown(Spread.of(one.memory_peak_mb for one in fine), "{:.0f}"),
            _shown(Spread.of(one.rate_fed for one in fine), "{:.0f}"),
            _shown(Spread.of(one.p50_ms for one in fine), "{:.1f}"),
            _shown(Spread.of(one.p99_ms for one in fine), "{:.1f}"),
            f"{sum(one.records for one in fine):,}, {sum(one.repeats for one in fine)} repeats",
        )
    for one in found:
        if one.failed:
            yield ("-", "-", "-", "-", "-", "-", f"failed: {one.failed.splitlines()[0]}")


def _replay_rows(found: Sequence[Replaying]) -> Iterator[tuple[str, ...]]:
    for leads, events, processes in dict.fromkeys((one.leads, one.events, one.processes) for one in found):
        same = [one for one in found if (one.leads, one.events, one.processes) == (leads, events, processes)]
        failed = [one.failed for one in same if one.failed]
        yield (
            f"{leads:,}",
            f"{events:,}",
            str(processes),
            _shown(Spread.of(one.events_per_s for one in same), "{:,.0f}"),
            _shown(Spread.of(one.cpu_s_per_million for one in same), "{:.1f}"),
            _shown(Spread.of(one.memory_peak_mb for one in same), "{:.0f}"),
            f"failed: {failed[0]}" if failed else "all",
        )


def _unavailable_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for name, why in results.unavailable.items():
        yield _TITLES[name], " ".join(why.split())


def _verdict(bar: Bar) -> str:
    if bar.met is None:
        return "not measured"
    return ("met" if bar.met else "not met") + (" (goal)" if bar.is_goal else "")
