"""Secrets in the settings file: never there themselves, only where they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator, ValidationInfo

from pql_stream.ops.secret_files import secret_in, why_unreadable

HOW = '{ env = "NAME" } or { file = "/path" }'

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the settings file is read beside: the environment, and the directory that its paths begin in."""

    environ: Mapping[str, str]
    directory: Path


@dataclass(frozen=True, slots=True)
class SecretText:
    """A secret and where it was found, "environment" or a file's path; only `reveal` shows it."""

    origin: str
    _text: str = field(repr=False)

    def reveal(self) -> str:
        """It, in clear."""
        return self._text


def _read(given: object, info: ValidationInfo) -> SecretText:
    reading = info.context
    assert isinstance(reading, Reading), "every form with secrets is read beside one"  # noqa: S101 - our own mistake
    match given:
        case {"env": str(name), **others} if not others:
            return SecretText("environment", _from_environment(name, reading.environ))
        case {"file": str(path), **others} if not others:
            where = reading.directory / path
            try:
                return SecretText(str(where), secret_in(where))
            except (OSError, ValueError) as exc:
                raise ValueError(f"file {path!r}: {why_unreadable(exc)}") from None
        case str():
            raise ValueError(f"a secret does not stand in this file; write {HOW}")
        case _:
            raise ValueError(f"this is no place of a secret; write {HOW}")


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        # Perhaps the secret itself: it is not repeated.
        raise ValueError("env is the name of an environment variable, and this is none")
    if name.startswith("PQL_"):
        raise ValueError(f"{name}: names with PQL_ are those of settings; give the variable another name")
    text = environ.get(name, "")
    if not text.strip():
        raise ValueError(f"{name} is not set in the environment")
    return text


Secret = Annotated[SecretText, PlainValidator(_read)]
"""A field that is written as a table, `env` or `file`, and read as the secret there."""
