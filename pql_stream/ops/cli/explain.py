"""`pql-stream explain`: why a lead has the score it has."""

from __future__ import annotations

from typing import Any

import click
import orjson
from msgspec.structs import replace

from pql_stream.core.packs import CompiledPack, PackId, compile_pack
from pql_stream.core.states import LeadState
from pql_stream.errors import PqlError
from pql_stream.ops.changelog import Newest, newest_row
from pql_stream.ops.cli.plain import plain
from pql_stream.ops.cli.score import report_rejected
from pql_stream.ops.control import read_control
from pql_stream.ops.progress import records_with_progress
from pql_stream.ops.rosters import load_roster
from pql_stream.ops.settings import Settings, load_settings
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.replay.sources.files import Files
from pql_stream.stream.names import LEADS_CHANGELOG, prefixed
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.packs import load_pack
from pql_stream.wire.shared_rows import load_lead


@click.command()
@click.argument("lead_id", metavar="LEAD")
@click.argument("files", nargs=-1, metavar="[FILE...]")
@click.option("--pack", "pack_name", help="A shipped pack, or a file; without it the live one, from files PQL_PACK's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as `score --json` has it.")
def command(lead_id: str, files: tuple[str, ...], pack_name: str | None, *, as_json: bool) -> None:
    """
    The score of LEAD: every rule's points, its input, and the event that last moved it.

    From the events in FILES, or without any from the running cluster's state.
    """
    if files:
        # With both given there is nothing to ask the settings for, so they may be broken.
        pack = compile_pack(load_pack(pack_name or load_settings().pack))
        state, rejected = _from_files(lead_id, files, pack)
        refused = f"; {len(rejected):,} lines are refused, `pql-stream score` lists them" if rejected else ""
        why = f"no accepted event in the files names it{refused}"
    else:
        settings = load_settings()
        pack = compile_pack(load_pack(pack_name or settings.pack))
        rejected = []
        topic = prefixed(LEADS_CHANGELOG, settings.topic_prefix)
        row = newest_row(settings.kafka_client_config(), topic, lead_id)
        pack, state = _from_row(row, settings, pack_name)
        why = f"{topic} has no row of it"
    if state is None:
        raise PqlError(
            f"there is no lead {lead_id}",
            why=why,
            what_to_do="lead ids are compared exactly; a lead known by an anonymous id only is anon:<id>",
        )
    fields = lead_score_fields(lead_id, state, pack)
    if state.incomplete:
        click.echo(f"some features of {pack.id} were not kept since the lead's first event", err=True)
    if as_json:
        click.echo(orjson.dumps(fields))
    else:
        _print(fields)
    report_rejected(rejected)


def _from_row(newest: Newest, settings: Settings, pack_name: str | None) -> tuple[CompiledPack, LeadState | None]:
    """
    The pack that is asked for, else the one that is live on the lead's partition, and the lead as it sees it.

    Raises:
        InvalidState: the row is of a pack that no setting names.
    """
    roster = load_roster(settings, [pack_name] if pack_name else [])
    if pack_name:
        wanted = load_pack(pack_name)
        live: PackId | None = PackId(wanted.name, wanted.version)
    else:
        live = read_control(settings.kafka_client_config(), settings.topic_prefix).live(newest.partition)
    lineup = roster.led_by(live or roster.first.live.id) or roster.first
    pack = lineup.live
    if newest.value is None:
        return pack, None
    state = load_lead(newest.value, lineup)
    return pack, replace(state, incomplete=state.incomplete & lineup.needs[0])


def _from_files(lead_id: str, files: tuple[str, ...], pack: CompiledPack) -> tuple[LeadState | None, list[Rejected]]:
    """The lead as the files leave it, None if they do not name it; and what of them is refused."""
    replayer = Replayer(pack)
    outcomes = map(replayer.handle, records_with_progress(Files(files)))
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    return replayer.states.get(lead_id), rejected


def _print(fields: dict[str, Any]) -> None:
    account = f" of {plain(fields['account_id'])}" if fields["account_id"] else ""
    click.echo(
        f"{plain(fields['lead_id'])}{account}: {fields['score']:g} points, {fields['tier']} "
        f"({fields['pack']} version {fields['pack_version']})"
    )
    click.echo(f"seen from {fields['first_seen_at']} to {fields['last_seen_at']}")
    parts = fields["contributions"]
    rule_width = max(len(part["rule"]) for part in parts)
    inputs = [_input(part["input"]) for part in parts]
    input_width = max(map(len, inputs))
    for part, shown in zip(parts, inputs, strict=True):
        points = f"{part['points']:g}/{part['points_max']:g}"
        cells = (f"{part['rule']:<{rule_width}}", f"{points:>8}", f"{shown:<{input_width}}")
        click.echo(f"  {'  '.join((*cells, _moved_by(part['moved_by'])))}".rstrip())


def _input(value: Any) -> str:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict):
        return ", ".join(f"{name} {_input(part)}" for name, part in value.items())
    if value is None:
        return "unknown"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value).lower() if isinstance(value, bool) else plain(str(value))


def _moved_by(ref: dict[str, Any] | None) -> str:
    return "" if ref is None else f"by {plain(ref['event_id'])} at {ref['topic']}-{ref['partition']}@{ref['offset']}"
