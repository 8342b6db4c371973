"""A path on the command line that is to be written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class NewPath(click.Path):
    """
    A file (*directory* False), or a directory, that may be there already.

    An empty text is none: it is a variable of the user's script that is not set, and not the working directory.
    """

    def __init__(self, *, directory: bool) -> None:
        super().__init__(file_okay=not directory, dir_okay=directory, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as the base class has it
        """*value* as a `Path`, or wrong usage."""
        if value == "":
            self.fail("it is empty; name a directory" if self.dir_okay else "it is empty; name a file", param, ctx)
        return super().convert(value, param, ctx)
