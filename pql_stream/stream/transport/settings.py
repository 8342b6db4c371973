"""What can be set on the batch transport, and which values make sense together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

Guarantee = Literal["at_least_once", "exactly_once"]

_MIB = 1024 * 1024
BATCH_RECORDS_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """Limits and times of one worker; seconds, milliseconds and bytes as the names say."""

    # exactly_once: the app has `transactions`, and an agent writes by nothing else.
    guarantee: Guarantee = "at_least_once"
    # How long the broker may hold back an answer that has no record. Stock Faust has 1500.
    fetch_max_wait_ms: int = 50
    # Of one partition in one fetch, compressed.
    fetch_bytes_max: int = _MIB
    # The size of a batch. A partition has at most one batch in work and one filling, so twice this is what it
    # takes of memory, plus the chunk by which a poll overshoots and one fetch.
    batch_records_max: int = BATCH_RECORDS_MAX
    batch_bytes_max: int = 8 * _MIB
    commit_interval_s: float = 0.5
    session_timeout_s: float = 20.0
    heartbeat_interval_s: float = 2.0
    rebalance_timeout_s: float = 60.0
    # Taken off the session timeout, for the time between a check of the lease and its effect.
    lease_margin_s: float = 4.0
    # A partition is handed over when its batch in work is done; after this time the process ends instead.
    revoke_timeout_s: float = 30.0
    # The process ends when nothing moved for so long although there was something to do.
    stall_timeout_s: float = 120.0
    # Between two looks at the ends of the owned changelog partitions.
    changelog_check_s: float = 3.0

    def __post_init__(self) -> None:
        if min(self.batch_records_max, self.batch_bytes_max, self.fetch_bytes_max) < 1:
            raise ValueError("a batch and a fetch hold at least one record and one byte")
        if not self.heartbeat_interval_s * 3 <= self.session_timeout_s - self.lease_margin_s:
            raise ValueError("the session needs room for three heartbeats beside the lease margin")
        # A rebalance must not end, and give our partitions away, while our last answered heartbeat still
        # counts.
        if not self.session_timeout_s <= self.rebalance_timeout_s:
            raise ValueError("session_timeout_s is at most rebalance_timeout_s")
        if not self.revoke_timeout_s < self.rebalance_timeout_s < self.stall_timeout_s:
            raise ValueError("revoke_timeout_s < rebalance_timeout_s < stall_timeout_s is needed")

    @classmethod
    def of_session(
        cls,
        session_timeout_s: float,
        *,
        guarantee: Guarantee = "at_least_once",
        batch_records_max: int = BATCH_RECORDS_MAX,
    ) -> Self:
        """
        Times that follow from the session timeout.

        Faust's defaults of 60 s make a join take up to a minute. A rebalance may take twice the session; a
        worker waits for its batch in work for less than that, and is stalled when nothing moves for longer.
        """
        return cls(
            guarantee=guarantee,
            batch_records_max=batch_records_max,
            session_timeout_s=session_timeout_s,
            heartbeat_interval_s=session_timeout_s / 10,
            lease_margin_s=session_timeout_s / 5,
            rebalance_timeout_s=session_timeout_s * 2,
            revoke_timeout_s=session_timeout_s,
            stall_timeout_s=session_timeout_s * 6,
        )

    @property
    def lease_s(self) -> float:
        """How long an answered heartbeat entitles to write, counted from when it was sent."""
        return self.session_timeout_s - self.lease_margin_s
