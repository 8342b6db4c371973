"""
What the contract suite asks of a bench, and the items it sends.

A new sink adds `sink_benches/<sink>.py` with a class that fits `SinkBench` and a line in `SINK_BENCHES` of
`test_sinks.py`; no test.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Action
from pql_stream.delivery.outcomes import Outcome
from pql_stream.delivery.sink import Item, Sink
from pql_stream.testing.destinations.faults import FaultScript
from pql_stream.testing.destinations.journal import Journal
from pql_stream.wire.deliveries import Delivery

NOW_S = 1_800_000_000.0
"""What every clock of a bench shows, those of its sinks and of its fake: Fri, 15 Jan 2027 08:00:00 GMT."""
TOTAL_TIMEOUT_S = 30.0
SHORT_TIMEOUT_S = 1.0
"""Long enough for a fake on a busy machine to have its effect, short enough to wait for."""


class SinkBench(Protocol):
    """
    A running fake and sinks that point at it.

    *faults* and *journal* are the fake's; they are of deliveries: a request for a token neither takes a step of the
    script nor has an effect. Each good item has one effect.

    *secrets*: credentials that may show up nowhere. *is_http*: statuses and headers make sense to it.
    *finds_repeats*: a repeat is recognised, by the destination (`traits.repeatable`) or because the sink looks there
    for an item with `is_repeat`. *detects_no_op*: the destination says what it did, so that a friendly answer
    without an effect can be told.
    """

    faults: FaultScript
    journal: Journal
    secrets: Sequence[str]
    is_http: bool
    finds_repeats: bool
    detects_no_op: bool

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> Sink:
        """A fresh sink with the clock at `NOW_S`; *is_down*: nobody listens where it points. The suite closes it."""

    def item(self, number: int) -> Item:
        """A good item, `make_item` of *number* and what the sink needs."""

    def bad_item(self, number: int) -> Item:
        """As `item`, but it alone will not be taken, whether the sink or the destination finds that out."""

    async def close(self) -> None:
        """Stop the fake."""


def make_item(
    number: int,
    *,
    sink: str,
    action: Action,
    options: Mapping[str, Any] | None = None,
    with_profile: bool = True,
) -> Item:
    """The qualification of lead *number*, on its way to *sink*."""
    lead_id = f"lead-{number}"
    return Item(
        Delivery(
            delivery_id=f"{number:032x}",
            sink=sink,
            route="to-sales",
            action=action,
            lead_id=lead_id,
            of="pql-qualified",
            record=qualified_record(lead_id),
            options=dict(options or {}),
            decided_at_ms=int(NOW_S * 1000),
        ),
        make_profile(number) if with_profile else None,
    )


def make_profile(number: int) -> LeadProfile:
    """Contact data of lead *number*, all of it known."""
    return LeadProfile(
        f"lead-{number}",
        email=f"ada{number}@customer.example",
        first_name="Ada",
        last_name="Lovelace-Byron",
        title="Head of Engines",
        company="Analytical Engines Ltd",
        phone="+44 20 7946 0000",
        timezone="Europe/London",
        locale="en-GB",
        consent=True,
    )


PERSONAL = ("@customer.example", "Lovelace-Byron", "Analytical Engines", "7946 0000")
"""What shows up where contact data leaks."""


def qualified_record(lead_id: str) -> dict[str, Any]:
    """A record of pql-qualified, as published."""
    return {
        "qualification_id": f"q-{lead_id}",
        "schema": "pql-qualified/1",
        "mode": "live",
        "lead_id": lead_id,
        "account_id": "account-1",
        "pack": "pql100",
        "pack_version": 1,
        "tier": "gold",
        "tier_before": "silver",
        "score": 82.5,
        "sales_ready": True,
        "handoff": "standard",
        "occurred_at": "2027-01-15T07:59:58.000Z",
        "change_id": f"c-{lead_id}",
        "reasons": ["Ran 12 workflows, <more> than most & growing", "A team of 8"],
        "profile": {"workflows": 12, "team_size": 8, "industry": "manufacturing"},
    }


def closed_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def deliver_all(sink: Sink, items: Sequence[Item]) -> list[Outcome]:
    """The outcome of each of *items*, in attempts as large as *sink* takes."""
    outcomes: list[Outcome] = []
    for first in range(0, len(items), sink.traits.batch_max):
        outcomes += await sink.deliver(items[first : first + sink.traits.batch_max])
    return outcomes
