"""Where packs lie: the shipped ones inside the package, others in files."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from pql_stream.core.packs import ModelPack
from pql_stream.core.problems import near, shown
from pql_stream.errors import InvalidPack, PackProblem
from pql_stream.wire.packs.document import PACK_BYTES_MAX, parse_pack

_SUFFIX = ".yaml"
_SUFFIXES = (_SUFFIX, ".yml")


def shipped_packs() -> list[str]:
    """The names of the packs that come with pql-stream, sorted."""
    names = (resource.name for resource in (files("pql_stream") / "packs").iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def load_pack(name_or_path: str) -> ModelPack:
    """
    A shipped pack by its name, or the one in a file.

    A path is what has a separator, ends in .yaml or .yml, or exists under no shipped name.

    Raises:
        InvalidPack: there is none of the name, the file cannot be read, or it holds no usable pack.
    """
    names = shipped_packs()
    if name_or_path in names:
        text = (files("pql_stream") / "packs" / f"{name_or_path}{_SUFFIX}").read_bytes()
        return parse_pack(text, name_or_path)
    if not _is_path(name_or_path):
        hint = near(name_or_path, names) or "write a file's path, or one of these."
        message = f"no shipped pack and no file has this name: {hint} Shipped: {', '.join(names)}"
        raise InvalidPack(shown(name_or_path), (PackProblem(0, "name", message),))
    return load_pack_file(name_or_path)


def load_pack_file(path: str) -> ModelPack:
    """
    The pack in the file *path*, whatever the file is called.

    Raises:
        InvalidPack: the file cannot be read, or holds no usable pack.
    """
    # A file name need not be UTF-8, and its error has to be printed.
    name = path.encode(errors="backslashreplace").decode()
    try:
        with Path(path).open("rb") as file:
            text = file.read(PACK_BYTES_MAX + 1)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        message = f"cannot be read: {why}; name a YAML file, or a pack of `pql-stream pack list`"
        raise InvalidPack(name, (PackProblem(0, "file", message),)) from exc
    return parse_pack(text, name)


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep} - {None}
    return text.endswith(_SUFFIXES) or any(part in text for part in separators if part) or _exists(text)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a name too long, a null byte: no file has it
        return False
