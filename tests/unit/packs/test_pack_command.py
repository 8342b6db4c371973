"""`pql-stream pack`: data on stdout, 2 for a pack that is wrong, no colour where nobody looks."""

import json
import os
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pql_stream.errors import InvalidPack
from pql_stream.ops.cli import main
from pql_stream.ops.cli.pack import command
from pql_stream.wire.packs import dump_pack, load_pack, parse_pack

TEXT = (files("pql_stream") / "packs" / "pql-100.yaml").read_text(encoding="utf-8")


def run(*args: str) -> Result:
    return CliRunner().invoke(command, args, catch_exceptions=False)


@pytest.fixture
def good(tmp_path) -> str:
    path = tmp_path / "good.yaml"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture
def bad(tmp_path) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(TEXT.replace("at_most: 50", "at_most: 49").replace("from: 60", "from: sixty"))
    return str(path)


def test_list_names_the_shipped_packs():
    """One line each, with version and title."""
    header, *lines = run("list").stdout.splitlines()

    assert ["pack", "version", "rules", "title"] == header.split()
    assert ["pql-100", "pql-100-linear"] == [line.split()[0] for line in lines]


def test_list_as_json_is_one_object_a_pack():
    """For programs: the same as objects."""
    packs = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]

    assert [("pql-100", 1), ("pql-100-linear", 1)] == [(pack["pack"], pack["version"]) for pack in packs]
    assert {"pack", "version", "title"} == set(packs[0])


@pytest.mark.parametrize(
    "part",
    [
        "pql-100 version 1: Product-qualified lead",
        ">=3: 5, >=5: 10, >=7: 15",
        "<3,600: 15, <86,400: 10, <604,800: 5",
        ">0: 5, >=10,000,000: 10",
        "basic: 5, advanced: 10",
        "2 for each of community_posts",
        "5 once it has happened",
        "cybersecurity: 5",
        "immediate  yes",
        "distinct, at most 50",
        "community post, feature requested",
        "Shown to sales: team_size, industry, segment, company_revenue_usd",
    ],
)
def test_show_says_what_a_pack_says(part):
    """Bands, words, times, tiers and features in words."""
    shown = run("show", "pql-100").stdout

    assert part in shown


def test_show_has_every_name_and_no_colour():
    """No rule, feature or tier is left out; escape codes are for terminals."""
    shown = run("show", "pql-100").stdout
    plain = dump_pack(load_pack("pql-100"))

    names = [*plain["rules"], *plain["features"], *(tier["name"] for tier in plain["tiers"])]
    assert [] == [name for name in names if name not in shown]
    assert "\x1b" not in shown


def test_show_takes_the_words_of_a_pack_as_they_are(tmp_path):
    """Square brackets and colons of a title or a word are not read as markup; no profile, no line about it."""
    path = tmp_path / "odd.yaml"
    text = TEXT.replace("{enterprise: 10}", "{'[red]big[/red] :smile:': 10}").split("\nprofile:")[0]
    path.write_text(text.replace("title: Product-q", "title: '[bold]x'  # "))

    shown = run("show", str(path)).stdout

    assert "[red]big[/red] :smile:: 10" in shown
    assert "pql-100 version 1: [bold]x" in shown
    assert "Shown to sales" not in shown


@pytest.mark.parametrize("name", ["pql-100", "pql-100-linear"])
def test_show_as_json_is_a_pack_again(name):
    """What is printed can be saved, edited and used."""
    assert load_pack(name) == parse_pack(run("show", name, "--json").stdout, name)


def test_show_of_a_pack_that_is_not_there_is_told_by_main(capsys):
    """The error goes to `main`, which prints what, why and what to do on stderr, and ends with 2."""
    with pytest.raises(SystemExit) as caught:
        main(["pack", "show", "pql-10"])

    captured = capsys.readouterr()
    assert (2, "") == (caught.value.code, captured.out)
    assert "did you mean `pql-100`?" in captured.err


def test_check_says_fine(good):
    """A pack without problems is one line, and 0."""
    result = run("check", good)

    assert (0, f"{good}: fine: pql-100 version 1, 9 rules, 13 features\n") == (result.exit_code, result.stdout)


def test_check_prints_every_problem_by_file_and_line(good, bad):
    """All files are looked at; editors find FILE:LINE; one bad pack makes it 2."""
    result = run("check", bad, good)

    first, second, third = result.stdout.splitlines()
    line = TEXT[: TEXT.index("at_most: 50")].count("\n") + 1
    assert f"{bad}:{line}: features.successful_runs.at_most: 49: counting stops" in first
    assert ": tiers[1].from: `sixty`: write points from 0" in second
    assert third.startswith(f"{good}: fine: ")
    assert 2 == result.exit_code


def test_check_as_json_is_one_object_a_file(good, bad):
    """For programs: file, fine, pack and version, problems with line, path and message."""
    result = run("check", good, bad, "--json")

    fine, wrong = (json.loads(line) for line in result.stdout.splitlines())
    assert {"file": good, "fine": True, "pack": "pql-100", "version": 1, "problems": []} == fine
    assert (bad, False, None) == (wrong["file"], wrong["fine"], wrong["pack"])
    with pytest.raises(InvalidPack) as caught:
        load_pack(bad)
    expected = [{"line": p.line, "path": p.path, "message": p.message} for p in caught.value.problems]
    assert expected == wrong["problems"]
    assert 2 == result.exit_code


def test_check_takes_the_name_of_a_shipped_pack(tmp_path, monkeypatch):
    """The hint of a file that is not there names the shipped packs, so they can be checked; a file goes before them."""
    monkeypatch.chdir(tmp_path)
    result = run("check", "pql-100")
    (tmp_path / "pql-100").write_text("")

    assert (0, "pql-100: fine: pql-100 version 1, 9 rules, 13 features\n") == (result.exit_code, result.stdout)
    assert 2 == run("check", "pql-100").exit_code


def test_check_of_a_file_that_is_not_there_has_no_line(tmp_path):
    """Where there is no line, none is printed."""
    path = str(tmp_path / "gone.yaml")

    result = run("check", path)

    assert (2, f"{path}: file: cannot be read: No such file or directory") == (
        result.exit_code,
        result.stdout.split(";")[0],
    )


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_check_of_a_file_whose_name_is_not_utf8(tmp_path, options):
    """A strange file name is shown with replaced characters, and the pack in it is read."""
    path = tmp_path / os.fsdecode(b"\xff.yaml")
    path.write_text(TEXT)

    result = run("check", str(path), *options)

    assert 0 == result.exit_code
    assert "\ufffd.yaml" in result.stdout


@pytest.mark.parametrize("args", [["check"], ["show"], ["show", "a", "b"]])
def test_missing_and_extra_arguments_are_wrong_usage(args):
    """2, and a word about it on stderr."""
    result = run(*args)

    assert (2, "") == (result.exit_code, result.stdout)
    assert "Usage:" in result.stderr


def test_the_shipped_files_are_fine():
    """What we ship passes the check that we ask others to run."""
    packs = sorted(str(path) for path in Path(str(files("pql_stream"))).glob("packs/*.yaml"))

    assert (0, len(packs)) == (run("check", *packs).exit_code, 2)
