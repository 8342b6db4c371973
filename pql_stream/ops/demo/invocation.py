"""How to type our command again: the demo's advice must work as it is printed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

NAME = "pql-stream"


def own_command() -> str:
    """
    What to type for `pql-stream` in a shell in this directory, quoted.

    The bare name where PATH leads to the program that runs; else its path (a virtualenv that is not
    activated), or `python -m pql_stream`.
    """
    program = Path(sys.argv[0])
    if program.name != NAME:
        return f"{_short(Path(sys.executable))} -m pql_stream"
    found = shutil.which(NAME)
    if found is not None and Path(found).resolve() == program.resolve():
        return NAME
    return _short(program)


def _short(path: Path) -> str:
    """From here, if it lies below; not resolved, for a virtualenv's Python is a link that must stay one."""
    absolute = path.absolute()
    here = Path.cwd()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))
