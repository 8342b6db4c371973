"""The states of leads: decoded, as far as they were needed lately, in front of the table that has a row of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from pql_stream.core.states import LeadState
from pql_stream.stream.roles import Roles
from pql_stream.wire.shared_rows import dump_lead, load_lead

_Generation = defaultdict[int, dict[str, LeadState]]

_LOOK_AHEAD = 256
"""Keys that are looked at when a row is missing: of so many rows one costs half of what it costs alone."""


class Rows(Protocol):
    """The table of leads."""

    @property
    def term(self) -> int:
        """Grows whenever partitions were dealt anew: what was read in an earlier term may not be true any more."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """The rows of those *keys* that have one."""

    async def write_many(self, partition: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Store *items*; returns when their changelog is acknowledged."""


class _RowsAhead:
    """The rows of a batch: where one is missing, those of the keys that are *expected* next are read with it."""

    def __init__(
        self,
        get_many: Callable[[Iterable[bytes]], Mapping[bytes, bytes]],
        expected: Iterable[bytes | None],
        is_kept: Callable[[str], bool],
    ) -> None:
        self._get_many = get_many
        self._expected = iter(expected)
        self._is_kept = is_kept
        self._read: dict[bytes, bytes | None] = {}

    def take(self, key: bytes) -> bytes | None:
        """The row of *key*, if it has one. Nobody asks for it again: what it says is kept."""
        if key not in self._read:
            # A key that is no text, or empty, is no lead's.
            some = [
                other
                for other in islice(self._expected, _LOOK_AHEAD)
                if other and not (other in self._read or self._is_kept(other.decode(errors="replace")))
            ]
            wanted = dict.fromkeys((key, *some))
            found = self._get_many(wanted)
            self._read.update((one, found.get(one)) for one in wanted)
        return self._read.pop(key)


class Unstored(NamedTuple):
    """States as *rows*; call *stored* when the rows are durable: only then are the states known."""

    rows: list[tuple[bytes, bytes | None]]
    stored: Callable[[], None]


class Leads:
    """
    What *rows* hold, as states by lead id and partition.

    A state that is read or written is kept, because to read a row costs more than to score an event. Kept
    are at least the *kept_min* leads that were needed last, and at most twice as many and those of two batches:
    they move from a young generation into an old one, which goes when the young one is full. (To know the
    oldest one exactly would cost a step for every lead of every batch.)
    """

    def __init__(self, rows: Rows, roles: Roles, kept_min: int) -> None:
        self._rows = rows
        self._roles = roles
        self._kept_min = kept_min
        self._term = rows.term
        self._young: _Generation = defaultdict(dict)
        self._old: _Generation = defaultdict(dict)

    def of(self, partition: int, expected: Iterable[bytes | None] = ()) -> Callable[[str], LeadState | None]:
        """
        A function that gives the stored state of a lead of *partition*; good for one batch.

        *expected* are keys of leads that will be asked for, about in this order; others may be asked for, too. It
        raises `InvalidState` for a row that cannot be continued from.
        """
        self._age()
        young, old = self._young[partition], self._old[partition]
        rows = _RowsAhead(
            partial(self._rows.get_many, partition), expected, lambda lead_id: lead_id in young or lead_id in old
        )
        lineup = self._roles.of(partition)

        def known(lead_id: str) -> LeadState | None:
            state = young.get(lead_id) or old.get(lead_id)
            if state is None:
                row = rows.take(lead_id.encode())
                if row is None:
                    return None
                state = load_lead(row, lineup)
            young[lead_id] = state
            return state

        return known

    def forget(self, partition: int) -> None:
        """Read the rows of *partition* anew: its packs have other roles now. Not while a batch is handled."""
        self._young.pop(partition, None)
        self._old.pop(partition, None)

    def unstored(self, partition: int, states: Mapping[str, LeadState]) -> Unstored:
        """*states* of leads of *partition*, for who makes them durable."""
        term = self._rows.term

        def stored() -> None:
            if term == self._rows.term == self._term:
                self._young[partition].update(states)

        lineup = self._roles.of(partition)
        return Unstored([(lead_id.encode(), dump_lead(state, lineup)) for lead_id, state in states.items()], stored)

    async def store(self, partition: int, states: Mapping[str, LeadState]) -> None:
        """
        Make *states* durable; only then are they known.

        Raises:
            StreamLost: the partition may belong to somebody else; what was written is not known.
        """
        rows, stored = self.unstored(partition, states)
        await self._rows.write_many(partition, rows)
        stored()

    def _age(self) -> None:
        if self._term != self._rows.term:
            self._term = self._rows.term
            self._young, self._old = defaultdict(dict), defaultdict(dict)
        elif sum(len(states) for states in self._young.values()) >= self._kept_min:
            self._young, self._old = defaultdict(dict), self._young
