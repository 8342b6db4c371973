"""What the delivery of one sink works on: records in and out, contact data, numbers, time and chance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.breaker import BreakerState
from pql_stream.delivery.ledger import Ledger
from pql_stream.delivery.limits import Limiter
from pql_stream.delivery.outcomes import RefusalReason
from pql_stream.wire.records import OutRecord, SourceBatch


class DeliveryBatch(SourceBatch, Protocol):
    """Records of one partition of a sink's topic, or of its parked one."""

    @property
    def generation_id(self) -> int:
        """Changes when the partition is assigned anew."""


class Stop(Protocol):
    """Set when a batch in work must give way; an `asyncio.Event` is one."""

    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


class Outputs(Protocol):
    """The way out for parked records and dead letters."""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Send *records* in order; returns when all are acknowledged."""


class Profiles(Protocol):
    """Contact data, as far as it was read."""

    def of(self, partition: int, lead_id: str) -> LeadProfile | Literal["erased"] | None:
        """
        What is known of a lead of *partition*; "erased" when it asked to be forgotten.

        Raises:
            PqlError: what is there cannot be read, whatever the lead; the worker ends.
        """


class Entitlement(Protocol):
    """Whether the consumer group still counts on this worker: one that was frozen may not know that it is out."""

    @property
    def is_good(self) -> bool:
        """Nobody else can have been given our partitions."""

    @property
    def confirmations(self) -> int:
        """How often the group has said so. When it has said so twice more, it was asked after now."""


SinkState = Literal[BreakerState, "disabled"]
"""That of its breaker, unless the destination has disabled its endpoint: see `Switch`."""

SINK_STATES: dict[SinkState, int] = {"closed": 0, "half_open": 1, "open": 2, "paused": 3, "disabled": 4}
"""As a metric."""


OutcomeName = Literal["delivered", "duplicate", "later", "refused", "unknown"]
"""What came of one attempt at one item. *duplicate*: the destination had it already."""


DispatchOutcome = Literal["routed", "unrouted", "skipped", "failed"]
"""Of a published record: it became deliveries; no route takes it; it is none of ours; our own code failed on it."""


@dataclass(slots=True)
class DeliveryReport:
    """
    What happened since the last report, all of it acknowledged.

    *delivered_s*: of each delivery that was made, seconds since the published record was written. *dead_letters*
    counts by reason; *superseded*: deliveries whose values a later one carried; *repeated*: attempts that an earlier
    one may have made already.
    """

    outcomes: dict[OutcomeName, int] = field(default_factory=dict)
    delivered_s: list[float] = field(default_factory=list)
    dead_letters: dict[RefusalReason, int] = field(default_factory=dict)
    parked: int = 0
    superseded: int = 0
    repeated: int = 0


class DeliveryMeter(Protocol):
    """Takes the numbers of one worker. Never raises, never waits."""

    def reported(self, sink: str, report: DeliveryReport) -> None:
        """Something happened."""

    def dispatched(self, topic: str, outcomes: Mapping[DispatchOutcome, int]) -> None:
        """What became of the records of a batch of *topic*, all acknowledged."""

    def stands(self, sink: str, state: SinkState, oldest_pending_at_ms: int | None) -> None:
        """
        How *sink* stands now.

        The age of what waits longest is now less *oldest_pending_at_ms* (None: nothing is in work): it grows while
        nobody reports.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """
    Everything outside.

    *monotonic_s* never goes back; *time_ms* is milliseconds since 1970. *chance* gives random numbers in [0, 1).
    *log_bug* takes the traceback of what our own code failed on.
    """

    ledger: Ledger
    entitlement: Entitlement
    limiter: Limiter
    outputs: Outputs
    profiles: Profiles
    meter: DeliveryMeter
    log_bug: Callable[[str], None]
    monotonic_s: Callable[[], float]
    time_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]


@dataclass(frozen=True, slots=True)
class SinkTopics:
    """The full names of one sink's topics."""

    deliveries: str
    parked: str
    dead_letters: str
