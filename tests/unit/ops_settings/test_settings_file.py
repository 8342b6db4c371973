"""The table `[settings]` of pql.toml: below the environment, above what is built in."""

import json

import pytest
from click.testing import CliRunner

from pql_stream.errors import InvalidSettings
from pql_stream.ops.cli import cli
from pql_stream.ops.settings import Settings, load_settings, read_settings
from pql_stream.ops.settings_table import BEGIN, END, settings_table, with_table


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes pql.toml into the working directory, which is empty but for it."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "pql.toml").write_text(text)
        return tmp_path

    return write


def problems_of(environ):
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environ)
    return caught.value.why.splitlines()


def test_the_environment_counts_before_the_file_and_the_file_before_the_default(file):
    """
    Each value comes from the first of the three that has it, and says which that was; blanks have nothing.
    """
    file('[settings]\nhttp_port = 8080\ntopic_prefix = "of-file-"\nstore = " Memory "\nhttp_host = ""\n')
    reading = read_settings({"PQL_TOPIC_PREFIX": "of-environment-", "PQL_HTTP_PORT": " "})
    settings = reading.require()

    assert ("of-environment-", 8080, "memory", "127.0.0.1") == (
        settings.topic_prefix,
        settings.http_port,
        settings.store,
        settings.http_host,
    )
    assert ["environment", "pql.toml:2", "pql.toml:4", "default"] == [
        reading.place_of(name) for name in ("PQL_TOPIC_PREFIX", "PQL_HTTP_PORT", "PQL_STORE", "PQL_HTTP_HOST")
    ]


def test_every_setting_but_the_place_of_the_file_can_stand_in_it(file):
    """
    The table takes what the environment takes, and the model has the same values.
    """
    directory = file("")
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": "b:9093",
        "PQL_INSTANCE_ID": "i",
        "REDIS_URL": "redis://:p@h",
        "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "u",
        "KAFKA_SASL_PASSWORD": "p",
        "KAFKA_SSL_CAFILE": "pem",
        "KAFKA_SSL_CERTFILE": "pem",
        "KAFKA_SSL_KEYFILE": "pem",
        "KAFKA_SSL_KEY_PASSWORD": "p",
    }
    (directory / "pem").write_text("")
    expected = load_settings(environ)
    defaults = Settings()
    lines = []
    for name, key in Settings.names().items():
        default = getattr(defaults, key)
        value = environ.get(name, default)
        if name in {"KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD", "REDIS_URL"}:
            lines.append(f'{key} = {{ env = "MY_{name}" }}')
        elif name != "PQL_CONFIG" and value is not None:
            lines.append(f"{key} = {value if isinstance(value, int) else json.dumps(str(value))}")
    secrets = {f"MY_{name}": text for name, text in environ.items()}
    (directory / "pql.toml").write_text("\n".join(["[settings]", *lines]))

    assert expected == load_settings(secrets)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("htp_port = 1", "'htp_port' is not known here; did you mean http_port?"),
        ('PQL_PACK = "x"', "in this file it is called pack"),
        ('config_file = "x"', "only PQL_CONFIG in the environment says where this file is"),
        ('http_port = "1"', "must be a valid integer"),
        ("http_port = true", "must be a valid integer"),
        ("topic_prefix = 3", "must be a valid string"),
        ("store = ['memory']", "must be a valid string"),
        ('redis_url = "redis://:hidden@h"', "a secret does not stand in this file"),
        ('sasl_password = { env = "NOBODY" }', "NOBODY is not set in the environment"),
        ('ssl_key_password = { file = "nowhere" }', "file 'nowhere': No such file or directory"),
    ],
)
def test_a_problem_in_the_file_has_its_place(file, text, problem):
    """
    File, line and key, and no secret; what is not to be had is not called missing as well.
    """
    file(f"\n[settings]\n{text}\n")
    [told] = [problem for problem in problems_of({}) if problem.startswith("pql.toml")]
    key = text.split(" ")[0]

    assert told.startswith(f"pql.toml: line 3: settings.{key}: {problem}")
    assert "hidden" not in told


def test_values_of_the_file_keep_the_rules_of_settings(file):
    """
    A value that is of the right type and yet of no use is told by its line, or by its variable where that counts.
    """
    file('[settings]\nhttp_port = 70000\nstore = "redis"\nlog_level = "loud"\nredis_url = { env = "MINE" }')
    problems = problems_of({"PQL_LOG_LEVEL": "louder", "MINE": "http://:hidden@h"})

    assert [
        "PQL_LOG_LEVEL='louder': must",
        "pql.toml: line 2: settings.http_port='70000': must",
        "pql.toml: line 3: settings.store='redis': must",
        "pql.toml: line 5: settings.redis_url: it",
    ] == sorted(problem[: problem.index(" ", problem.rindex(": ", 0, 60) + 2)] for problem in problems)


def test_a_value_that_does_not_go_with_another_has_its_line(file):
    """
    Whoever has to take it away finds it where it stands, and by the name that it has there.
    """
    file('[settings]\nsasl_username = "pql"\nssl_keyfile = "pql.toml"')

    assert [
        "KAFKA_SASL_MECHANISM has no effect when KAFKA_SECURITY_PROTOCOL is PLAINTEXT",
        "pql.toml: line 2: settings.sasl_username has no effect when KAFKA_SECURITY_PROTOCOL is PLAINTEXT",
        "pql.toml: line 3: settings.ssl_keyfile has no effect when KAFKA_SECURITY_PROTOCOL is PLAINTEXT",
        "pql.toml: line 3: settings.ssl_keyfile is set without KAFKA_SSL_CERTFILE",
    ] == sorted(problems_of({"KAFKA_SASL_MECHANISM": "PLAIN"}))


