"""`sinks`, `routes`, `config` and `doctor` with a settings file; where a sink is called, a fake answers."""

import asyncio
import json
import os
from dataclasses import replace

import pytest
from click.testing import CliRunner
from settings_file import ENVIRON, ROUTES, SIGNING, SINKS, route

from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.errors import InvalidSettings
from pql_stream.ops.cli import cli
from pql_stream.ops.delivery.config import load_live_config
from pql_stream.ops.delivery.sinks import open_sinks
from pql_stream.ops.doctor import examine
from pql_stream.ops.settings import load_settings
from pql_stream.testing.destinations.hubspot import SERVICE_KEY, FakeHubSpot
from pql_stream.testing.destinations.webhook import FakeWebhook
from pql_stream.testing.simulation import simulate


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a function that writes its pql.toml, and the secrets in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, text in ENVIRON.items():
        monkeypatch.setenv(name, text)

    def write(text):
        (tmp_path / "pql.toml").write_text(text)
        return tmp_path

    return write


def run(*args):
    return CliRunner().invoke(cli, args)


def run_json(*args):
    result = run(*args)
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
async def hubspot(place):
    """A fake HubSpot, and a settings file with a sink that calls it."""
    fake = await FakeHubSpot().start()
    place(f'[sinks.crm]\ntype = "hubspot"\nservice_key = {{ file = "key" }}\nbase_url = "{fake.url}"\n' + route())
    yield fake
    await fake.close()


def test_list_has_each_sink_with_its_rate_and_routes(place):
    """
    Sorted by name; a sink without a route is listed too.
    """
    place(SINKS + route(name="a") + route(name="b"))
    code, rows = run_json("sinks", "list", "--json")

    assert (0, ["crm", "force", "hook", "mail", "team"]) == (code, [row["name"] for row in rows])
    assert {
        "name": "crm",
        "type": "hubspot",
        "routes": ["a", "b"],
        "calls": 100,
        "period_s": 10.0,
        "topics": {
            "deliveries": "delivery-crm",
            "parked": "delivery-crm-parked",
            "dead_letters": "delivery-crm-dlq",
        },
    } == rows[0]
    lines = run("sinks", "list").stdout.splitlines()
    assert ["crm", "hubspot", "100", "calls", "in", "10", "s", "a,", "b"] == lines[0].split()
    assert lines[1].endswith("no route")


@pytest.mark.parametrize("words", [("list",), ("check",), ("set-up",)], ids=" ".join)
def test_without_sinks_there_is_nothing_to_do(tmp_path, monkeypatch, words):
    """
    No file, no sinks: that is told, and is no failure.
    """
    monkeypatch.chdir(tmp_path)
    result = run("sinks", *words)

    assert (0, "") == (result.exit_code, result.stdout)
    assert "there are no sinks" in result.stderr


async def test_check_asks_each_destination(hubspot, tmp_path):
    """
    A HubSpot without our properties is told to be set up, with exit 1; set up, it is fine; then a bad key is told.
    """
    (tmp_path / "key").write_text(SERVICE_KEY)
    bare = await asyncio.to_thread(run_json, "sinks", "check", "--json")
    made = await asyncio.to_thread(run_json, "sinks", "set-up", "--json")
    again = await asyncio.to_thread(run_json, "sinks", "set-up", "crm", "--json")
    fine = await asyncio.to_thread(run_json, "sinks", "check", "crm", "--json")
    (tmp_path / "key").write_text("pat-wrong")
    wrong = await asyncio.to_thread(run, "sinks", "check")

    assert (1, False) == (bare[0], bare[1][0]["ok"])
    assert "`pql-stream sinks set-up crm`" in bare[1][0]["what_to_do"]
    assert (0, "done", 10, 0) == (made[0], made[1][0]["state"], len(made[1][0]["made"]), len(made[1][0]["found"]))
    assert (0, 0, 10) == (again[0], len(again[1][0]["made"]), len(again[1][0]["found"]))
    assert (0, [{"sink": "crm", "ok": True}]) == (
        fine[0],
        [{name: row[name] for name in ("sink", "ok")} for row in fine[1]],
    )
    assert 1 == wrong.exit_code
    assert "failed   crm" in wrong.stdout
    assert "look at its credentials" in wrong.stdout
    assert "pat-wrong" not in wrong.output


@pytest.fixture
async def hook(place, monkeypatch, redis_space):
    """A settings file with a webhook that takes everything, a Redis, and what a worker's ledger has of it."""
    fake = FakeWebhook([SIGNING])
    monkeypatch.setenv("URL", await fake.start())
    monkeypatch.setenv("REDIS_URL", redis_space.url)
    monkeypatch.setenv("PQL_TOPIC_PREFIX", redis_space.prefix)
    file = """
[sinks.hook]
type = "webhook"
url = { env = "URL" }
secrets = [{ env = "SIGNING" }]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]
"""
    place(file + route(sink="hook", action="post"))
    yield RedisLedger(redis_space.connection, prefix=redis_space.prefix, sink="hook")
    await fake.close()


