"""`pql-stream whatif`: what goes where, how it ends, and the demo's numbers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import pql_stream
from pql_stream.errors import InvalidInput, InvalidPack, InvalidSettings
from pql_stream.ops.cli import cli
from pql_stream.ops.whatif.sources import DEMO_FILE, DemoEvents
from pql_stream.replay.sources.files import Files
from pql_stream.testing.simulation import simulate

GOLDEN = Path(__file__).parent / "demo_golden.json"
LINEAR = ("--against", "pql-100-linear")
BOLD = ("--against", "bold.yaml")
EDITS = {
    "pack: pql-100": "pack: pql-bold",
    "{at_least: 20, points: 10}": "{at_least: 20, points: 13}",
    "{basic: 5, advanced: 10}": "{basic: 1, advanced: 10}",
    "silver, from: 75": "silver, from: 66",
    "gold, from: 85": "gold, from: 88",
}
"""What makes of the shipped pack one under which simulated users move, both up and down."""


@pytest.fixture(scope="module")
def activity() -> bytes:
    """What forty simulated users do, and a line that is no event."""
    return b"".join(one.value + b"\n" for one in simulate(40, 3, form="mixed")) + b"no event\n"


@pytest.fixture
def events(tmp_path, monkeypatch, activity) -> str:
    """It as a file in a working directory without a settings file."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "events.jsonl"
    path.write_bytes(activity)
    Path("bold.yaml").write_text(edited(EDITS))
    return str(path)


def edited(edits: dict[str, str]) -> str:
    """The shipped pack with other words here and there."""
    text = (Path(pql_stream.__file__).parent / "packs" / "pql-100.yaml").read_text()
    for before, after in edits.items():
        assert before in text
        text = text.replace(before, after)
    return text


def run(*args):
    return CliRunner().invoke(cli, ["whatif", *map(str, args)], catch_exceptions=False)


def as_json(*args):
    result = run(*args, "--json")
    assert 0 == result.exit_code, result.stderr
    return json.loads(result.stdout)


def test_the_object(events):
    """--json has everything: the books balance, and every lead that changes is there with its rules."""
    told = as_json(events, *BOLD)

    assert [
        "schema", "today", "then", "no_difference", "records", "leads", "matrix", "scores", "rules", "routes", "gates",
        "notes", "changed_leads",
    ] == list(told)  # fmt: skip
    assert ("whatif/1", "pql-100", "pql-bold") == (told["schema"], told["today"]["pack"], told["then"]["pack"])
    assert {"not_json": 1} == told["records"]["rejected"]
    leads = told["leads"]
    assert 40 == leads["total"] == sum(sum(row["then"].values()) for row in told["matrix"])
    assert 0 < leads["changed"] == len(told["changed_leads"])
    for lead in told["changed_leads"]:
        moved = lead["then"]["score"] - lead["today"]["score"]
        assert moved == pytest.approx(sum(rule["difference"] for rule in lead["rules"]))
        assert lead["changed"]
    assert "examples" == told["routes"]["from"]


def test_the_same_input_gives_the_same_bytes(events):
    """Twice, and from the file compressed: not a byte differs, on stdout and in the page."""
    Path("again.jsonl.gz").write_bytes(gzip.compress(Path(events).read_bytes()))
    told = [run(name, *BOLD, "--json", "--html", f"{name}.html").stdout for name in (events, events, "again.jsonl.gz")]

    assert told[0] == told[1] == told[2]
    assert Path(f"{events}.html").read_text() == Path("again.jsonl.gz.html").read_text()


def test_the_text(events):
    """What is today and what is then is said of every number; prose about the input goes to stderr."""
    result = run(events, "--pack", "pql-100", *BOLD)

    assert 0 == result.exit_code
    assert "today (pql-100 v1) against then (pql-bold v1)" in result.stdout
    for title in (
        "Leads by tier",
        "Leads by score",
        "Rules that give other points",
        "What would be sent",
        "Leads that change",
    ):
        assert title in result.stdout
    assert "\x1b" not in result.stdout
    assert "40 leads, 1 refused" in result.stderr
    assert "events.jsonl:" in result.stderr


