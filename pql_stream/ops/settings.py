"""
What an operator can ask of us: every setting, its default, and the rules it must keep.

The environment and the table `[settings]` of the settings file are read by `read_settings` and nowhere else; building a
`Settings` reads nothing. A setting given as a flag goes the same way and meets the same rules:
`load_settings({**os.environ, "PQL_PACK": pack})`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pql_stream.errors import InvalidSettings
from pql_stream.ops.settings_rules import (
    check_bootstrap_servers,
    check_data_dir,
    check_duration,
    check_instance_id,
    check_redis_url,
    check_together,
    check_topic_prefix,
    lower,
    seconds_of,
    unknown_names,
    upper,
)
from pql_stream.ops.settings_sources import (
    Given,
    SettingsReading,
    read_environment,
    read_settings_table,
    secret_names,
    settings_file,
)

OTHERS_NAMES = frozenset({"PQL_TEST_BOOTSTRAP_SERVERS", "PQL_TEST_REDIS_URL", "PQL_KAFKA_CACHE"})
"""Names with our prefix that are no settings of a worker: the tests and the local broker read them."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]


class Settings(BaseSettings):
    """
    What one process was asked to do. The names in the environment are each field's `validation_alias`.

    `None` means "not given". Secrets print as asterisks; `get_secret_value()` gives them.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, case_sensitive=True, hide_input_in_errors=True
    )

    bootstrap_servers: Annotated[str, AfterValidator(check_bootstrap_servers)] | None = Field(
        default=None,
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Kafka brokers, host:port, separated by commas; required by worker, topics and emit",
    )
    topic_prefix: Annotated[str, AfterValidator(check_topic_prefix)] = Field(
        default="",
        validation_alias="PQL_TOPIC_PREFIX",
        description="put before every topic, the app id and the consumer group",
    )
    data_dir: Annotated[Path, AfterValidator(check_data_dir)] = Field(
        default=Path("./data"),
        validation_alias="PQL_DATA_DIR",
        description="state directory of this worker; never shared by two",
    )
    http_port: int = Field(
        default=6066,
        ge=0,
        le=65535,
        validation_alias="PQL_HTTP_PORT",
        description="port of metrics and health pages; 0 is any free port",
    )
    http_host: str = Field(
        default="127.0.0.1",
        validation_alias="PQL_HTTP_HOST",
        description="address that metrics and health pages listen on",
    )
    pack: str = Field(
        default="pql-100",
        validation_alias="PQL_PACK",
        description="name or file of the live model pack at the first start; later `cutover` says which one is live",
    )
    shadow_packs: str = Field(
        default="",
        validation_alias="PQL_SHADOW_PACKS",
        description="names or files of packs, separated by commas, that score beside the live one and only compare",
    )
    processing_guarantee: Annotated[Literal["at_least_once", "exactly_once"], BeforeValidator(lower)] = Field(
        default="at_least_once",
        validation_alias="PQL_PROCESSING_GUARANTEE",
        description="at_least_once, or exactly_once for who reads committed records: transactions, at some cost",
    )
    store: Annotated[Literal["memory", "rocksdb"], BeforeValidator(lower)] = Field(
        default="rocksdb",
        validation_alias="PQL_STORE",
        description="where table rows live: memory or rocksdb",
    )
    backfill_older_than: Annotated[str, AfterValidator(check_duration)] | None = Field(
        default=None,
        validation_alias="PQL_BACKFILL_OLDER_THAN",
        description="events that happened so long before they were written count as filled in: 30d, 12h; else by topic",
    )
    leads_kept: int = Field(
        default=20_000,
        ge=0,
        validation_alias="PQL_LEADS_KEPT",
        description="leads whose state stays decoded in memory at least, twice as many at most; about 3 KiB each",
    )
    instance_id: Annotated[str, AfterValidator(check_instance_id)] | None = Field(
        default=None,
        validation_alias="PQL_INSTANCE_ID",
        description="static group membership (group.instance.id): one for each worker, kept over restarts",
    )
    # Kafka's brokers allow 6 s to 1,800 s unless told otherwise (group.min/max.session.timeout.ms).
    session_timeout_s: int = Field(
        default=10,
        ge=6,
        le=1800,
        validation_alias="PQL_SESSION_TIMEOUT_S",
        description="seconds without a heartbeat after which the group gives a worker's partitions away",
    )
    config_file: FilePath | None = Field(
        default=None,
        validation_alias="PQL_CONFIG",
        description="file with settings, sinks and routes; without it ./pql.toml, if that is there",
    )
    redis_url: Annotated[SecretStr, AfterValidator(check_redis_url)] | None = Field(
        default=None,
        validation_alias="REDIS_URL",
        description="ledger of deliveries: redis://, rediss:// or unix://; or REDIS_URL_FILE, a file that holds it",
    )
    stall_after_s: int = Field(
        default=900,
        ge=60,
        validation_alias="PQL_STALL_AFTER_S",
        description="seconds in which records wait and no commit moves, after which /healthz asks for a restart",
    )
    canary_every_s: int = Field(
        default=0,
        ge=0,
        le=300,  # PqlCanaryLost looks back ten minutes
        validation_alias="PQL_CANARY_EVERY_S",
        description="seconds between two events of the canary, a lead that is nobody; 0 sends none, 60 is usual",
    )
    log_level: Annotated[LogLevel, BeforeValidator(lower)] = Field(
        default="info",
        validation_alias="PQL_LOG_LEVEL",
        description="debug, info, warning or error",
    )
    log_format: Annotated[LogFormat, BeforeValidator(lower)] = Field(
        default="auto",
        validation_alias="PQL_LOG_FORMAT",
        description="json, console, or auto: console on a terminal, else json",
    )
    security_protocol: Annotated[SecurityProtocol, BeforeValidator(upper)] = Field(
        default="PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )
    sasl_mechanism: Annotated[SaslMechanism, BeforeValidator(upper)] | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_MECHANISM",
        description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; required by the SASL protocols",
    )
    sasl_username: str | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_USERNAME",
        description="required by the SASL protocols",
    )
    sasl_password: SecretStr | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_PASSWORD",
        description="required by the SASL protocols; or KAFKA_SASL_PASSWORD_FILE, a file that holds it",
    )
    ssl_cafile: FilePath | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CAFILE",
        description="certificates of the authorities to trust (PEM); without it, the system's",
    )
    ssl_certfile: FilePath | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CERTFILE",
        description="our own certificate (PEM), for brokers that ask for one",
    )
    ssl_keyfile: FilePath | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_KEYFILE",
        description="the private key of KAFKA_SSL_CERTFILE (PEM)",
    )
    ssl_key_password: SecretStr | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_KEY_PASSWORD",
        description="password of KAFKA_SSL_KEYFILE; or KAFKA_SSL_KEY_PASSWORD_FILE, a file that holds it",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class names it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names it
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing but what is handed in: `load_settings` is the one reader of the environment."""
        return (init_settings,)

    @property
    def packs(self) -> tuple[str, ...]:
        """Names or files of all packs, the first one that of `pack`."""
        shadows = [name.strip() for name in self.shadow_packs.split(",")]
        return (self.pack, *(name for name in shadows if name))

    def require_bootstrap_servers(self) -> str:
        """
        The brokers, `host:port` separated by commas.

        Raises:
            InvalidSettings: none are given.
        """
        if self.bootstrap_servers is None:
            raise InvalidSettings(
                "no Kafka brokers are given",
                why="KAFKA_BOOTSTRAP_SERVERS is not set",
                what_to_do="set it, for example KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092; "
                "`pql-stream kafka` runs a broker on this machine",
            )
        return self.bootstrap_servers

    def require_redis_url(self) -> str:
        """
        The Redis of the ledger, in clear: it may hold a password.

        Raises:
            InvalidSettings: none is given.
        """
        if self.redis_url is None:
            raise InvalidSettings(
                "no Redis is given",
                why="REDIS_URL is not set, and deliveries need a ledger",
                what_to_do="set it, for example REDIS_URL=redis://127.0.0.1:6379/0",
            )
        return self.redis_url.get_secret_value()

    @property
    def backfill_older_than_s(self) -> int | None:
        """PQL_BACKFILL_OLDER_THAN in seconds; None: it is off."""
        return None if self.backfill_older_than is None else seconds_of(self.backfill_older_than)

    def kafka_client_config(self) -> dict[str, Any]:
        """
        The brokers and how to log in, in librdkafka's names (its CONFIGURATION.md), secrets in clear.

        Raises:
            InvalidSettings: no brokers are given.
        """
        config = {
            "bootstrap.servers": self.require_bootstrap_servers(),
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": _revealed(self.sasl_password),
            "ssl.ca.location": _text(self.ssl_cafile),
            "ssl.certificate.location": _text(self.ssl_certfile),
            "ssl.key.location": _text(self.ssl_keyfile),
            "ssl.key.password": _revealed(self.ssl_key_password),
        }
        return {key: value for key, value in config.items() if value is not None}

    @property
    def sasl_password_text(self) -> str | None:
        """The SASL password in clear, for a client that takes text."""
        return _revealed(self.sasl_password)

    def ssl_context(self) -> ssl.SSLContext | None:
        """
        TLS for clients that take a context (aiokafka); None when the protocol has no TLS.

        Raises:
            InvalidSettings: OpenSSL cannot use the certificate, the key or its password.
        """
        if not self.security_protocol.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                # An empty password instead of None: None makes OpenSSL ask on the terminal and wait.
                password = _revealed(self.ssl_key_password) or ""
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password)
        except OSError as exc:  # SSLError is one
            raise InvalidSettings(
                "the TLS files cannot be used",
                why=str(exc),
                what_to_do="look at KAFKA_SSL_CAFILE, KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE and its password",
            ) from exc
        return context

    @classmethod
    def names(cls) -> dict[str, str]:
        """Name in the environment -> field, in the order of the class."""
        return {str(field.validation_alias): name for name, field in cls.model_fields.items()}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """
    The settings of *environ* (the process's, unless given) over those of the settings file.

    Raises:
        InvalidSettings: `why` has every problem, one a line, and no secret; or the file cannot be read.
    """
    return read_settings(os.environ if environ is None else environ).require()


