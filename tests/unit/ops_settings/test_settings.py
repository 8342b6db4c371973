"""Every setting's rule, and that a bad environment is told in one go."""

import ssl

import pytest

from pql_stream.errors import InvalidSettings
from pql_stream.ops.secret_files import SECRET_FILE_BYTES_MAX
from pql_stream.ops.settings import Settings, load_settings, read_settings

SASL = {
    "KAFKA_BOOTSTRAP_SERVERS": "b:9093",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "pql",
    "KAFKA_SASL_PASSWORD": "hunter2",
}


def problems_of(environ):
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environ)
    return caught.value.why.splitlines()


def test_nothing_set_gives_the_documented_defaults():
    """
    An empty environment is a usable one, with the defaults of CONTRACT.md 8.
    """
    settings = load_settings({})

    assert (None, "", "data", 6066, "127.0.0.1", "pql-100", "at_least_once", "rocksdb", None) == (
        settings.bootstrap_servers,
        settings.topic_prefix,
        str(settings.data_dir),
        settings.http_port,
        settings.http_host,
        settings.pack,
        settings.processing_guarantee,
        settings.store,
        settings.instance_id,
    )
    assert (10, "info", "auto", "PLAINTEXT") == (
        settings.session_timeout_s,
        settings.log_level,
        settings.log_format,
        settings.security_protocol,
    )


def test_building_settings_reads_no_environment(monkeypatch):
    """
    Only load_settings reads the environment, so a test or a demo cannot pick up a real cluster by accident.
    """
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "real:9092")

    assert Settings().bootstrap_servers is None
    assert load_settings({}).bootstrap_servers is None
    assert "real:9092" == load_settings().bootstrap_servers


@pytest.mark.parametrize(
    ("name", "text", "field", "expected"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", " a:1 , [::1]:9092,", "bootstrap_servers", None),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:1, [::1]:9092", "bootstrap_servers", "a:1,[::1]:9092"),
        ("PQL_TOPIC_PREFIX", "Team_1.eu-", "topic_prefix", "Team_1.eu-"),
        ("PQL_TOPIC_PREFIX", "p" * 200, "topic_prefix", "p" * 200),
        ("PQL_TOPIC_PREFIX", "p" * 201, "topic_prefix", None),
        ("PQL_TOPIC_PREFIX", "a b", "topic_prefix", None),
        ("PQL_TOPIC_PREFIX", "é", "topic_prefix", None),
        ("PQL_HTTP_PORT", "0", "http_port", 0),
        ("PQL_HTTP_PORT", "65536", "http_port", None),
        ("PQL_HTTP_PORT", "-1", "http_port", None),
        ("PQL_HTTP_PORT", "http", "http_port", None),
        ("PQL_STORE", "Memory", "store", "memory"),
        ("PQL_STORE", "redis", "store", None),
        ("PQL_INSTANCE_ID", "pql-0", "instance_id", "pql-0"),
        ("PQL_INSTANCE_ID", "..", "instance_id", None),
        ("PQL_INSTANCE_ID", "a/b", "instance_id", None),
        ("PQL_INSTANCE_ID", "i" * 250, "instance_id", None),
        ("PQL_BACKFILL_OLDER_THAN", "30d", "backfill_older_than_s", 2_592_000),
        ("PQL_BACKFILL_OLDER_THAN", "1s", "backfill_older_than_s", 1),
        ("PQL_BACKFILL_OLDER_THAN", "0d", "backfill_older_than_s", None),
        ("PQL_BACKFILL_OLDER_THAN", "30", "backfill_older_than_s", None),
        ("PQL_BACKFILL_OLDER_THAN", "-1d", "backfill_older_than_s", None),
        ("PQL_BACKFILL_OLDER_THAN", "1.5h", "backfill_older_than_s", None),
        ("PQL_SESSION_TIMEOUT_S", "6", "session_timeout_s", 6),
        ("PQL_SESSION_TIMEOUT_S", "5", "session_timeout_s", None),
        ("PQL_SESSION_TIMEOUT_S", "1801", "session_timeout_s", None),
        ("PQL_LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("PQL_LOG_LEVEL", "loud", "log_level", None),
        ("PQL_LOG_FORMAT", "json", "log_format", "json"),
        ("PQL_LOG_FORMAT", "xml", "log_format", None),
        ("PQL_PROCESSING_GUARANTEE", "at_least_once", "processing_guarantee", "at_least_once"),
        ("PQL_PROCESSING_GUARANTEE", "Exactly_Once", "processing_guarantee", "exactly_once"),
        ("PQL_PROCESSING_GUARANTEE", "never", "processing_guarantee", None),
        ("PQL_DATA_DIR", __file__, "data_dir", None),
        ("KAFKA_SECURITY_PROTOCOL", "ssl", "security_protocol", "SSL"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "security_protocol", None),
    ],
)
def test_one_setting_at_a_time(name, text, field, expected):
    """
    What a setting takes is taken, in the form we use; what it does not take (None) is refused by its name.
    """
    if expected is None:
        (problem,) = problems_of({name: text})

        assert problem.startswith(f"{name}={text.strip()!r}: ")
    else:
        assert expected == getattr(load_settings({name: text}), field)


