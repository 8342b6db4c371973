"""The port to a destination: one attempt, one outcome per item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Action
from pql_stream.delivery.outcomes import Outcome
from pql_stream.wire.deliveries import Delivery


@dataclass(frozen=True, slots=True)
class Item:
    """
    One delivery and what is known of its lead. *profile* is None when the lead has none.

    *is_repeat*: an earlier attempt may have arrived; a sink that can ask the destination looks there first.
    The outcome is of the attempt alone: `Later` leaves open what an earlier one did.
    """

    delivery: Delivery
    profile: LeadProfile | None
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Traits:
    """
    What the delivery loop must know of a sink.

    *batch_max*: items in one attempt. *repeatable*: actions of which the destination recognises a repeat by our id,
    or of which the same again changes nothing; only of those may another attempt follow an unknown outcome unmarked.
    *needs_profile*: without contact data there is nothing to send. *rate*: calls per *rate_period_s*, the
    destination's own rule, for all of the credential or for each channel. *endpoint* names what the destination
    disables for all deliveries when it refuses one as "gone", by a hash, as an address may be a secret; "" where it
    never does.
    """

    batch_max: int
    repeatable: frozenset[Action]
    needs_profile: bool
    rate: int
    rate_period_s: float
    rate_scope: Literal["credential", "channel"] = "credential"
    endpoint: str = ""


class Sink(Protocol):
    """
    A destination.

    It never retries, never sleeps, and never raises for what a destination or the network does: that is an outcome.
    `asyncio.CancelledError` passes.
    """

    @property
    def traits(self) -> Traits: ...

    def channel_of(self, item: Item) -> str:
        """What a rate limit of scope "channel" is about; "" where there is none."""

    def calls_of(self, items: Sequence[Item]) -> int:
        """How many calls an attempt at *items* makes, as a rule: what the rate limit counts."""

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """One attempt at *items*, at most `traits.batch_max`: an outcome for each, in their order."""

    async def check(self) -> Outcome:
        """A harmless call that shows whether the credentials are good; where it cannot, `Delivered.detail` says so."""

    async def close(self) -> None:
        """Let go of connections."""