def read_settings(environ: Mapping[str, str]) -> SettingsReading:
    """
    Read *environ*, and the file that it names. A blank value counts as not given.

    Raises:
        InvalidSettings: nothing is wrong but that the file cannot be read, or is no TOML.
    """
    file, secrets = settings_file(environ), secret_names(Settings)
    given, unreadable = read_environment(environ, Settings), None
    if file is not None:
        try:
            given = given.over(read_settings_table(file, environ, Settings))
        except InvalidSettings as exc:
            file, unreadable = None, exc
    known = {*Settings.names(), *(f"{name}_FILE" for name in secrets)}
    present = {name: text for name, text in environ.items() if text.strip()}
    problems = [*unknown_names(present, known=known, ignored=OTHERS_NAMES), *given.problems]
    labels = {name: origin.label for name, origin in given.origins.items()}
    problems += check_together({**dict.fromkeys(given.unusable, ""), **given.texts}, labels)
    source, settings = EnvSettingsSource(Settings), None
    source.env_vars = given.texts
    try:
        settings = Settings(**source())
    except ValidationError as exc:
        problems += _problems_of(exc, given, secrets)
    if unreadable is not None:
        if not problems:
            raise unreadable
        problems.append(f"{unreadable.what}: {unreadable.why}")
    return SettingsReading(None if problems else settings, tuple(problems), given, file)


def _problems_of(exc: ValidationError, given: Given, secrets: frozenset[str]) -> list[str]:
    problems = []
    for error in exc.errors(include_url=False, include_context=False, include_input=False):
        name = str(error["loc"][0])
        message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        label = given.origins[name].label
        problems.append(f"{label}: {message}" if name in secrets else f"{label}={given.texts[name]!r}: {message}")
    return problems


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
