"""The rules of single settings, and of settings together, as functions of text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr

from pql_stream.errors import InvalidSettings

TOPIC_PREFIX_CHARS_MAX = 200
"""Kafka's limit for a topic name is 249 characters; this leaves 49 for the longest name of ours."""

KAFKA_NAME_CHARS_MAX = 249
"""Kafka: `Topic.validate`, which also judges group instance ids."""

_KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]+")
_BROKER = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"[0-9]{1,9}[dhms]")
# Kubernetes and Docker links put such names into every container for each service, so a Service called
# `pql-stream` would stop the worker from starting.
_SERVICE_LINK = re.compile(r"PQL_\w+_(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_\w+)?)")


def lower(text: object) -> object:
    """Take `INFO` for `info`."""
    return text.lower() if isinstance(text, str) else text


def upper(text: object) -> object:
    """Take `sasl_ssl` for `SASL_SSL`."""
    return text.upper() if isinstance(text, str) else text


def check_bootstrap_servers(text: str) -> str:
    """`host:port` separated by commas, IPv6 in brackets; blanks are dropped."""
    brokers = [broker.strip() for broker in text.split(",")]
    for broker in brokers:
        match = _BROKER.fullmatch(broker)
        if match is None or not 1 <= int(match[1]) <= 65535:
            raise ValueError(f"{broker!r} is not host:port; write for example broker-1:9092,broker-2:9092")
    return ",".join(brokers)


def check_topic_prefix(text: str) -> str:
    """Characters that Kafka allows in a topic name, and room for ours behind them."""
    if text and not _KAFKA_NAME.fullmatch(text):
        raise ValueError("Kafka's topic names take letters, digits, '.', '_' and '-' only")
    if len(text) > TOPIC_PREFIX_CHARS_MAX:
        raise ValueError(f"at most {TOPIC_PREFIX_CHARS_MAX} characters: Kafka's topic names end at 249")
    return text


def check_instance_id(text: str) -> str:
    """What Kafka allows as a `group.instance.id`."""
    if not _KAFKA_NAME.fullmatch(text) or text in {".", ".."}:
        raise ValueError("Kafka's instance ids take letters, digits, '.', '_' and '-' only")
    if len(text) > KAFKA_NAME_CHARS_MAX:
        raise ValueError(f"at most {KAFKA_NAME_CHARS_MAX} characters")
    return text


def check_redis_url(url: SecretStr) -> SecretStr:
    """What the ledger can connect to; what is said of it has nothing of it."""
    from pql_stream.delivery.redis_connection import check_url  # noqa: PLC0415 - few commands need the client

    try:
        check_url(url.get_secret_value())
    except InvalidSettings as exc:
        raise ValueError(f"{exc.why}; {exc.what_to_do}") from None
    return url


def check_duration(text: str) -> str:
    """A whole number with a unit, and more than nothing."""
    if not _DURATION.fullmatch(text) or not seconds_of(text):
        raise ValueError("write a number and a unit: 30d, 12h, 90m or 45s")
    return text


def seconds_of(duration: str) -> int:
    """The seconds of a *duration* that `check_duration` took."""
    return int(duration[:-1]) * _UNIT_S[duration[-1]]


def check_data_dir(path: Path) -> Path:
    """A directory, or nothing yet: whoever keeps state there makes it."""
    if path.exists() and not path.is_dir():
        raise ValueError("exists and is not a directory")
    return path


def check_together(given: Mapping[str, str], labels: Mapping[str, str]) -> list[str]:
    """
    Problems of settings that need, or exclude, one another; *given* has those that are set, by name.

    *labels*: what a problem calls those that have another name where they are set.
    """
    protocol = given.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT").upper()
    problems = []
    if protocol.startswith("SASL_"):
        problems += [
            f"{name} is required when KAFKA_SECURITY_PROTOCOL is {protocol}"
            for name in ("KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
            if name not in given
        ]
    # Set but without effect: the operator believes that the link is protected.
    if protocol in {"PLAINTEXT", "SSL"}:
        problems += _without_effect(given, labels, "KAFKA_SASL_", protocol)
    if protocol in {"PLAINTEXT", "SASL_PLAINTEXT"}:
        problems += _without_effect(given, labels, "KAFKA_SSL_", protocol)
    for name, needed in (
        ("KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE"),
        ("KAFKA_SSL_KEYFILE", "KAFKA_SSL_CERTFILE"),
        ("KAFKA_SSL_KEY_PASSWORD", "KAFKA_SSL_KEYFILE"),
    ):
        if name in given and needed not in given:
            problems.append(f"{labels.get(name, name)} is set without {needed}")
    return problems


def unknown_names(environ: Mapping[str, str], *, known: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """
    One problem for each name in *environ* that has our prefix and is none of ours.

    Only `PQL_`: other programs share `KAFKA_` with us.
    """
    ours = sorted(name for name in known if name.startswith("PQL_"))
    problems = []
    for name in sorted(set(environ) - set(known) - set(ignored)):
        if not name.startswith("PQL_") or _is_service_link(name, environ[name]):
            continue
        near = difflib.get_close_matches(name, ours, n=1)
        hint = f"did you mean {near[0]}?" if near else "`pql-stream config show` lists the settings"
        problems.append(f"{name} is not a setting; {hint}")
    return problems


def _is_service_link(name: str, value: str) -> bool:
    return _SERVICE_LINK.fullmatch(name) is not None or (name.endswith("_PORT") and "://" in value)


def _without_effect(given: Mapping[str, str], labels: Mapping[str, str], prefix: str, protocol: str) -> list[str]:
    return [
        f"{labels.get(name, name)} has no effect when KAFKA_SECURITY_PROTOCOL is {protocol}"
        for name in sorted(given)
        if name.startswith(prefix)
    ]
