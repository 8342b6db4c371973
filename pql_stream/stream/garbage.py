"""
What is new to the garbage collector, looked through every so many records.

Python looks for cycles among new containers when those that were made outnumber those that went by a threshold. A
worker makes as many as go: the state of a lead takes the place of an older one. So the difference stays small while
what is new piles up, and when it is looked through at last, some hundred thousand containers take a tenth of a second
in which nothing else happens. Looked through early they cost the same, some milliseconds at a time.
"""

from __future__ import annotations

import gc

RECORDS = 10_000
"""The states of so many leads are about fifty thousand containers: some ten milliseconds at most."""
_YOUNG = 0


class Garbage:
    """Counts what is handled."""

    def __init__(self) -> None:
        self._records = 0

    def handled(self, records: int) -> None:
        """So many *records* more, and nothing of them is needed any more but what is kept for long."""
        self._records += records
        if self._records >= RECORDS:
            self._records = 0
            gc.collect(_YOUNG)
