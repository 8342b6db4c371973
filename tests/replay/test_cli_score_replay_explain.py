"""`score`, `replay` and `explain` over files: what goes where, and how they end."""

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from pql_stream.ops.cli import main
from pql_stream.testing.builders import JAN_5_MS, native_json

FIELDS = [
    "lead_id", "account_id", "pack", "pack_version", "score", "tier", "groups", "contributions",
    "first_seen_at", "last_seen_at",
]  # fmt: skip
EVENTS = b"".join(
    event + b"\n"
    for event in (
        native_json("tutorial_completed", "u2", event_id="e1"),
        b"not json",
        b"",
        native_json("identify", "u10", event_id="e2", team_size=6, account_id="acme"),
        native_json("else", "u1", event_id="e3"),
        b'{"event_id": "e4"}',
    )
)


class Ended(NamedTuple):
    code: int
    stdout: bytes
    stderr: str


@pytest.fixture
def pql(capsysbinary, monkeypatch):
    """A function that runs the command line in this process."""

    def run(*args: str | int | Path, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        out, err = capsysbinary.readouterr()
        return Ended(ended.value.code or 0, out, err.decode())

    return run


@pytest.fixture
def events(tmp_path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(EVENTS)
    return path


def objects(lines: bytes) -> list[dict]:
    return [orjson.loads(line) for line in lines.splitlines()]


def files_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


# --- score ---


def test_score_json(pql, events):
    """One object a lead on stdout, sorted by lead id, with the fields of CONTRACT.md 8; prose on stderr."""
    ended = pql("score", events, "--json")

    assert 0 == ended.code
    leads = objects(ended.stdout)
    assert ["u1", "u10", "u2"] == [lead["lead_id"] for lead in leads]
    assert [FIELDS] * 3 == [list(lead) for lead in leads]
    assert [0, 10, 5] == [lead["score"] for lead in leads]
    for lead in leads:
        assert lead["score"] == sum(part["points"] for part in lead["contributions"])
        assert lead["score"] == sum(lead["groups"].values())
    assert {"event_id": "e2", "topic": "events.jsonl", "partition": 0, "offset": 4} == next(
        part["moved_by"] for part in leads[1]["contributions"] if part["rule"] == "team_size"
    )


def test_score_lists_what_it_refuses(pql, events):
    """Refused lines cost nothing else: exit 0, each by file, line and reason on stderr, and the counts."""
    ended = pql("score", events, "--json")

    assert "events.jsonl:2: not_json: " in ended.stderr
    assert "events.jsonl:6: missing_field: " in ended.stderr
    assert "refused as not_json: 1\n" in ended.stderr
    assert "5 lines, 3 leads, 2 refused\n" in ended.stderr


def test_score_lists_the_first_of_many_refusals(pql, tmp_path):
    """A file of rubbish does not flood the terminal: the first twenty, how many more, and all by reason."""
    path = tmp_path / "rubbish"
    path.write_bytes(b"x\n" * 23)
    ended = pql("score", path)

    assert (0, b"no leads\n") == ended[:2]
    assert 20 == ended.stderr.count("rubbish:")
    assert "... and 3 more" in ended.stderr
    assert "refused as not_json: 23\n" in ended.stderr


def test_score_table(pql, events):
    """Without --json a table, the best lead first, with its account, tier and groups."""
    lines = pql("score", events).stdout.decode().splitlines()

    assert ["lead", "account", "score", "tier", "usage", "engagement", "business"] == lines[0].split()
    assert [
        ["u10", "acme", "10", "unqualified", "0", "0", "10"],
        ["u2", "5", "unqualified", "0", "5", "0"],
        ["u1", "0", "unqualified", "0", "0", "0"],
    ] == [line.split() for line in lines[1:]]


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_score_reads_standard_input(pql, events, compress):
    """`-` gives the same leads as the file, but for the file's name."""
    from_file = pql("score", events, "--json").stdout

    ended = pql("score", "-", "--json", stdin=compress(EVENTS))
    assert (0, from_file.replace(b"events.jsonl", b"-")) == ended[:2]


def test_several_files_are_one_stream(pql, tmp_path):
    """The files are read one after the other; events and leads may be spread over them."""
    lines = [native_json("feature_used", event_id=f"e{n}", feature=f"f{n}") + b"\n" for n in range(3)]
    for name, content in (("a", lines[0]), ("b.gz", gzip.compress(lines[1])), ("c", lines[2])):
        (tmp_path / name).write_bytes(content)

    (lead,) = objects(pql("score", *(tmp_path / name for name in ("a", "b.gz", "c")), "--json").stdout)
    assert (5, 3) == (lead["score"], lead["contributions"][0]["input"])
    assert {"event_id": "e2", "topic": "c", "partition": 0, "offset": 1} == lead["contributions"][0]["moved_by"]


def test_ids_cannot_spoil_what_people_are_shown(pql, tmp_path):
    """Line breaks and escape sequences in ids are shown escaped: a lead stays one line, and the terminal as it is."""
    path = tmp_path / "events"
    facts = {"team_size": 6, "industry": "te\x1bch"}
    path.write_bytes(native_json("identify", "a\n\x1b[2Jb", event_id="e\x001", account_id="c\td", **facts))

    table = pql("score", path).stdout.decode().splitlines()
    assert [["a\\n\\x1b[2Jb", "c\\td", "10"]] == [line.split()[:3] for line in table[1:]]
    explained = pql("explain", "a\n\x1b[2Jb", path).stdout.decode()
    assert "a\\n\\x1b[2Jb of c\\td: 10 points" in explained
    assert "by e\\x001 at" in explained
    assert "industry te\\x1bch" in explained
    assert explained.replace("\n", "").isprintable()


def test_score_with_another_pack(pql, tmp_path):
    """--pack chooses the rules, and the lead says by which it was scored."""
    path = tmp_path / "events"
    path.write_bytes(native_json("feature_used", feature="f1"))

    (lead,) = objects(pql("score", path, "--json", "--pack", "pql-100-linear").stdout)
    assert ("pql-100-linear", 2.14) == (lead["pack"], lead["score"])


def test_a_line_of_a_mebibyte_is_an_event_and_one_byte_more_is_not(pql, tmp_path):
    """The limit of CONTRACT.md 2, without the line end."""
    event = native_json("tutorial_completed")
    longest = event + b" " * (1024 * 1024 - len(event))
    path = tmp_path / "events"
    path.write_bytes(longest + b"\r\n" + longest + b" \r\n")
    ended = pql("score", path, "--json")

    assert [5] == [lead["score"] for lead in objects(ended.stdout)]
    assert "events:2: too_large: " in ended.stderr
    assert "2 lines, 1 leads, 1 refused" in ended.stderr


# --- replay ---


def test_replay_writes_four_files(pql, events, tmp_path):
    """Nothing on stdout; the counts on stderr; the records, the scores of `score --json`, and what was refused."""
    out = tmp_path / "out"
    ended = pql("replay", events, "--out", out)

    assert (0, b"") == ended[:2]
    written = files_in(out)
    assert {"score-changed.jsonl", "pql-qualified.jsonl", "scores.jsonl", "rejected.jsonl"} == set(written)
    assert pql("score", events, "--json").stdout == written["scores.jsonl"]
    assert [("events.jsonl", 2, "not_json"), ("events.jsonl", 6, "missing_field")] == [
        (fault["file"], fault["line"], fault["reason"]) for fault in objects(written["rejected.jsonl"])
    ]
    assert [["file", "line", "reason", "detail"]] * 2 == [list(fault) for fault in objects(written["rejected.jsonl"])]
    assert [("u2", 1, 1), ("u10", 1, 4)] == [
        (change["lead_id"], change["sequence"], change["cause"]["offset"])
        for change in objects(written["score-changed.jsonl"])
    ]
    assert f"{out}/score-changed.jsonl: 2\n" in ended.stderr


def test_replay_json(pql, events, tmp_path):
    """--json: the counts as one object, by file."""
    ended = pql("replay", events, "--out", tmp_path / "out", "--json")

    assert {
        "lines": 5,
        "score-changed.jsonl": 2,
        "pql-qualified.jsonl": 0,
        "scores.jsonl": 3,
        "rejected.jsonl": 2,
    } == orjson.loads(ended.stdout)


def test_a_second_replay_writes_the_same_bytes(pql, tmp_path):
    """The same input gives the same files, byte for byte, ids and all."""
    path = tmp_path / "simulated"
    path.write_bytes(pql("simulate", "--leads", "10", "--form", "mixed").stdout)
    for name in ("one", "two"):
        assert 0 == pql("replay", path, "--out", tmp_path / name).code

    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    assert files_in(tmp_path / "one")["pql-qualified.jsonl"]


def test_replay_in_processes(pql, tmp_path):
    """--processes changes nothing but who does it: the files have the same bytes."""
    path = tmp_path / "simulated"
    path.write_bytes(pql("simulate", "--leads", "10", "--form", "mixed").stdout)
    for count in (1, 2):
        assert 0 == pql("replay", path, "--out", tmp_path / str(count), "--processes", count).code

    assert files_in(tmp_path / "1") == files_in(tmp_path / "2")


def test_replay_of_standard_input(pql, events, tmp_path):
    """A pipe is read by one process, whatever is asked for."""
    pql("replay", events, "--out", tmp_path / "file")
    ended = pql("replay", "-", "--out", tmp_path / "pipe", "--processes", 2, stdin=EVENTS)

    assert (0, b"") == ended[:2]
    assert {name: content.replace(b"events.jsonl", b"-") for name, content in files_in(tmp_path / "file").items()} == (
        files_in(tmp_path / "pipe")
    )


LATE = native_json("tutorial_completed", "u1", event_id="e1", occurred_at_ms=JAN_5_MS)[:-1] + b', "received_at": %d}'
CUT_AFTER = JAN_5_MS + 1_000


@pytest.mark.parametrize(
    ("cut", "score"),
    [
        ([], 5),
        (["--at", JAN_5_MS], 5),
        (["--at", "2026-01-05T11:00:00.000+01:00"], 5),
        (["--at", JAN_5_MS - 1], None),
        (["--as-of", JAN_5_MS], None),
        (["--as-of", CUT_AFTER], 5),
        (["--as-of", CUT_AFTER, "--at", JAN_5_MS - 1], None),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_replay_of_a_past_time(pql, tmp_path, cut, score):
    """An event that arrived a second late: known of its time now, and not known then. What is left out is counted."""
    path = tmp_path / "events"
    path.write_bytes(LATE % CUT_AFTER)
    ended = pql("replay", path, "--out", tmp_path / "out", "--json", *cut)

    scores = [lead["score"] for lead in objects(files_in(tmp_path / "out")["scores.jsonl"])]
    assert ([] if score is None else [score]) == scores
    counts = orjson.loads(ended.stdout)
    assert (1, (score is None) * 1 if cut else None) == (counts["lines"], counts.get("left_out"))


def test_replay_says_how_much_a_cut_leaves_out(pql, events, tmp_path):
    """In prose as well."""
    ended = pql("replay", events, "--out", tmp_path / "out", "--at", JAN_5_MS - 1)

    assert "5 lines, 3 left out by --as-of or --at\n" in ended.stderr


def test_replay_as_of_where_events_do_not_say_when_they_arrived(pql, events, tmp_path):
    """Exit 1 with what, why and what to do; nothing is left."""
    ended = pql("replay", events, "--out", tmp_path / "out", "--as-of", JAN_5_MS)

    assert (1, b"", 3) == (ended.code, ended.stdout, len(ended.stderr.splitlines()))
    assert "Error: when events.jsonl:1 arrived is not known" == ended.stderr.splitlines()[0]
    assert {} == files_in(tmp_path / "out")


def test_a_file_whose_name_is_no_text(pql, tmp_path):
    """A name that is no UTF-8 is no reason to fail: its lines are replayed under a name that is."""
    path = tmp_path / os.fsdecode(b"\xff.jsonl")
    path.write_bytes(EVENTS)

    assert 0 == pql("replay", path, "--out", tmp_path / "out").code
    assert {"\\udcff.jsonl"} == {fault["file"] for fault in objects((tmp_path / "out/rejected.jsonl").read_bytes())}


# --- explain ---


def test_explain_json(pql, events):
    """The object that `score --json` has for the lead."""
    expected = [line for line in pql("score", events, "--json").stdout.splitlines() if b'"u10"' in line]

    ended = pql("explain", "u10", events, "--json")
    assert (0, expected) == (ended.code, ended.stdout.splitlines())


def test_explain(pql, events):
    """Score, tier, and a line a rule: its points, its input, and the event that last moved it."""
    lines = pql("explain", "u10", events).stdout.decode().splitlines()

    assert "u10 of acme: 10 points, unqualified (pql-100 version 1)" == lines[0]
    assert "seen from 2026-01-05T10:00:00.000Z to 2026-01-05T10:00:00.000Z" == lines[1]
    assert ["team_size", "10/10", "6", "by", "e2", "at", "events.jsonl-0@4"] == lines[8].split()
    assert ["time_to_first_value", "0/15", "unknown"] == lines[5].split()
    assert "community_posts 0, feature_requests 0" in lines[6]
    assert ["documentation", "0/5", "false"] == lines[7].split()


def test_explain_a_lead_without_account(pql, events):
    """Nothing is said of an account that is not known."""

    assert pql("explain", "u2", events).stdout.startswith(b"u2: 5 points, unqualified")


def test_explain_an_unknown_lead(pql, events):
    """No event names it: exit 1, and three lines of what, why and what to do."""
    ended = pql("explain", "nobody", events)

    assert (1, b"", 3) == (ended.code, ended.stdout, len(ended.stderr.splitlines()))
    assert "no lead nobody" in ended.stderr
    assert "2 lines are refused" in ended.stderr


def test_explain_lists_what_it_refuses(pql, events):
    """What is refused may be what the lead lacks: it is counted and listed as by `score`, on stderr."""
    refused = pql("score", events).stderr.splitlines()[:-1]

    assert refused == pql("explain", "u10", events).stderr.splitlines()
    assert 4 == len(refused)


# --- how they end ---


def not_there(path: Path) -> None:
    pass


def a_directory(path: Path) -> None:
    path.mkdir()


def broken_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(EVENTS * 100)[:-20])


COMMANDS = (["score"], ["score", "--json"], ["explain", "u1"], ["replay", "--out"])


@pytest.mark.parametrize("make", [not_there, a_directory, broken_gzip])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_that_cannot_be_read(pql, events, tmp_path, command, make):
    """Exit 1 with what, why and what to do; no traceback, no data on stdout, no file left behind."""
    bad, out = tmp_path / "bad", tmp_path / "out"
    make(bad)
    ended = pql(*command, *([out] if "--out" in command else []), events, bad)

    assert (1, b"") == ended[:2]
    assert [f"Error: cannot read {bad}"] == ended.stderr.splitlines()[:1]
    assert 3 == len(ended.stderr.splitlines())
    assert {} == (files_in(out) if out.exists() else {})


def test_a_file_that_is_not_there_is_found_before_the_others_are_read(pql, tmp_path):
    """A typo in the last name costs no minutes of work: standard input is not touched."""
    ended = pql("score", "-", tmp_path / "typo", stdin=EVENTS)

    assert (1, b"") == ended[:2]
    assert EVENTS == sys.stdin.buffer.read()


@pytest.mark.parametrize(
    "args",
    [
        ["score"],
        ["score", "{events}", "--pack", "no-such-pack"],
        ["score", "{events}", "--no-such-flag"],
        ["replay", "{events}"],
        ["replay", "--out", "{out}"],
        ["replay", "{events}", "--out", "{events}"],
        ["replay", "{events}", "--out", "{out}", "--pack", "no-such-pack"],
        ["replay", "{events}", "--out", "{out}", "--at", "2026-01-05T10:00:00"],
        ["replay", "{events}", "--out", "{out}", "--as-of", "5"],
        ["replay", "{events}", "--out", "{out}", "--as-of", "0001-01-01T00:00:00Z"],
        ["replay", "{events}", "--out", "{out}", "--at", "9" * 5_000],
        ["replay", "{events}", "--out", "{out}", "--processes", "0"],
        ["explain"],
        ["explain", "u1", "{events}", "--pack", "no-such-pack"],
        ["no-such-command"],
    ],
    ids=lambda args: " ".join(args)[:60],
)
def test_wrong_usage(pql, events, tmp_path, args):
    """A missing argument, an unknown flag, command or pack: exit 2, nothing on stdout, nothing written."""
    ended = pql(*(arg.format(events=events, out=tmp_path / "out") for arg in args))

    assert (2, b"") == ended[:2]
    assert ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["scores.jsonl", "rejected.parquet"])
def test_events_are_not_written_over(pql, events, tmp_path, name):
    """A file that is to be read lies where a result goes: exit 2, and it is as it was."""
    (tmp_path / name).hardlink_to(events)
    ended = pql("replay", events, "--out", tmp_path)

    assert (2, b"") == ended[:2]
    assert "would write over" in ended.stderr
    assert EVENTS == (tmp_path / name).read_bytes()


def test_an_output_directory_without_a_name(pql, events, tmp_path, monkeypatch):
    """A variable of the user's script that is not set: exit 2, and the working directory is as it was."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    ended = pql("replay", events, "--out", "")

    assert (2, b"") == ended[:2]
    assert "it is empty; name a directory" in ended.stderr
    assert before == sorted(tmp_path.iterdir())


def test_an_output_directory_that_cannot_be_made(pql, events):
    """A file in the way of --out: exit 1 with what, why and what to do."""
    ended = pql("replay", events, "--out", events / "sub")

    assert (1, b"", 3) == (ended.code, ended.stdout, len(ended.stderr.splitlines()))
    assert "cannot write to" in ended.stderr


def test_as_a_process(tmp_path):
    """`python -m pql_stream score` in a pipe: data on stdout, prose on stderr, exit 0; no Faust is imported."""
    lines = b"".join(native_json("else", event_id=f"e{n}", occurred_at_ms=JAN_5_MS + n) + b"\n" for n in range(5_001))
    path = tmp_path / "many"
    path.write_bytes(lines)
    read_end, write_end = os.pipe()
    # Process substitution: more lines than are read between two looks at how far the file is read.
    with subprocess.Popen(["cat", path], stdout=write_end):
        os.close(write_end)
        ended = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "pql_stream", "score", f"/dev/fd/{read_end}", "--json"],
            capture_output=True,
            pass_fds=[read_end],
            check=False,
        )
    os.close(read_end)

    assert 0 == ended.returncode, ended.stderr
    assert ["u1"] == [lead["lead_id"] for lead in objects(ended.stdout)]
    assert b"5,001 lines, 1 leads, 0 refused\n" in ended.stderr
    assert b"faust" not in ended.stderr