@pytest.mark.parametrize(
    "text",
    ["broker", "broker:", ":9092", "b:0", "b:65536", "PLAINTEXT://b:9092", "b:9092;c:9092", "a b:9092"],
)
def test_brokers_are_host_and_port(text):
    """
    A list of brokers that a client would misread, or that two clients would read differently, is refused.
    """
    (problem,) = problems_of({"KAFKA_BOOTSTRAP_SERVERS": text})

    assert "is not host:port" in problem


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_blank_is_not_given(blank):
    """
    A blank value is the same as no value, as compose files and shells write it.
    """
    settings = load_settings(dict.fromkeys(Settings.names(), blank))

    assert load_settings({}) == settings


def test_unknown_names_with_our_prefix_are_refused_with_a_guess():
    """
    A mistyped name would silently leave the default, so it stops the start and names its neighbour.
    """
    problems = problems_of({"PQL_HTPP_PORT": "1", "PQL_ZZZZZZZZZZZZZ": "1"})

    assert [
        "PQL_HTPP_PORT is not a setting; did you mean PQL_HTTP_PORT?",
        "PQL_ZZZZZZZZZZZZZ is not a setting; `pql-stream config show` lists the settings",
    ] == problems


def test_names_of_others_are_left_alone():
    """
    Tests, the local broker, other Kafka programs and Kubernetes' service links may share the environment.
    """
    environ = {
        "PQL_TEST_BOOTSTRAP_SERVERS": "x",
        "PQL_KAFKA_CACHE": "/tmp",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "PQL_STREAM_SERVICE_HOST": "10.0.0.1",
        "PQL_STREAM_SERVICE_PORT_HTTP": "6066",
        "PQL_STREAM_PORT": "tcp://10.0.0.1:6066",
        "PQL_STREAM_PORT_6066_TCP_ADDR": "10.0.0.1",
    }

    assert load_settings({}) == load_settings(environ)


def test_every_problem_is_named_at_once():
    """
    A bad environment is mended in one round: unknown names, single values, files and combinations together.
    """
    problems = problems_of(
        {
            "PQL_HTPP_PORT": "1",
            "PQL_HTTP_PORT": "x",
            "PQL_LOG_LEVEL": "loud",
            "PQL_PROCESSING_GUARANTEE": "at_most_once",
            "KAFKA_BOOTSTRAP_SERVERS": "broker",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_PASSWORD_FILE": "/nowhere",
            "KAFKA_SSL_CERTFILE": "/nowhere.pem",
        }
    )

    names = [problem.replace("=", " ").split()[0] for problem in problems]
    assert [
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SASL_PASSWORD_FILE",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SSL_CERTFILE",  # no such file
        "KAFKA_SSL_CERTFILE",  # no key
        "PQL_HTPP_PORT",
        "PQL_HTTP_PORT",
        "PQL_LOG_LEVEL",
        "PQL_PROCESSING_GUARANTEE",
    ] == sorted(names)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            SASL | {"KAFKA_SASL_PASSWORD": ""},
            ["KAFKA_SASL_PASSWORD is required when KAFKA_SECURITY_PROTOCOL is SASL_SSL"],
        ),
        (
            {"KAFKA_SASL_USERNAME": "u"},
            ["KAFKA_SASL_USERNAME has no effect when KAFKA_SECURITY_PROTOCOL is PLAINTEXT"],
        ),
        (
            {"KAFKA_SSL_CAFILE": __file__},
            ["KAFKA_SSL_CAFILE has no effect when KAFKA_SECURITY_PROTOCOL is PLAINTEXT"],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTFILE": __file__},
            ["KAFKA_SSL_CERTFILE is set without KAFKA_SSL_KEYFILE"],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEYFILE": __file__},
            ["KAFKA_SSL_KEYFILE is set without KAFKA_SSL_CERTFILE"],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY_PASSWORD": "x"},
            ["KAFKA_SSL_KEY_PASSWORD is set without KAFKA_SSL_KEYFILE"],
        ),
    ],
    ids=["no-password", "sasl-unused", "ssl-unused", "cert-alone", "key-alone", "key-password-alone"],
)
def test_settings_that_need_or_exclude_each_other(environ, expected):
    """
    Half a login, or one that the protocol ignores, is refused before a client fails on it at night.
    """
    assert expected == problems_of(environ)


