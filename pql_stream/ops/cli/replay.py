"""`pql-stream replay`: the changes that recorded events make."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from pql_stream.ops.cli.path_option import NewPath
from pql_stream.ops.cli.time_option import Time
from pql_stream.ops.progress import progress_of
from pql_stream.ops.replaying.options import AskedSource, source_options
from pql_stream.ops.stopping import stop_asked_for
from pql_stream.replay.cut import ALL, Cut
from pql_stream.replay.engine import replay
from pql_stream.replay.job import Job, Replayed
from pql_stream.replay.parquet import parquet_name
from pql_stream.replay.parts import NAMES
from pql_stream.replay.processes import usable_cores
from pql_stream.replay.shares import SHARES_MAX
from pql_stream.replay.source import Source
from pql_stream.replay.workspace import NAME
from pql_stream.wire.packs import load_pack

SMALL_BYTES = 64 * 1024 * 1024
SMALL_RECORDS = 200_000
"""Up to here it takes longer to start a second process than it saves."""


@click.command()
@source_options()
@click.option("--out", required=True, type=NewPath(directory=True), help="Where the results go.")
@click.option("--pack", "pack_name", default="pql-100", show_default=True, help="A shipped pack, or a file.")
@click.option("--as-of", "as_of_ms", type=Time(), metavar="T", help="Only what had arrived by T: the score as it was.")
@click.option("--at", "at_ms", type=Time(), metavar="T", help="Only what had happened by T, whenever it arrived.")
@click.option(
    "--processes", type=click.IntRange(1, SHARES_MAX), help="How many share the leads; without it, a core each."
)
@click.option("--parquet", is_flag=True, help="The four files as Parquet, too.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object on stdout.")
def command(
    out: Path,
    pack_name: str,
    *,
    asked: AskedSource,
    as_of_ms: int | None,
    at_ms: int | None,
    processes: int | None,
    parquet: bool,
    as_json: bool,
) -> None:
    """
    The changes that recorded events make, as the stream would write them.

    FILEs are JSON lines, plain, gzip or zstd, or Parquet; - is stdin. Writes score-changed.jsonl, pql-qualified.jsonl,
    scores.jsonl and rejected.jsonl to the directory of --out: all of them, or none if the replay fails. The
    same command, run again after an interruption, goes on. Writes to no broker and reaches no destination.
    """
    _check_out(out, asked.files)
    pack = load_pack(pack_name)
    source = asked.source(keep=out / NAME / "source.json")
    small = SMALL_RECORDS if asked.topics else SMALL_BYTES
    job = Job(
        source=source,
        pack=pack,
        out=out,
        cut=Cut(as_of_ms, at_ms),
        parquet=parquet,
        processes=1 if source.is_read_once else processes or _processes_for(source, small),
    )
    with stop_asked_for() as stop_asked, progress_of(source) as tell:

        def goes_on(bytes_read: int, records: int) -> bool:
            tell(bytes_read, records)
            return not stop_asked()

        replayed = replay(job, goes_on, lambda sentence: click.echo(sentence, err=True))
    _report(replayed, job, as_json=as_json)


def _check_out(out: Path, files: tuple[str, ...]) -> None:
    """Events are not written over: what is in the way of a result is replaced at the end."""
    results = [path for name in NAMES for path in (out / name, out / parquet_name(name)) if path.exists()]
    for file in map(Path, files):
        if file.exists() and any(map(file.samefile, results)):
            raise click.UsageError(f"--out {out} would write over {file}, which is to be read; name another directory")


def _processes_for(source: Source, small: int) -> int:
    size = source.bytes_total
    return 1 if size is not None and size <= small else usable_cores()


def _report(replayed: Replayed, job: Job, *, as_json: bool) -> None:
    is_cut = job.cut != ALL
    if as_json:
        left_out = {"left_out": replayed.left_out} if is_cut else {}
        click.echo(orjson.dumps({"lines": replayed.lines, **left_out, **replayed.counts}))
        return
    left_out_too = f", {replayed.left_out:,} left out by --as-of or --at" if is_cut else ""
    click.echo(f"{replayed.lines:,} lines{left_out_too}", err=True)
    for name, records in replayed.counts.items():
        click.echo(f"{job.out / name}: {records:,}", err=True)
