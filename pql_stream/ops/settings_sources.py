"""
Where settings come from: the environment, over the table `[settings]` of the settings file, over what is built in.

    [settings]
    http_port = 8080
    sasl_password = { file = "/run/secrets/kafka" }

The keys of the table are the fields of `Settings`. Paths in it begin where the file is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, create_model

from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.files import DEFAULT_FILE, lines_of, read_tables, section_of
from pql_stream.ops.delivery.problems import problems_of
from pql_stream.ops.delivery.secrets import Reading, Secret, SecretText
from pql_stream.ops.secret_files import secret_in, why_unreadable

if TYPE_CHECKING:
    from pql_stream.ops.settings import Settings

FILE_VARIABLE = "PQL_CONFIG"
TABLE = "settings"

_PACK_VARIABLES = frozenset({"PQL_PACK", "PQL_SHADOW_PACKS"})
"""Names of shipped packs, or files; the second one takes several, separated by commas."""
_PACK_FILE_ENDS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where the text of a setting was found.

    *label* is how a problem names it: `PQL_HTTP_PORT`, or `pql.toml: line 3: settings.http_port`. *place* is how it is
    listed: `environment`, `pql.toml:3`, or the path of a file that holds a secret.
    """

    label: str
    place: str


@dataclass(frozen=True, slots=True)
class Given:
    """
    What was given, by the names in the environment: texts, in clear; where each was found; and what is wrong.

    *unusable* are given but not to be had: nobody shall complain that they are missing, too.
    """

    texts: dict[str, str] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def over(self, other: Given) -> Given:
        """All of it, and what *other* says beside it."""
        said = self.texts.keys() | self.unusable
        return Given(
            {name: text for name, text in other.texts.items() if name not in said} | self.texts,
            other.origins | self.origins,
            self.unusable | (other.unusable - said),
            [*self.problems, *other.problems],
        )


@dataclass(frozen=True, slots=True)
class SettingsReading:
    """
    What came of reading: *settings* is None where there are *problems*, one a line, without a secret.

    *file* is the settings file, None if there is none that can be read.
    """

    settings: Settings | None
    problems: tuple[str, ...]
    given: Given
    file: Path | None

    def require(self) -> Settings:
        """
        The settings.

        Raises:
            InvalidSettings: there are problems; `why` has all of them.
        """
        if self.settings is not None:
            return self.settings
        count = f"{len(self.problems)} settings" if len(self.problems) > 1 else "a setting"
        raise InvalidSettings(
            f"{count} cannot be used",
            why="\n".join(self.problems),
            what_to_do="mend the environment or the file; `pql-stream config check` tells what is left",
        )

    def place_of(self, name: str) -> str:
        """Where the value of the setting *name* comes from: `environment`, `pql.toml:3`, a secret's file, `default`."""
        origin = self.given.origins.get(name)
        return "default" if origin is None else origin.place


def read_environment(environ: Mapping[str, str], settings: type[Settings]) -> Given:
    """
    The *settings* that *environ* has, with the secrets' files read. A blank value counts as not given.

    Each secret can be given as `<name>_FILE` instead, a file with the value: Docker and Kubernetes mount such.
    """
    given, secrets = Given(), secret_names(settings)
    for name in settings.names():
        text = environ.get(name, "")
        if text.strip():
            # Blanks around a password may belong to it.
            given.texts[name] = text if name in secrets else text.strip()
            given.origins[name] = Origin(name, "environment")
    for name in sorted(secrets):
        path = environ.get(f"{name}_FILE", "").strip()
        if not path:
            continue
        if name in given.texts:
            given.problems.append(f"{name} and {name}_FILE are both set: keep one")
            continue
        try:
            given.texts[name] = secret_in(Path(path))
            given.origins[name] = Origin(name, path)
        except (OSError, ValueError) as exc:
            given.unusable.add(name)
            given.problems.append(f"{name}_FILE={path!r}: {why_unreadable(exc)}")
    return given


def read_settings_table(path: Path, environ: Mapping[str, str], settings: type[Settings]) -> Given:
    """
    The *settings* in the file at *path*; the secrets that it has in the environment are looked for in *environ*.

    Raises:
        InvalidSettings: the file cannot be read, or is no TOML.
    """
    table, problems = section_of(read_tables(path), TABLE, dict)
    given, lines = Given(), lines_of(path)
    form, reading = _form_of(settings), Reading(environ, path.parent)
    names = {key: name for name, key in settings.names().items()}
    for key, written in (table or {}).items():
        if hint := _misnamed(key, settings):
            problems.append(f"{TABLE}.{key}: {hint}")
            continue
        try:
            value = getattr(form.model_validate({key: written}, context=reading), key)
        except ValidationError as exc:
            problems += problems_of(exc, form, TABLE)
            if key in names:
                given.unusable.add(names[key])
            continue
        if text := _text_of(value, names[key], settings, path.parent):
            line = lines.of(f"{TABLE}.{key}")
            of_file = isinstance(value, SecretText) and value.origin != "environment"
            given.texts[names[key]] = text
            given.origins[names[key]] = Origin(
                f"{path}: line {line}: {TABLE}.{key}", value.origin if of_file else f"{path}:{line}"
            )
    given.problems.extend(f"{path}: {lines.placed(problem)}" for problem in problems)
    return given


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """The settings file that *environ* names, or `pql.toml`; None if it is not there."""
    named = environ.get(FILE_VARIABLE, "").strip()
    path = Path(named) if named else DEFAULT_FILE
    return path if path.is_file() else None


def secret_names(settings: type[Settings]) -> frozenset[str]:
    """The names of those *settings* that are never shown."""
    return frozenset(name for name, key in settings.names().items() if _holds(settings, key, SecretStr))


def _form_of(settings: type[Settings]) -> type[BaseModel]:
    """The table `[settings]`: what is not known is refused, and a text is no number. One key at a time fits it."""
    types: dict[str, Any] = {}
    for name, key in settings.names().items():
        if name != FILE_VARIABLE:  # the file cannot say where it is itself
            kind = Secret if _holds(settings, key, SecretStr) else int if _holds(settings, key, int) else str
            types[key] = (kind, None)
    config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    return create_model("SettingsTable", __config__=config, **types)


def _misnamed(key: str, settings: type[Settings]) -> str:
    """What to write instead of *key*, for who takes the file for an environment; "" where that is not it."""
    names = settings.names()
    if key in {FILE_VARIABLE, names[FILE_VARIABLE]}:
        return f"only {FILE_VARIABLE} in the environment says where this file is"
    return f"in this file it is called {names[key]}" if key in names else ""


def _text_of(value: SecretText | str | int, name: str, settings: type[Settings], directory: Path) -> str:
    """*value* as the environment would have it."""
    if isinstance(value, SecretText):
        return value.reveal()
    text = str(value).strip()
    if name in _PACK_VARIABLES:
        return ",".join(_pack_of(one.strip(), directory) for one in text.split(","))
    return str(directory / text) if text and _holds(settings, settings.names()[name], Path) else text


def _pack_of(named: str, directory: Path) -> str:
    """The pack that is *named*; a file in *directory* by its path."""
    return str(directory / named) if named.endswith(_PACK_FILE_ENDS) or os.sep in named else named


def _holds(settings: type[Settings], key: str, kind: type) -> bool:
    """Whether the field *key* is of type *kind*, or may be."""

    def is_in(annotation: object) -> bool:
        return annotation is kind or any(map(is_in, get_args(annotation)))

    return is_in(settings.model_fields[key].annotation)
