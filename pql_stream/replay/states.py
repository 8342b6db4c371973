"""States of leads: decoded as far as they were needed lately, in front of rows on the disk."""

from __future__ import annotations

from collections.abc import Iterator

from pql_stream.core.packs import CompiledPack
from pql_stream.core.states import LeadState
from pql_stream.replay.rows import Rows
from pql_stream.wire.rows import dump_state, load_state


class States(dict[str, LeadState]):
    """
    The states that changed since the last checkpoint, by lead id; `[]` knows the others too, and gives None for a
    lead never seen.

    A changed state stays in memory until the checkpoint that stores it, because a row that is newer than the
    checkpoint would be read again after a crash, and the changes that led to it would not be made again. So
    whoever fills this makes a checkpoint when it `is_full`; in memory are at most the *kept_max* states that
    makes, and as many that are stored already. Until the first checkpoint nothing touches the disk.
    """

    def __init__(self, pack: CompiledPack, kept_max: int, rows: Rows | None = None) -> None:
        super().__init__()
        self._pack = pack
        self._kept_max = kept_max
        self._kept: dict[str, LeadState] = {}
        self._rows = rows

    @property
    def is_full(self) -> bool:
        """Whether it is time for a checkpoint."""
        return len(self) >= self._kept_max

    def __missing__(self, lead_id: str) -> LeadState | None:
        state = self._kept.get(lead_id)
        if state is None and self._rows is not None:
            row = self._rows.get(lead_id)
            if row is not None:
                return load_state(row, self._pack)
        return state

    def store(self, rows: Rows, checkpoint: bytes) -> None:
        """
        Write what changed to *rows*, with *checkpoint*.

        Raises:
            StoreError: the disk fails.
        """
        self._rows = rows
        rows.write(((lead_id, dump_state(state, self._pack)) for lead_id, state in self.items()), checkpoint)
        if len(self._kept) + len(self) > self._kept_max:
            self._kept = dict(self)
        else:
            self._kept.update(self)
        self.clear()

    def in_order(self) -> Iterator[tuple[str, LeadState]]:
        """
        Every lead's state, sorted by lead id. After a checkpoint, nothing may have changed since.

        Raises:
            StoreError: the disk fails.
        """
        if self._rows is None:
            for lead_id in sorted(self):
                yield lead_id, self[lead_id]
            return
        for lead_id, row in self._rows.in_order():
            yield lead_id, load_state(row, self._pack)