def test_secrets_come_from_files(tmp_path):
    """
    A mounted secret is its file's content without the line end; blanks that belong to it stay.
    """
    path = tmp_path / "password"
    path.write_text(" pass word \r\n")
    environ = {name: text for name, text in SASL.items() if name != "KAFKA_SASL_PASSWORD"}
    environ["KAFKA_SASL_PASSWORD_FILE"] = str(path)

    reading = read_settings(environ)

    assert " pass word " == reading.require().sasl_password_text
    assert str(path) == reading.place_of("KAFKA_SASL_PASSWORD")
    assert "environment" == reading.place_of("KAFKA_SASL_USERNAME")
    assert "default" == reading.place_of("PQL_PACK")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\n", "the file is empty"),
        (b"\xff\xfe", "the file is not UTF-8 text"),
        (b"x" * (SECRET_FILE_BYTES_MAX + 1), "the file is too large for a secret"),
    ],
    ids=["empty", "binary", "large"],
)
def test_a_secret_file_that_holds_no_secret_is_refused(tmp_path, content, expected):
    """
    A wrong path is told by its name, and nothing of the file's content is.
    """
    path = tmp_path / "password"
    path.write_bytes(content)
    environ = SASL | {"KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": str(path)}

    assert [f"KAFKA_SASL_PASSWORD_FILE={str(path)!r}: {expected}"] == problems_of(environ)


def test_a_secret_given_twice_is_refused(tmp_path):
    """
    Which of two passwords counts is not for us to guess.
    """
    environ = SASL | {"KAFKA_SASL_PASSWORD_FILE": str(tmp_path)}

    assert ["KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set: keep one"] == problems_of(environ)


def test_secrets_are_never_shown():
    """
    Neither the settings' text nor an error about its neighbours has the password in it.
    """
    problems = problems_of(SASL | {"KAFKA_SASL_MECHANISM": "GSSAPI", "PQL_HTTP_PORT": "x"})

    shown = repr(load_settings(SASL)) + str(load_settings(SASL)) + load_settings(SASL).model_dump_json()
    assert "hunter2" not in shown + "".join(problems)


def test_the_librdkafka_configuration():
    """
    Only what is given reaches the client, under librdkafka's names, with the password in clear.
    """
    assert {"bootstrap.servers": "b:9092", "security.protocol": "PLAINTEXT"} == load_settings(
        {"KAFKA_BOOTSTRAP_SERVERS": "b:9092"}
    ).kafka_client_config()
    assert {
        "bootstrap.servers": "b:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "pql",
        "sasl.password": "hunter2",
        "ssl.ca.location": __file__,
    } == load_settings(SASL | {"KAFKA_SSL_CAFILE": __file__}).kafka_client_config()


def test_commands_that_need_brokers_say_so():
    """
    Without brokers the message names the variable and an example.
    """
    with pytest.raises(InvalidSettings) as caught:
        load_settings({}).kafka_client_config()

    assert "KAFKA_BOOTSTRAP_SERVERS is not set" == caught.value.why
    assert "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092" in caught.value.what_to_do


def test_tls_context():
    """
    Protocols with TLS get a verifying context, the others none.
    """
    context = load_settings(SASL).ssl_context()

    assert load_settings({}).ssl_context() is None
    assert load_settings({"KAFKA_SECURITY_PROTOCOL": "SSL"}).ssl_context() is not None
    assert context is not None
    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)


@pytest.mark.parametrize("names", [["KAFKA_SSL_CAFILE"], ["KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE"]])
def test_tls_files_that_openssl_cannot_use(names):
    """
    A file that is no certificate is the operator's to mend, not a traceback.
    """
    settings = load_settings({"KAFKA_SECURITY_PROTOCOL": "SSL"} | dict.fromkeys(names, __file__))

    with pytest.raises(InvalidSettings, match="the TLS files cannot be used"):
        settings.ssl_context()


def test_every_setting_has_a_description():
    """
    `config show` and the README's table have a line for each setting.
    """
    missing = [name for name, field in Settings.model_fields.items() if not field.description]

    assert [] == missing


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://:hidden@redis:6379", "it begins with none of redis://, rediss:// and unix://"),
        ("redis://:hid/den@redis:6379", "its host, port or options cannot be read"),
    ],
    ids=["another scheme", "a raw slash in the password"],
)
def test_a_redis_that_cannot_be_is_told_without_its_password(url, why):
    """
    The rule is named, and nothing of the URL.
    """
    [problem] = problems_of({"REDIS_URL": url})

    assert problem.startswith(f"REDIS_URL: {why}; write redis://user:password@host:6379/0")
    assert "hid" not in problem


def test_the_redis_can_come_from_a_file(tmp_path):
    """
    It has a password, so it is a secret as others are.
    """
    (tmp_path / "redis").write_text("rediss://:hidden@redis:6380/1\n")
    settings = load_settings({"REDIS_URL_FILE": str(tmp_path / "redis")})

    assert "rediss://:hidden@redis:6380/1" == settings.require_redis_url()
    assert "hidden" not in repr(settings)


def test_a_command_that_needs_redis_says_so():
    """
    The message names the variable and an example.
    """
    with pytest.raises(InvalidSettings) as caught:
        load_settings({}).require_redis_url()

    assert "REDIS_URL is not set, and deliveries need a ledger" == caught.value.why
    assert "REDIS_URL=redis://127.0.0.1:6379/0" in caught.value.what_to_do
