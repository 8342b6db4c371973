"""Tables on stdout, drawn by rich."""

from __future__ import annotations

from rich.console import Console

_WIDTH_PIPED = 120
"""Characters a line where nobody's terminal says how wide it is."""


class PlainConsole(Console):
    """Of stdout. What packs, tiers and leads are called is other people's text: no markup of rich's is read in it."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False, highlight=False)
        if not self.is_terminal:
            self.width = _WIDTH_PIPED

    def on_broken_pipe(self) -> None:
        """A reader who has had enough is no failure: `ops.cli` ends the command, where rich would with exit code 1."""
        raise  # noqa: PLE0704 - called while the BrokenPipeError is handled
