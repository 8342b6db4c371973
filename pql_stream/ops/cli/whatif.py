"""`pql-stream whatif`: what another pack would make of recorded events."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pql_stream.core.packs import compile_pack
from pql_stream.errors import InvalidInput
from pql_stream.ops.cli.path_option import NewPath
from pql_stream.ops.cli.score import report_refusals
from pql_stream.ops.progress import chunks_with_progress
from pql_stream.ops.replaying.options import AskedSource, source_options
from pql_stream.ops.settings import load_settings
from pql_stream.ops.whatif.as_json import json_chunks
from pql_stream.ops.whatif.page import PAGE_LEADS, is_written_through, page, write_page
from pql_stream.ops.whatif.routes import find_routes
from pql_stream.ops.whatif.sources import DemoEvents
from pql_stream.ops.whatif.terminal import print_report
from pql_stream.ops.whatif.words import counted, gate_sentence
from pql_stream.replay.whatif.comparing import Comparison
from pql_stream.replay.whatif.gates import Limit, parse_limit
from pql_stream.replay.whatif.report import Report, report_of
from pql_stream.wire.packs import load_pack

EXIT_FAILED = 1
TERMINAL_LEADS = 20


class LimitType(click.ParamType):
    """A limit of a gate."""

    name = "LIMIT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        """
        What click calls with the text of the flag.

        Raises:
            click.BadParameter: it is no limit.
        """
        try:
            return value if isinstance(value, Limit) else parse_limit(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@click.command()
@source_options(needed=False)
@click.option("--demo", is_flag=True, help="The events of `pql-stream demo`, in place of FILE or --topic.")
@click.option("--pack", "today_name", help="The pack that is live today; without it, PQL_PACK's.")
@click.option("--against", "then_name", required=True, help="The candidate. Both: a shipped pack, or a file.")
@click.option("--routes/--no-routes", "with_routes", default=True, help="Count what each route would send (default).")
@click.option(
    "--top", type=click.IntRange(0, 10_000), help=f"Leads shown; without it {TERMINAL_LEADS}, {PAGE_LEADS} on the page."
)
@click.option("--html", "html_file", type=NewPath(directory=False), help="Write the report as a page.")
@click.option("--max-changed", type=LimitType(), help="Exit 1 if more leads change: 50, or 2%.")
@click.option("--max-new-qualified", type=LimitType(), help="Exit 1 if more leads qualify that do not today.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object, with every lead that changes.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    asked: AskedSource,
    today_name: str | None,
    then_name: str,
    top: int | None,
    html_file: Path | None,
    max_changed: Limit | None,
    max_new_qualified: Limit | None,
    demo: bool,
    with_routes: bool,
    as_json: bool,
) -> None:
    """
    Who would be treated otherwise if the pack of --against were live in place of that of --pack.

    Both packs score the recorded events, each as if it had been live from the first of them on. Told are the leads
    whose tier, hand-off class, readiness for sales or qualifications differ, with the rules that cause it, and what
    each route would send. Reaches no broker and no destination, and needs no secret of theirs.
    """
    if asked.is_empty != demo:
        raise click.UsageError(
            "give FILE... or --topic or --demo" if not demo else "give FILE... or --topic or --demo, not two of them"
        )
    # Where nothing of the settings is asked for they may be broken.
    today, then = load_pack(today_name or load_settings().pack), load_pack(then_name)
    routes = find_routes(load_settings(), today, then) if with_routes else None
    if html_file is not None:
        _check_page(html_file, asked.files)
    comparison = Comparison(compile_pack(today), compile_pack(then), () if routes is None else routes.routes)
    for records in chunks_with_progress(DemoEvents() if demo else asked.source()):
        comparison.take_all(records)
    report = report_of(comparison, routes, max_changed=max_changed, max_new_qualified=max_new_qualified)
    if html_file is not None:
        write_page(html_file, page(report, report.leads.first(PAGE_LEADS if top is None else top)))
        click.echo(f"the page: {click.format_filename(html_file)}", err=True)
    _show(report, top, as_json=as_json)
    if missed := [gate_sentence(gate, report.totals.leads) for gate in report.gates if not gate.passed]:
        click.echo(f"Error: not passed: {'; '.join(missed)}", err=True)
        ctx.exit(EXIT_FAILED)


def _show(report: Report, top: int | None, *, as_json: bool) -> None:
    if as_json:
        out = click.get_binary_stream("stdout")
        for chunk in json_chunks(report):
            out.write(chunk)
        out.flush()
    else:
        print_report(report, report.leads.first(TERMINAL_LEADS if top is None else top))
    tally = report.tally
    report_refusals(tally.first_rejected, tally.rejected)
    skipped = f", {tally.skipped:,} skipped" if tally.skipped else ""
    told = f"{counted(tally.accepted, 'event')}, {counted(report.totals.leads, 'lead')}"
    click.echo(f"{told}, {tally.rejected.total():,} refused{skipped}", err=True)


def _check_page(path: Path, files: tuple[str, ...]) -> None:
    """Find out before the events are read: a typo costs no minutes, and the events are not written over."""
    if any(path.exists() and Path(file).exists() and path.samefile(file) for file in files):
        raise click.UsageError(f"--html {path} is one of the files of events; name another")
    if not os.access(path.parent, os.W_OK) and not is_written_through(path):
        raise InvalidInput(
            f"cannot write {path}",
            why="its directory is not there, or is not writable",
            what_to_do="name another --html file",
        )
