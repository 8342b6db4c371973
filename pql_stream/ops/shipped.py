"""The files beside the package that are also in the wheel: topic declarations, record schemas."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from pql_stream.errors import InvalidInput


def shipped_dir(name: Literal["topics", "schemas"]) -> Path:
    """
    The directory *name*: in the wheel `pql_stream/_shipped/<name>`, in a checkout `<root>/<name>`.

    Raises:
        InvalidInput: neither is there; the installation is incomplete.
    """
    package = Path(str(files("pql_stream")))
    candidates = (package / "_shipped" / name, package.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise InvalidInput(
        f"the {name} that come with pql-stream are missing",
        why="looked in " + " and ".join(str(candidate) for candidate in candidates),
        what_to_do="install pql-stream again: pip install --force-reinstall pql-stream",
    )
