"""`pql-stream config show` and `config check`."""

import json

import pytest
from click.testing import CliRunner

from pql_stream.ops.cli import cli, main
from pql_stream.ops.settings import Settings


@pytest.fixture
def environ(monkeypatch):
    """A clean environment, and the way to put a setting into it."""
    for name in Settings.names():
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


def give_login(environ, password):
    environ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    environ("KAFKA_SASL_MECHANISM", "PLAIN")
    environ("KAFKA_SASL_USERNAME", "pql")
    environ("KAFKA_SASL_PASSWORD", password)


def test_show_has_every_setting_with_its_source(environ):
    """
    The JSON form lists all settings by their environment names, with value, source and description.
    """
    environ("PQL_HTTP_PORT", "0")

    rows = json.loads(CliRunner().invoke(cli, ["config", "show", "--json"]).stdout)

    by_name = {row["name"]: row for row in rows}
    assert list(Settings.names()) == list(by_name)
    assert (0, "environment") == (by_name["PQL_HTTP_PORT"]["value"], by_name["PQL_HTTP_PORT"]["source"])
    assert ("data", "default") == (by_name["PQL_DATA_DIR"]["value"], by_name["PQL_DATA_DIR"]["source"])
    assert by_name["KAFKA_SASL_PASSWORD"]["value"] is None


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_show_masks_secrets_and_their_length(environ, form):
    """
    A password shows as the same eight asterisks whatever it is.
    """
    give_login(environ, "hunter2hunter2hunter2")

    output = CliRunner().invoke(cli, ["config", "show", *form]).output

    assert "hunter2" not in output
    assert 1 == output.count("********")
    assert "*********" not in output


def test_show_as_a_table(environ):
    """
    The table has a line a setting, with the source beside the value.
    """
    environ("PQL_TOPIC_PREFIX", "team-")

    lines = CliRunner().invoke(cli, ["config", "show"]).stdout.splitlines()

    (prefix_line,) = [line for line in lines if line.startswith("PQL_TOPIC_PREFIX")]
    assert ["PQL_TOPIC_PREFIX", "team-", "environment", "put"] == prefix_line.split()[:4]
    assert 1 + len(Settings.names()) == len(lines)


def test_check_passes_on_good_settings(environ):
    """
    Good settings: exit 0, nothing on stdout.
    """
    result = CliRunner().invoke(cli, ["config", "check"])

    assert (0, "") == (result.exit_code, result.stdout)


def test_check_for_machines(environ):
    """
    One object on stdout, whether the settings are fine or not; the exit code says so, too.
    """
    fine = CliRunner().invoke(cli, ["config", "check", "--json"])
    environ("PQL_STORE", "redis")
    bad = CliRunner().invoke(cli, ["config", "check", "--json"])

    assert (0, "", {"fine": True, "error": "", "problems": [], "warnings": []}) == (
        fine.exit_code,
        fine.stderr,
        json.loads(fine.stdout),
    )
    assert (2, "") == (bad.exit_code, bad.stderr)
    assert {
        "fine": False,
        "error": "a setting cannot be used",
        "problems": ["PQL_STORE='redis': must be 'memory' or 'rocksdb'"],
        "warnings": [],
    } == json.loads(bad.stdout)


def test_check_names_every_problem_and_exits_2(environ, capsys):
    """
    Bad settings: exit 2, one line a problem on stderr, no traceback.
    """
    environ("PQL_STORE", "redis")
    environ("PQL_HTTP_PORT", "x")

    with pytest.raises(SystemExit) as caught:
        main(["config", "check"])

    stderr = capsys.readouterr().err
    assert 2 == caught.value.code
    assert ["Error: 2 settings cannot be used", "PQL_HTTP_PORT='x'", "PQL_STORE='redis'"] == [
        line.split(": ")[0] if line.startswith("PQL") else line for line in stderr.splitlines()[:3]
    ]
