"""Which process scores which lead. Every process reads everything, and each record is one process's own."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Share:
    """The part *index* of *count* of the leads, by a hash of the lead id."""

    index: int
    count: int

    @property
    def is_all(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def has_lead(self, lead_id: str) -> bool:
        """Whether the lead is in this part."""
        return crc32(lead_id.encode()) % self.count == self.index

    def has_record(self, number: int) -> bool:
        """Whether record *number*, which names no lead, is told of by this part."""
        return number % self.count == self.index
