"""
The ledger: what is known of each delivery, so that a crash repeats as little as it can, and never silently.

One ledger is of one sink. Losing it may cost repeats, and never a delivery: what waits lies in Kafka.

A delivery may lie in Kafka in several copies: the record of `delivery-<sink>`, and one for each time that it was
parked. The newest copy stands for it. A copy is written before the ledger hears of it, so an older copy may be
dropped whenever the ledger knows of a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pql_stream.errors import ClaimLost

State = Literal["pending", "sending", "delivered", "superseded", "unknown", "refused", "parked"]
"""
*pending*: nothing is under way, and what was tried surely did not arrive. *sending*: claimed, no outcome yet.
*unknown*: as pending, but an attempt may have arrived. *superseded*: a later delivery carried its values.
*refused*: it went to the dead letters. *parked*: it waits alone.
"""

Ending = Literal["pending", "unknown", "delivered", "superseded", "refused"]
"""What a delivery is settled as."""

Grant = Literal["first", "again", "none"]
"""
Whether a claimed delivery may be sent. *again*: an earlier attempt may have arrived. *none*: leave it alone, it is
finished or a newer copy stands for it.
"""

REPEATS_LISTED_MAX = 1_000
"""So many of the latest repeats are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Ref:
    """
    Names one copy of a delivery.

    *place*: the offset in `delivery-<sink>` that it had first, which is the order of the deliveries of a lead.
    *copy*: 0 for the record of `delivery-<sink>`; later copies have higher numbers, below 2**32.
    """

    delivery_id: str
    lead_id: str
    place: int
    copy: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """
    What is known of one delivery. *owner* claimed it last, at *claimed_at_ms*. *copy* stands for it.

    *in_doubt*: an attempt may have arrived of which no outcome is known. *detail*: a code, never personal data.
    """

    state: State = "pending"
    owner: str = ""
    claimed_at_ms: int = 0
    copy: int = 0
    in_doubt: bool = False
    detail: str = ""

    def is_over_for(self, copy: int) -> bool:
        """
        Is there nothing left to do for this *copy*?

        A refused delivery comes back only as a newer copy: somebody redrives it.
        """
        if self.state in ("delivered", "superseded"):
            return True
        return self.copy > copy or (self.state == "refused" and self.copy == copy)


@dataclass(frozen=True, slots=True)
class Known:
    """A delivery's row, and the first parked delivery of its lead (None: none is parked)."""

    row: Row
    head: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """
    How *ref* stands now. *pending*: surely not done.

    *was_there*: the destination was asked and had it, so that the claim was no repeat after all.
    """

    ref: Ref
    state: Ending
    detail: str = ""
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class Repeats:
    """
    Deliveries that were sent again although an earlier attempt may have arrived, at a sink that does not know a
    repeat: how many, and the latest, oldest first.
    """

    count: int
    delivery_ids: tuple[str, ...]


class Ledger(Protocol):
    """
    Rows by delivery id, and for each lead its parked deliveries in the order of their places.

    Each method is one step that nobody sees half of, and does many at once. *partition* names a partition of a topic,
    *owner* a worker; both are words to the ledger.

    Every method raises `LedgerAway` when the ledger does not answer; it may then have happened, or not, and doing it
    again does no harm.
    """

    async def take_over(self, partition: str, owner: str) -> None:
        """From now on *owner*, and nobody else, may claim and park for *partition*."""

    async def look_up(self, refs: Sequence[Ref]) -> list[Known]:
        """What is known of each of *refs*, in their order; of a delivery without a row, `Row()`."""

    async def claim(
        self, partition: str, owner: str, refs: Sequence[Ref], *, at_ms: int, note_repeats: Sequence[bool]
    ) -> list[Grant]:
        """
        Say "sending" of each of *refs* before it is sent; which of them may be sent, in their order.

        A row that `is_over_for` the copy is left alone: "none". One that says "sending", whoever said so, is in doubt
        from now on. A claim of what is in doubt is a repeat ("again"), and noted as such if *note_repeats* says so of
        it. The claimed copy stands for the delivery. The same claim made once more (*owner* and *at_ms* are the row's)
        is what follows a `LedgerAway`: it changes nothing and gives the same answer.

        Raises:
            ClaimLost: somebody else took *partition* over; nothing was claimed. A partition that nobody ever took
                over (the ledger was emptied) becomes *owner*'s.
        """

    async def settle(self, partition: str, owner: str, settlements: Sequence[Settlement]) -> None:
        """
        Write what became of deliveries; those that are finished are parked no more.

        "delivered" is always written: it is true whoever says it; and it stays. Anything else is written if *owner*
        made the last claim or has *partition*, and else left out. "pending" becomes "unknown" where the row is in
        doubt; "unknown" brings it in doubt. A copy that is newer than the row's stands for the delivery. *was_there*
        takes back a repeat that the claim noted.
        """

    async def park(self, partition: str, owner: str, refs: Sequence[Ref]) -> None:
        """
        Say "parked" of each of *refs*, whose copy was written: it stands for the delivery, and waits at its place.

        Rows that `is_over_for` the copy are left alone. "sending" brings a row in doubt, as a claim does.

        Raises:
            ClaimLost: as `claim`.
        """

    async def repeats(self) -> Repeats:
        """What was sent again."""

    async def disable(self, endpoint: str, at_ms: int) -> None:
        """*endpoint* (see `Traits`) wants nothing any more, since *at_ms*; an earlier time stays. Until `enable`."""

    async def disabled_at_ms(self, endpoint: str) -> int | None:
        """Since when *endpoint* is disabled; None when it is not."""

    async def enable(self, endpoint: str) -> bool:
        """*endpoint* is disabled no more; whether it was."""


