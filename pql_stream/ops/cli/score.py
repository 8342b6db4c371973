"""`pql-stream score`: final scores of the events in files."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
import orjson

from pql_stream.core.packs import compile_pack
from pql_stream.ops.cli.plain import plain
from pql_stream.ops.progress import records_with_progress
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.replay.sources.files import Files
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.packs import load_pack

_REJECTED_SHOWN_MAX = 20


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--pack", "pack_name", default="pql-100", show_default=True, help="A shipped pack, or a file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a lead, sorted by lead id.")
def command(files: tuple[str, ...], pack_name: str, *, as_json: bool) -> None:
    """
    Final scores of the events in FILES: JSON lines, plain, gzip or zstd; - is stdin.

    Lines that are no event are refused, counted and listed on stderr; the rest is scored.
    """
    replayer = Replayer(compile_pack(load_pack(pack_name)))
    rejected: list[Rejected] = []
    count = 0
    for record in records_with_progress(Files(files)):
        count += 1
        outcome = replayer.handle(record)
        if isinstance(outcome, Rejected):
            rejected.append(outcome)
    scores = (
        lead_score_fields(lead_id, replayer.states[lead_id], replayer.pack) for lead_id in sorted(replayer.states)
    )
    out = click.get_binary_stream("stdout")
    if as_json:
        for fields in scores:
            out.write(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))
    else:
        _print_table(list(scores))
    out.flush()
    report_rejected(rejected)
    click.echo(f"{count:,} lines, {len(replayer.states):,} leads, {len(rejected):,} refused", err=True)


def report_rejected(rejected: list[Rejected]) -> None:
    """The refused lines on stderr, the first ones singly and all of them by reason."""
    for fault in rejected[:_REJECTED_SHOWN_MAX]:
        click.echo(f"{fault.file}:{fault.line}: {fault.reason}: {fault.detail}".rstrip(": "), err=True)
    if len(rejected) > _REJECTED_SHOWN_MAX:
        more = len(rejected) - _REJECTED_SHOWN_MAX
        click.echo(f"... and {more:,} more; `pql-stream replay` writes them all to rejected.jsonl", err=True)
    for reason, times in sorted(Counter(fault.reason for fault in rejected).items()):
        click.echo(f"refused as {reason}: {times:,}", err=True)


def _print_table(scores: list[dict[str, Any]]) -> None:
    """The best leads first, equal ones by id."""
    if not scores:
        click.echo("no leads")
        return
    groups = list(scores[0]["groups"])
    header = ("lead", "account", "score", "tier", *groups)
    rows = [
        (
            plain(fields["lead_id"]),
            plain(fields["account_id"] or ""),
            f"{fields['score']:g}",
            fields["tier"],
            *(f"{fields['groups'][group]:g}" for group in groups),
        )
        for fields in sorted(scores, key=lambda fields: (-fields["score"], fields["lead_id"]))
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    click.secho(_aligned(header, widths), bold=True)
    for row in rows:
        click.echo(_aligned(row, widths))


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    """Words to the left, numbers (all but lead, account and tier) to the right."""
    return "  ".join(
        cell.ljust(width) if place in {0, 1, 3} else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()