async def test_a_disabled_webhook_is_told_until_it_is_enabled(hook, monkeypatch):
    """
    `sinks check` and `doctor` say that a 410 has disabled it, though it would take something now; `sinks enable` lifts
    that, once, and so does another URL.
    """
    config = load_live_config(load_settings())
    [opened] = open_sinks(config, "")
    fine = await asyncio.to_thread(run_json, "sinks", "check", "--json")
    await hook.disable(opened.sink.traits.endpoint, 1_767_607_200_000)
    disabled = await asyncio.to_thread(run_json, "sinks", "check", "--json")
    seen = await asyncio.to_thread(lambda: [one for one in examine(load_settings()) if one.subject == "sink"])
    with monkeypatch.context() as moved:
        moved.setenv("URL", os.environ["URL"] + "?v=2")
        elsewhere = await asyncio.to_thread(run_json, "sinks", "check", "--json")
    enabled = [await asyncio.to_thread(run, "sinks", "enable", "hook") for _ in range(2)]
    again = await asyncio.to_thread(run_json, "sinks", "check", "--json")

    assert [0, 1, 0, 0] == [code for code, _ in (fine, disabled, elsewhere, again)]
    assert "disabled since 2026-01-05T10:00:00.000Z" in disabled[1][0]["text"]
    assert ["failed"] == [one.state for one in seen]
    assert "`pql-stream sinks enable hook`" in seen[0].what_to_do
    assert [0, 0] == [result.exit_code for result in enabled]
    assert ["enabled", "it was not disabled"] == [result.stdout.splitlines()[0][26:] for result in enabled]
    assert "dlq redrive --sink hook --reason gone" in enabled[0].stdout


async def test_enabling_says_what_it_did_and_what_it_needs(hook, monkeypatch):
    """
    As JSON; of a sink that there is not, and without the ledger's Redis, nothing is done.
    """
    done = await asyncio.to_thread(run_json, "sinks", "enable", "hook", "--json")
    strange = await asyncio.to_thread(run, "sinks", "enable", "hok")
    monkeypatch.delenv("REDIS_URL")
    without = await asyncio.to_thread(run, "sinks", "enable", "hook")

    assert (0, [{"sink": "hook", "was_disabled": False}]) == done
    assert isinstance(strange.exception, InvalidSettings)
    assert isinstance(without.exception, InvalidSettings)


async def test_a_property_that_differs_is_told_and_left(hubspot, tmp_path):
    """
    What somebody made otherwise is not changed: it is listed, with exit 1.
    """
    (tmp_path / "key").write_text(SERVICE_KEY)
    await asyncio.to_thread(run, "sinks", "set-up")
    properties = hubspot.account.contacts.properties
    properties["lead_score"] = replace(properties["lead_score"], type="string")
    result = await asyncio.to_thread(run, "sinks", "set-up")

    assert 1 == result.exit_code
    assert "! contacts.lead_score: its type is string, not number" in result.stdout
    assert "0 made, 9 found, 1 different" in result.stdout


def test_set_up_of_others_makes_nothing(place):
    """
    Only HubSpot lets us make what we need; the others are told to have nothing to do, and are not called.
    """
    place(SINKS + ROUTES)
    code, rows = run_json("sinks", "set-up", "team", "hook", "--json")

    assert (0, ["nothing_to_do", "nothing_to_do"]) == (code, [row["state"] for row in rows])


def test_a_webhook_inside_our_network_is_told_how_to_allow_it(place):
    """
    Nothing is called there, and the setting is named.
    """
    place(
        '[sinks.hook]\ntype = "webhook"\nurl = { env = "URL" }\nsecrets = [{ env = "SIGNING" }]\n'
        + route(sink="hook", action="post")
    )
    result = CliRunner().invoke(cli, ["sinks", "check"], env={"URL": "https://127.0.0.1:1/in"})

    assert 1 == result.exit_code
    assert "allowed_networks" in result.stdout
    assert "127.0.0.1" not in result.stdout


def test_an_unknown_sink_is_refused(place):
    """
    A misspelt name is told with the nearest.
    """
    place(SINKS + ROUTES)
    result = run("sinks", "check", "crn")

    assert isinstance(result.exception, InvalidSettings)
    assert "did you mean crm?" in str(result.exception)


@pytest.fixture
def replayed(tmp_path):
    """The directory that `pql-stream replay` left behind of forty simulated leads."""
    (tmp_path / "events.jsonl").write_bytes(b"".join(event.value + b"\n" for event in simulate(40)))
    assert 0 == run("replay", str(tmp_path / "events.jsonl"), "--out", str(tmp_path / "out")).exit_code
    return tmp_path / "out"