def test_what_cannot_be_had_is_not_called_missing(file):
    """
    A login with two parts of no use has two problems; a password of the file does not stand in for one that was meant.
    """
    file(
        '[settings]\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nsasl_username = 3\n'
        'sasl_password = { env = "MINE" }\n'
    )
    problems = problems_of({"KAFKA_SASL_PASSWORD_FILE": "/nowhere", "MINE": "hidden"})

    assert [
        "KAFKA_SASL_PASSWORD_FILE='/nowhere': No such file or directory",
        "pql.toml: line 4: settings.sasl_username: must be a valid string",
    ] == sorted(problems)


def test_settings_that_are_no_table(file):
    """
    The section is told as every other one of the wrong kind is.
    """
    file("settings = 3")

    assert ["pql.toml: line 1: settings: write [settings...], a table"] == problems_of({})


def test_paths_begin_where_the_file_is(tmp_path):
    """
    A file that is kept elsewhere names its neighbours; a shipped pack's name stays a name.
    """
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ca.pem").write_text("")
    (tmp_path / "etc" / "password").write_text("hidden\n")
    path = tmp_path / "etc" / "mine.toml"
    path.write_text(
        '[settings]\ndata_dir = "state"\npack = "mine.yaml"\nsecurity_protocol = "SASL_SSL"\nssl_cafile = "ca.pem"\n'
        'sasl_mechanism = "PLAIN"\nsasl_username = "u"\nsasl_password = { file = "password" }\n'
        'shadow_packs = "theirs.yml, pql-100-linear"\n'
    )
    reading = read_settings({"PQL_CONFIG": str(path)})
    settings = reading.require()

    assert tmp_path / "etc" / "state" == settings.data_dir
    packs = str(tmp_path / "etc" / "mine.yaml"), str(tmp_path / "etc" / "theirs.yml"), "pql-100-linear"
    assert packs == settings.packs
    assert tmp_path / "etc" / "ca.pem" == settings.ssl_cafile
    assert "hidden" == settings.sasl_password_text
    assert str(tmp_path / "etc" / "password") == reading.place_of("KAFKA_SASL_PASSWORD")
    path.write_text('[settings]\npack = "pql-100-linear"\n')
    assert "pql-100-linear" == load_settings({"PQL_CONFIG": str(path)}).pack


@pytest.mark.parametrize("text", ["a = [", "a = " + "[" * 5000, "[settings]\nhttp_port = 1\nhttp_port = 2\n"])
def test_what_is_no_toml_is_told_beside_the_rest(file, text):
    """
    Alone it is the error; with other problems it is one of them.
    """
    file(text)
    with pytest.raises(InvalidSettings, match=r"pql\.toml cannot be used: a problem"):
        load_settings({})
    problems = problems_of({"PQL_STORE": "redis"})

    assert "PQL_STORE='redis'" == problems[0].split(":")[0]
    assert problems[1].startswith("pql.toml cannot be used: a problem: no TOML: ")


BAD = """
[settings]
htp_port = 1

[sinks.crm]
type = "hubspot"

[[routes]]
name = "r"
of = "score-changed"
sink = "crn"
action = "upsert"
"""


def test_config_check_tells_every_problem_of_environment_and_file_at_once(file, monkeypatch):
    """
    Settings, sinks, routes and the pack: one round mends them all.
    """
    file(BAD)
    monkeypatch.setenv("PQL_STORE", "redis")
    told = CliRunner().invoke(cli, ["config", "check"]).exception
    monkeypatch.setenv("PQL_PACK", "pql-1000")
    told_of_pack = CliRunner().invoke(cli, ["config", "check"]).exception

    assert isinstance(told, InvalidSettings)
    assert "4 problems with the settings" == told.what
    assert [
        "PQL_STORE='redis'",
        "pql.toml: line 11: routes.r.sink",
        "pql.toml: line 3: settings.htp_port",
        "pql.toml: line 5: sinks.crm.service_key",
    ] == sorted(": ".join(line.split(": ")[: 3 if "toml" in line else 1]) for line in told.why.splitlines())
    assert "no shipped pack and no file has this name" in told_of_pack.why.splitlines()[-1]


def test_config_show_names_the_line(file):
    """
    Whoever looks for a value finds the place to edit.
    """
    file('[settings]\nhttp_port = 1\n[templates]\ncrm_url = "https://a.example/{lead_id}"\n')
    result = CliRunner().invoke(cli, ["config", "show", "--json"])
    rows = {row["name"]: row for row in json.loads(result.stdout)}

    assert (1, "pql.toml:2") == (rows["PQL_HTTP_PORT"]["value"], rows["PQL_HTTP_PORT"]["source"])
    assert "pql.toml:4" == rows["templates.crm_url"]["source"]


def test_the_readme_has_the_settings_as_they_are(request):
    """
    `make settings-table` was run after the last change of a setting.
    """
    readme = (request.config.rootpath / "README.md").read_text()

    assert with_table(readme) == readme


def test_the_table_has_a_row_for_every_setting():
    """
    With the key of the file, and the default; what stands around it stays, and without marks it says so.
    """
    table = settings_table().splitlines()

    assert 2 + len(Settings.names()) == len(table)
    assert "| `PQL_STORE` | `store` | where table rows live: memory or rocksdb | `rocksdb` |" in table
    assert f"a\n{BEGIN}{settings_table()}{END}b\n" == with_table(f"a\n{BEGIN}old\n{END}b\n")
    with pytest.raises(ValueError, match="there is no"):
        with_table("no marks")
