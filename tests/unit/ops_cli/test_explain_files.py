"""`pql-stream explain` from files of events."""

import json

import pytest
from click.testing import CliRunner

from pql_stream.errors import InvalidSettings, PqlError
from pql_stream.ops.cli import cli

EVENTS = [
    {"event_id": "e1", "event": "trial_created", "occurred_at": "2026-01-05T10:00:00Z"},
    {"event_id": "e2", "event": "workflow_completed", "occurred_at": "2026-01-05T10:30:00Z"},
    {"event_id": "e3", "event": "feature_used", "occurred_at": "2026-01-05T11:00:00Z", "properties": {"feature": "a"}},
    {
        "event_id": "e4",
        "event": "compliance_level_changed",
        "occurred_at": "2026-01-05T12:00:00Z",
        "properties": {"level": "advanced"},
    },
]


@pytest.fixture
def files(tmp_path):
    """Two files: the lead's events in the one, another's in the other."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text("".join(json.dumps({"user_id": "u1", "account_id": "acme", **event}) + "\n" for event in EVENTS))
    second.write_text(json.dumps({"anonymous_id": "x", **EVENTS[0]}) + "\n")
    return [str(first), str(second)]


def invoke(*args):
    return CliRunner().invoke(cli, args, catch_exceptions=False)


@pytest.mark.parametrize("lead", ["u1", "anon:x"])
@pytest.mark.parametrize("pack", ["pql-100", "pql-100-linear"])
def test_the_object_is_the_one_of_score(files, lead, pack):
    """`--json` prints what `score --json` has for the lead, under either pack."""
    scores = invoke("score", "--json", "--pack", pack, *files)
    explained = invoke("explain", lead, *files, "--json", "--pack", pack)
    expected = {fields["lead_id"]: fields for fields in map(json.loads, scores.stdout.splitlines())}

    assert expected[lead] == json.loads(explained.stdout)
    assert 1 == explained.stdout.count("\n")


def test_the_text_has_every_rule_with_points_input_and_event(files):
    """One line a rule, those without points too, and the event that moved it where there is one."""
    lines = invoke("explain", "u1", *files).stdout.splitlines()
    by_rule = {line.split()[0]: line.split()[1:] for line in lines[2:]}

    assert "u1 of acme: 25 points, unqualified (pql-100 version 1)" == lines[0]
    assert 9 == len(by_rule)
    assert ["15/15", "1800", "by", "e2", "at", "first.jsonl-0@2"] == by_rule["time_to_first_value"]
    assert ["10/10", "advanced", "by", "e4", "at", "first.jsonl-0@4"] == by_rule["compliance"]
    assert ["0/10", "unknown"] == by_rule["team_size"]


def test_the_pack_of_the_settings_is_the_default(files, monkeypatch):
    """Without --pack it is PQL_PACK's, as for the worker."""
    monkeypatch.setenv("PQL_PACK", "pql-100-linear")

    assert "pql-100-linear" == json.loads(invoke("explain", "u1", *files, "--json").stdout)["pack"]


def test_an_unknown_lead_is_an_error(files):
    """Ids are compared exactly, and the advice says so."""
    with pytest.raises(PqlError) as caught:
        invoke("explain", "U1", *files)

    assert "there is no lead U1" == caught.value.what
    assert "exactly" in caught.value.what_to_do


def test_without_files_and_without_brokers_the_usage_is_wrong():
    """There is nothing to read from: the missing setting is named."""
    with pytest.raises(InvalidSettings, match="no Kafka brokers are given"):
        invoke("explain", "u1")
