"""The conversion of RavenStack's CSV files, on a few rows."""

import gzip
import json

import pytest
from click.testing import CliRunner

from pql_stream.ops.demo.convert_ravenstack import convert, main, write_gzip

FILES = {
    "ravenstack_accounts.csv": """\
account_id,account_name,industry,country,signup_date,referral_source,plan_tier,seats,is_trial,churn_flag
A-1,Company_0,FinTech,US,02-01-2023,organic,Enterprise,12,FALSE,FALSE
A-2,Company_1,EdTech,UK,03-01-2023,ads,Basic,1,FALSE,FALSE
""",
    "ravenstack_subscriptions.csv": """\
subscription_id,account_id,start_date,plan_tier,is_trial
S-4,A-1,09-02-2023,Pro,FALSE
S-1,A-1,04-01-2023,Pro,TRUE
S-3,A-1,08-02-2023,Pro,FALSE
S-2,A-1,05-01-2023,Pro,TRUE
S-5,A-1,01-01-2023,Pro,FALSE
S-6,A-2,03-01-2023,Pro,FALSE
S-7,A-1,04-01-2023,Pro,FALSE
""",
    "ravenstack_feature_usage.csv": """\
usage_id,subscription_id,usage_date,feature_name,usage_count,usage_duration_secs,error_count
U-1,S-1,10-01-2023,feature_20,2,1000,0
U-2,S-6,11-01-2023,feature_5,9,8000,3
U-1,S-6,12-01-2023,feature_7,0,86400,0
""",
    "ravenstack_supports_ticket.csv": """\
ticket_id,account_id,submitted_at,closed_at
T-1,A-2,13-01-2023,14-01-2023 03:00
""",
}


@pytest.fixture
def directory(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text("\ufeff" + content, encoding="utf-8")
    return tmp_path


def test_each_row_becomes_the_events_it_states(directory):
    """
    Profiles, the first trial, the first paid start after it, uses with their runs, a post: in the
    order of time, native and Segment, without a word that no row says.
    """
    track = {"type": "track"}

    converted = [json.loads(line) for line in convert(directory)]

    for record in converted:
        for name in ("occurred_at", "timestamp"):
            if name in record:
                record[name] = record[name][:10]
    assert [
        {
            "type": "group",
            "messageId": "A-1.group",
            "timestamp": "2023-01-02",
            "userId": "A-1",
            "groupId": "A-1",
            "traits": {"industry": "FinTech", "segment": "enterprise"},
        },
        {
            "type": "identify",
            "messageId": "A-1.identify",
            "timestamp": "2023-01-02",
            "userId": "A-1",
            "traits": {"team_size": 12},
        },
        {
            "type": "group",
            "messageId": "A-2.group",
            "timestamp": "2023-01-03",
            "userId": "A-2",
            "groupId": "A-2",
            "traits": {"industry": "EdTech"},
        },
        {
            "type": "identify",
            "messageId": "A-2.identify",
            "timestamp": "2023-01-03",
            "userId": "A-2",
            "traits": {"team_size": 1},
        },
        {"event_id": "S-1", "event": "trial_created", "occurred_at": "2023-01-04", "user_id": "A-1"},
        track | use("U-1", "2023-01-10", "A-1", "feature_20"),
        run("U-1.1", "workflow_completed", "2023-01-10", "A-1"),
        run("U-1.2", "workflow_completed", "2023-01-10", "A-1"),
        track | use("U-2", "2023-01-11", "A-2", "feature_5"),
        run("U-2.1", "workflow_failed", "2023-01-11", "A-2"),
        run("U-2.2", "workflow_failed", "2023-01-11", "A-2"),
        run("U-2.3", "workflow_failed", "2023-01-11", "A-2"),
        run("U-2.4", "workflow_failed", "2023-01-11", "A-2"),
        track | use("U-1~2", "2023-01-12", "A-2", "feature_7"),
        track
        | {
            "messageId": "T-1",
            "timestamp": "2023-01-13",
            "userId": "A-2",
            "event": "community_post",
            "properties": {"post_id": "T-1"},
        },
        {"event_id": "S-3", "event": "trial_converted", "occurred_at": "2023-02-08", "user_id": "A-1"},
    ] == converted


def use(event_id, day, lead_id, feature):
    return {
        "messageId": event_id,
        "timestamp": day,
        "userId": lead_id,
        "event": "feature_used",
        "properties": {"feature": feature},
    }


def run(event_id, name, day, lead_id):
    return {
        "event_id": event_id,
        "event": name,
        "occurred_at": day,
        "user_id": lead_id,
        "properties": {"run_id": event_id},
    }


def test_times_within_a_day_are_fixed(directory):
    """What has no hour is at midnight; a use's hour is a function of its id, its runs lie in its duration."""
    times = {}
    for line in convert(directory):
        record = json.loads(line)
        times[record.get("event_id") or record["messageId"]] = record.get("occurred_at") or record["timestamp"]

    assert times["S-1"] == "2023-01-04T00:00:00Z"
    assert times["T-1"] == "2023-01-13T00:00:00Z"
    assert ["2023-01-10T10:22:50Z", "2023-01-10T10:31:10Z", "2023-01-10T10:39:30Z"] == [
        times[event_id] for event_id in ("U-1", "U-1.1", "U-1.2")
    ]


def test_the_same_files_give_the_same_bytes(directory, tmp_path):
    """Neither the time nor the name of the output gets into it."""
    outputs = [tmp_path / "one.gz", tmp_path / "two.gz"]

    counts = [write_gzip(convert(directory), out) for out in outputs]

    assert [16, 16] == counts
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    flags_and_time = outputs[0].read_bytes()[3:8]
    assert bytes(5) == flags_and_time


def test_the_script_writes_the_file(directory, tmp_path):
    """`python -m ... DIR OUT` writes the events and says how many."""
    out = tmp_path / "out.jsonl.gz"

    result = CliRunner().invoke(main, [str(directory), str(out)])

    assert result.exit_code == 0
    assert result.stderr.startswith("16 events, ")
    assert [json.loads(line) for line in convert(directory)] == [
        json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()
    ]


def test_a_missing_file_is_named(directory, tmp_path):
    """Without one of the CSV files the script fails with its name and no traceback, and writes nothing."""
    (directory / "ravenstack_accounts.csv").unlink()
    out = tmp_path / "out.jsonl.gz"

    result = CliRunner().invoke(main, [str(directory), str(out)])

    assert result.exit_code == 1
    assert "ravenstack_accounts.csv" in result.stderr
    assert not out.exists()