class MemoryLedger:
    """A `Ledger` of one process: for tests, and for runs that may forget."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._parked: dict[str, dict[str, int]] = {}
        self._owners: dict[str, str] = {}
        self._repeated: list[str] = []
        self._disabled: dict[str, int] = {}

    async def take_over(self, partition: str, owner: str) -> None:
        """As `Ledger` says."""
        self._owners[partition] = owner

    async def look_up(self, refs: Sequence[Ref]) -> list[Known]:
        """As `Ledger` says."""
        return [Known(self._row(ref), self._head(ref.lead_id)) for ref in refs]

    async def claim(
        self, partition: str, owner: str, refs: Sequence[Ref], *, at_ms: int, note_repeats: Sequence[bool]
    ) -> list[Grant]:
        """As `Ledger` says."""
        self._check_owner(partition, owner)
        return [self._claim_one(owner, ref, at_ms, notes=notes) for ref, notes in zip(refs, note_repeats, strict=True)]

    async def settle(self, partition: str, owner: str, settlements: Sequence[Settlement]) -> None:
        """As `Ledger` says."""
        has_partition = self._owners.get(partition) == owner
        for settlement in settlements:
            row = self._row(settlement.ref)
            may_write = has_partition or row.owner == owner or settlement.state == "delivered"
            if may_write and row.state != "delivered":
                self._settle_one(row, settlement)

    async def park(self, partition: str, owner: str, refs: Sequence[Ref]) -> None:
        """As `Ledger` says."""
        self._check_owner(partition, owner)
        for ref in refs:
            row = self._row(ref)
            if row.is_over_for(ref.copy):
                continue
            in_doubt = row.in_doubt or row.state == "sending"
            self._rows[ref.delivery_id] = replace(row, state="parked", copy=ref.copy, in_doubt=in_doubt)
            self._parked.setdefault(ref.lead_id, {})[ref.delivery_id] = ref.place

    async def repeats(self) -> Repeats:
        """As `Ledger` says."""
        return Repeats(len(self._repeated), tuple(self._repeated[-REPEATS_LISTED_MAX:]))

    async def disable(self, endpoint: str, at_ms: int) -> None:
        """As `Ledger` says."""
        self._disabled.setdefault(endpoint, at_ms)

    async def disabled_at_ms(self, endpoint: str) -> int | None:
        """As `Ledger` says."""
        return self._disabled.get(endpoint)

    async def enable(self, endpoint: str) -> bool:
        """As `Ledger` says."""
        return self._disabled.pop(endpoint, None) is not None

    def states(self, delivery_ids: Iterable[str]) -> list[State]:
        """The state of each of *delivery_ids*, for whoever looks on."""
        return [self._rows.get(delivery_id, Row()).state for delivery_id in delivery_ids]

    def _row(self, ref: Ref) -> Row:
        return self._rows.get(ref.delivery_id, Row())

    def _head(self, lead_id: str) -> str | None:
        parked = self._parked.get(lead_id)
        return min(parked, key=lambda delivery_id: (parked[delivery_id], delivery_id)) if parked else None

    def _check_owner(self, partition: str, owner: str) -> None:
        if self._owners.setdefault(partition, owner) != owner:
            raise ClaimLost(partition)

    def _claim_one(self, owner: str, ref: Ref, at_ms: int, *, notes: bool) -> Grant:
        row = self._row(ref)
        if row.is_over_for(ref.copy):
            return "none"
        if (row.state, row.owner, row.claimed_at_ms) == ("sending", owner, at_ms):
            return "again" if row.in_doubt else "first"
        in_doubt = row.in_doubt or row.state == "sending"
        self._rows[ref.delivery_id] = Row("sending", owner, at_ms, ref.copy, in_doubt)
        if not in_doubt:
            return "first"
        if notes:
            self._repeated.append(ref.delivery_id)
        return "again"

    def _settle_one(self, row: Row, settlement: Settlement) -> None:
        ref, state = settlement.ref, settlement.state
        in_doubt = row.in_doubt or state == "unknown"
        if state in ("pending", "unknown"):
            after: State = "unknown" if in_doubt else "pending"
        else:
            after = state
            self._unpark(ref)
        if settlement.was_there and ref.delivery_id in self._repeated:
            self._repeated.remove(ref.delivery_id)
        copy = max(row.copy, ref.copy)
        self._rows[ref.delivery_id] = replace(row, state=after, copy=copy, in_doubt=in_doubt, detail=settlement.detail)

    def _unpark(self, ref: Ref) -> None:
        parked = self._parked.get(ref.lead_id, {})
        parked.pop(ref.delivery_id, None)
        if not parked:
            self._parked.pop(ref.lead_id, None)
