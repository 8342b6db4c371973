"""Everything that the deliveries of one sink share, whatever their partition."""

from __future__ import annotations

from dataclasses import dataclass

from pql_stream.delivery.breaker import Breaker
from pql_stream.delivery.ports import Ports, SinkTopics
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.delivery.sink import Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """
    One sink with one credential, as one worker delivers to it.

    *owner* names the worker in the ledger: no other, before or after it, may have the same name.
    """

    name: str
    sink: Sink
    topics: SinkTopics
    owner: str
    settings: DeliverySettings
    breaker: Breaker
    ports: Ports
