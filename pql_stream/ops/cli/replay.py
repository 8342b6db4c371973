"""`pql-stream replay`: the changes that the events in files make."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from pql_stream.core.packs import compile_pack
from pql_stream.ops.progress import lines_with_progress
from pql_stream.replay.files import EventFile
from pql_stream.replay.output import replay_output
from pql_stream.replay.replayer import Replayer
from pql_stream.wire.packs import load_pack


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the results go.")
@click.option("--pack", "pack_name", default="pql-100", show_default=True, help="A shipped pack, or a file.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object on stdout.")
def command(files: tuple[str, ...], out: Path, pack_name: str, *, as_json: bool) -> None:
    """
    The changes that the events in FILES make, as the stream would write them.

    Writes score-changed.jsonl, pql-qualified.jsonl, scores.jsonl and rejected.jsonl to the directory
    of --out: all of them, or none if the replay fails. Reaches no broker and no destination.
    """
    replayer = Replayer(compile_pack(load_pack(pack_name)))
    count = 0
    with replay_output(out) as output:
        for line in lines_with_progress([EventFile(path) for path in files]):
            count += 1
            output.write(replayer.handle(line))
        output.write_scores(replayer)
    if as_json:
        click.echo(orjson.dumps({"lines": count, **output.counts}))
        return
    click.echo(f"{count:,} lines", err=True)
    for name, records in output.counts.items():
        click.echo(f"{out / name}: {records:,}", err=True)
