"""
Contact data of leads, as the rows of its table.

Nothing is kept decoded in front of the table: few events have contact data, and what was erased must be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from pql_stream.core.profiles import ProfileState
from pql_stream.wire.lead_profiles import dump_profile, load_profile

CONTACTS_STORE: Mapping[str, int] = {"block_cache_size": 8 << 20, "write_buffer_size": 4 << 20}
"""Of a RocksDB for contact data, in bytes: it is read and written far more seldom than the states of leads."""


class Rows(Protocol):
    """The table of contact data."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """The rows of those *keys* that have one."""

    async def write_many(self, partition: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Store *items*; returns when their changelog is acknowledged."""


class Profiles:
    """What *rows* hold, by lead id and partition."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def of(self, partition: int) -> Callable[[str], ProfileState | None]:
        """
        A function that gives the stored contact data of a lead of *partition*.

        It raises `InvalidState` for a row of a version that this program does not know.
        """
        get_many = self._rows.get_many

        def known(lead_id: str) -> ProfileState | None:
            key = lead_id.encode()
            row = get_many(partition, (key,)).get(key)
            return None if row is None else load_profile(row)[1]

        return known

    async def store(self, partition: int, profiles: Mapping[str, ProfileState]) -> None:
        """
        Make *profiles* durable.

        Raises:
            StreamLost: the partition may belong to somebody else; what was written is not known.
        """
        await self._rows.write_many(partition, profile_rows(profiles))


def profile_rows(profiles: Mapping[str, ProfileState]) -> list[tuple[bytes, bytes | None]]:
    """*profiles* as rows."""
    return [(lead_id.encode(), dump_profile(lead_id, profile)) for lead_id, profile in profiles.items()]