def test_routes_are_tried_on_what_a_replay_left(place, replayed):
    """
    Deliveries and leads of each route, counted as the records say; other lines are skipped.
    """
    where = 'where = { tier = ["gold", "platinum"] }\noptions = { channel = "C1" }'
    place(
        SINKS
        + route(name="every")
        + route("where = { score_after = { at_least = 101 } }", name="none")
        + route(where, name="best", of="pql-qualified", sink="team", action="message")
    )
    changes = (replayed / "score-changed.jsonl").read_text().splitlines()
    qualified = [json.loads(line) for line in (replayed / "pql-qualified.jsonl").read_text().splitlines()]
    best = [record for record in qualified if record["tier"] in ("gold", "platinum")]
    files = [str(replayed / name) for name in ("score-changed.jsonl", "pql-qualified.jsonl", "scores.jsonl")]
    code, told = run_json("routes", "test", *files, "--json")

    assert best
    assert 0 == code
    assert {
        "every": (len(changes), len({json.loads(line)["lead_id"] for line in changes})),
        "none": (0, 0),
        "best": (len(best), len({record["lead_id"] for record in best})),
    } == {row["route"]: (row["deliveries"], row["leads"]) for row in told["routes"]}
    assert {"score-changed": len(changes), "pql-qualified": len(qualified)} == told["records"]
    assert (len(qualified) - len(best), 40, 0) == (told["unrouted"], told["skipped"], told["failed"])


def test_the_counts_of_routes_are_readable(place, replayed):
    """
    A line for each route, with its conditions in words, and one for each sink.
    """
    place(
        SINKS
        + route(
            "where = { tier_after = ['gold', 'platinum'], score_after = { at_least = 80, below = 90 } }", name="top"
        )
    )
    lines = run("routes", "test", str(replayed / "score-changed.jsonl")).stdout.splitlines()

    assert lines[0].endswith(
        "score-changed to crm as upsert, where tier_after is gold or platinum and score_after is at least 80, below 90"
    )
    assert ["to", "crm"] == lines[1].split()[:2]


def test_config_show_has_sinks_and_routes_without_secrets(place):
    """
    A line for each value, with where it comes from; a secret is eight asterisks, whatever it is.
    """
    place(SINKS + ROUTES)
    code, rows = run_json("config", "show", "--json")

    def line_of(part, below=0):
        lines = (SINKS + ROUTES).split("\n")
        return f"pql.toml:{1 + below + next(at for at, line in enumerate(lines) if part in line)}"

    shown = {row["name"]: (row["value"], row["source"]) for row in rows}
    assert 0 == code
    assert ("hubspot", "pql.toml:3") == shown["sinks.crm.type"]
    assert ("********", "environment") == shown["sinks.crm.service_key"]
    assert ("********", "environment") == shown["sinks.hook.secrets[0]"]
    assert ("pql-qualified to team as message", line_of('name = "told"', -1)) == shown["routes.told"]
    assert ("C1", line_of('channel = "C1"')) == shown["routes.told.options.channel"]
    for hidden in (*ENVIRON.values(), SIGNING):
        assert hidden not in run("config", "show").output


def test_config_check_warns(place):
    """
    What may be meant so is told on stderr, and the settings are fine all the same.
    """
    place(SINKS + route())
    result = run("config", "check")

    assert (0, "") == (result.exit_code, result.stdout)
    assert "warning: sinks.team: no route leads to it" in result.stderr
    assert "warning: REDIS_URL is not set" in result.stderr
    assert "the settings are fine" in result.stderr


def test_config_check_refuses_a_bad_file(place):
    """
    The problems of the file are told as those of the environment are.
    """
    place("[sinks.crm]\ntype = 'hubspot'")
    result = run("config", "check")

    assert isinstance(result.exception, InvalidSettings)
    assert "line 1: sinks.crm.service_key: is missing" == result.exception.why


def findings_of(environ):
    return [
        (one.subject, one.state, one.text)
        for one in examine(load_settings({"PQL_HTTP_PORT": "0", **environ}))
        if one.subject in ("delivery", "redis", "sink")
    ]


def test_doctor_without_sinks_skips_delivery(tmp_path, monkeypatch):
    """
    Nobody asked for deliveries.
    """
    monkeypatch.chdir(tmp_path)

    assert [("delivery", "skipped", "there are no sinks")] == findings_of({})


async def test_doctor_looks_at_redis_and_at_each_sink(hubspot, tmp_path, redis_url):
    """
    A Redis that answers and a HubSpot that is not set up; without REDIS_URL that is what is missing.
    """
    (tmp_path / "key").write_text(SERVICE_KEY)
    with_redis = await asyncio.to_thread(findings_of, {"REDIS_URL": redis_url})
    without = await asyncio.to_thread(findings_of, {})
    away = await asyncio.to_thread(findings_of, {"REDIS_URL": "redis://:hidden@127.0.0.1:1"})

    assert [("delivery", "ok"), ("redis", "warning"), ("sink", "failed")] == [one[:2] for one in with_redis]
    assert "appendonly is no" in with_redis[1][2]
    assert with_redis[2][2].startswith("crm: not found: no contacts property")
    assert ("redis", "failed", "no Redis is given: REDIS_URL is not set, and deliveries need a ledger") == without[1]
    assert ("redis", "failed") == away[1][:2]
    assert "hidden" not in away[1][2]


def test_doctor_tells_of_a_bad_settings_file_and_goes_on(place):
    """
    The file's problems are a finding, not the end.
    """
    place("[sinks.crm]\ntype = 'hubspot'")

    assert [("delivery", "failed")] == [one[:2] for one in findings_of({})]