def test_a_pack_against_itself(events):
    """No difference, exit 0, whatever the gates."""
    result = run(events, "--against", "pql-100", "--max-changed", "0", "--max-new-qualified", "0%")

    assert 0 == result.exit_code
    assert "No difference: today (pql-100 v1) and then (pql-100 v1) say the same of 40 leads." in result.stdout
    assert "Leads by tier" not in result.stdout
    assert as_json(events, "--against", "pql-100")["no_difference"]


def test_a_gate_that_is_not_passed(events):
    """Exit 1 with the reason in one line, behind the whole report and the page."""
    result = run(events, *BOLD, "--max-changed", "0%", "--max-new-qualified", "40", "--json", "--html", "page.html")

    assert 1 == result.exit_code
    changed = json.loads(result.stdout)["leads"]["changed"]
    last = result.stderr.splitlines()[-1]
    assert f"Error: not passed: --max-changed 0%: {changed} of 40 leads change" in last
    assert "--max-new-qualified" not in last
    assert "Gate not passed" in Path("page.html").read_text()


def test_both_gates_in_one_line(events):
    """Two reasons are one line still."""
    result = run(events, *BOLD, "--max-changed", "0", "--max-new-qualified", "0")

    last = result.stderr.splitlines()[-1]
    assert 1 == result.exit_code
    assert "--max-changed 0: " in last
    assert "; --max-new-qualified 0: " in last


def test_a_gate_over_nothing_is_not_passed(events):
    """A file of rubbish would be green for ever."""
    Path("rubbish").write_text("no event\n")
    result = run("rubbish", *BOLD, "--max-changed", "50%")

    assert 1 == result.exit_code
    assert "not one lead" in result.stderr.splitlines()[-1]
    assert 0 == run("rubbish", *BOLD).exit_code


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "give FILE... or --topic or --demo"),
        (("{events}", "--demo"), "not two of them"),
        (("{events}", "--max-changed", "2.5"), "write a number of leads, such as 50, or a share"),
        (("{events}", "--max-new-qualified", "many"), "write a number of leads, such as 50, or a share"),
        (("{events}", "--html", "{events}"), "one of the files of events"),
        (("{events}", "--html", ""), "it is empty; name a file"),
        (("{events}", "--top", "-1"), "--top"),
    ],
    ids=str,
)
def test_wrong_usage(events, args, said):
    """Exit 2 with what to write instead, nothing on stdout, and the events as they were."""
    before = Path(events).read_bytes()
    result = run(*(arg.format(events=events) for arg in args), *BOLD)

    assert (2, "") == (result.exit_code, result.stdout)
    assert said in " ".join(result.stderr.split())
    assert before == Path(events).read_bytes()


def test_what_cannot_be_read_or_written(events):
    """A missing file, a missing pack, a page into nowhere: found before anything is told."""
    with pytest.raises(InvalidInput, match="cannot read nowhere"):
        run(events, "nowhere", *BOLD)
    with pytest.raises(InvalidPack):
        run(events, "--against", "no-such-pack")
    with pytest.raises(InvalidInput, match=r"cannot write nowhere/page\.html"):
        run(events, *BOLD, "--html", "nowhere/page.html")


def test_as_many_leads_as_are_wanted(events):
    """--top cuts what is shown, here and on the page, and never what --json has."""
    whole = as_json(events, *BOLD)["changed_leads"]
    shown = run(events, *BOLD, "--top", "1", "--html", "page.html").stdout

    assert len(whole) > 1
    assert f"what matters most first; the first 1 of {len(whole)}" in shown
    assert whole[0]["lead_id"] in shown.splitlines()[-1]
    assert 1 == Path("page.html").read_text().count('<span class="pill then')
    assert whole == as_json(events, *BOLD, "--top", "1")["changed_leads"]


