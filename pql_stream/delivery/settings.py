"""What an operator may set of the delivery loop, and what is good for most."""

from __future__ import annotations

from dataclasses import dataclass, field

from pql_stream.delivery.backoff import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """
    How one sink's deliveries are tried.

    *calls_max*: calls under way at once, for each partition. What fails alone is tried *quick_attempts* times in
    place, *quick* apart, as long as no wait is over *hold_s_max*; then it is parked for *park_for_s* at a time, and
    tried again *parked* apart. *give_up_after_s* after it began to fail alone it goes to the dead letters; after
    *profile_wait_s* if what it lacks is contact data.

    *suspect_after*: when everything in work has failed so often with the sink, and nothing passed, it may be the
    deliveries and not the sink. The sink is asked; if it says that it is well, they are parked one after the other,
    so that others come to be tried.

    *ledger*: between attempts to reach the ledger.
    """

    calls_max: int = 8
    quick_attempts: int = 3
    quick: Backoff = field(default_factory=lambda: Backoff(0.5, 5.0))
    hold_s_max: float = 10.0
    park_for_s: float = 60.0
    parked: Backoff = field(default_factory=lambda: Backoff(60.0, 3600.0))
    give_up_after_s: float = 86_400.0
    profile_wait_s: float = 300.0
    suspect_after: int = 10
    ledger: Backoff = field(default_factory=lambda: Backoff(0.2, 5.0))