def test_hostile_ids_do_not_spoil_the_terminal(events):
    """Line breaks and escape sequences in ids are shown escaped."""
    lead = json.dumps("a\n\x1b[2J[bold]b" + "x" * 100)
    Path("hostile").write_text(
        "".join(
            f'{{"event_id": "{number}", "user_id": {lead}, "event": "feature_used", '
            f'"occurred_at": "2026-01-05T10:00:00Z", "properties": {{"feature": "f{number}"}}}}\n'
            for number in range(5)
        )
    )
    Path("low.yaml").write_text(edited({"from: 60": "from: 5"}))
    shown = run("hostile", "--against", "low.yaml").stdout

    assert "a\\n\\x1b[2J[bold]b" in shown
    assert shown.replace("\n", "").isprintable()


def test_two_packs_of_one_name_are_told_of(events):
    """Whoever edits a pack and keeps its version is told so, and the words keep them apart."""
    Path("edited.yaml").write_text(edited({"from: 60": "from: 50"}))
    result = run(events, "--against", "edited.yaml")

    assert "today (pql-100 v1) against then (pql-100 v1)" in result.stdout
    assert "note: both packs are called pql-100 v1 and differ: raise the candidate's version" in result.stdout


SINK = '[sinks.crm]\ntype = "hubspot"\nservice_key = { env = "NOT_SET_HERE" }\n'


def route(where: str, *, name: str = "mine", of: str = "pql-qualified", action: str = "task") -> str:
    return f'[[routes]]\nname = "{name}"\nof = "{of}"\nsink = "crm"\naction = "{action}"\nwhere = {where}\n'


def test_the_routes_of_the_settings_file_without_its_secrets(events):
    """They are asked as they stand; the sinks' secrets need not be there."""
    Path("pql.toml").write_text(SINK + route('{ tier = "silver" }') + route("{}", name="all", of="score-changed"))
    told = as_json(events, *BOLD)

    assert "pql.toml" == told["routes"]["from"]
    by_name = {one["route"]: one["deliveries"] for one in told["routes"]["routes"]}
    assert ["mine", "all"] == list(by_name)
    assert {"today": told["today"]["score_changes"], "then": told["then"]["score_changes"]} == by_name["all"]
    assert "the routes of pql.toml" in run(events, *BOLD).stdout


def test_routes_that_do_not_fit_today_s_pack(events):
    """A tier that it does not have: exit 2 with the place, and a way round."""
    Path("pql.toml").write_text(SINK + route('{ tier = "diamond" }'))
    with pytest.raises(InvalidSettings) as caught:
        run(events, *BOLD)

    assert "routes.mine.where.tier: 'diamond' is not known here" in caught.value.why
    assert "--no-routes" in caught.value.what_to_do
    assert as_json(events, *BOLD, "--no-routes")["routes"] is None
    assert "What would be sent" not in run(events, *BOLD, "--no-routes").stdout


def test_routes_that_do_not_fit_the_candidate_are_told_of(events):
    """A candidate that renames a tier would stop the worker at its start: that is worth a note."""
    Path("pql.toml").write_text(SINK + route('{ tier = "silver" }'))
    Path("renamed.yaml").write_text(edited({"name: silver": "name: argent", "version: 1": "version: 2"}))
    result = run(events, "--against", "renamed.yaml", "--routes")

    assert 0 == result.exit_code
    assert "note: with pql-100 v2 live the settings file would be refused: routes.mine.where.tier" in result.stdout


# --- the demo


def test_the_demo_s_events_are_the_file_that_it_leaves(tmp_path):
    """The same records, by the same numbers, as a comparison of the file reads."""
    path = tmp_path / DEMO_FILE
    from_demo = list(next(DemoEvents().read()).records)
    path.write_bytes(b"".join(record.value + b"\n" for record in from_demo))

    from_file = [record for chunk in Files([str(path)]).read() for record in chunk.records]
    assert from_demo == from_file[: len(from_demo)]
    assert 2_000 == len(from_demo)


def test_the_demo(tmp_path, monkeypatch):
    """What pql-100-linear would do to the demo's leads: the numbers that stand in the README."""
    monkeypatch.chdir(tmp_path)
    told = as_json("--demo", *LINEAR)

    golden = GOLDEN.read_text()
    assert golden == json.dumps(told, indent=1, ensure_ascii=False) + "\n"
