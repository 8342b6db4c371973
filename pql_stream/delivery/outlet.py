"""Everything that the deliveries of one sink share, whatever their partition."""

from __future__ import annotations

from dataclasses import dataclass

from pql_stream.delivery.breaker import Breaker
from pql_stream.delivery.ports import Ports, SinkTopics
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.delivery.sink import Sink
from pql_stream.delivery.switch import Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """
    One sink with one credential, as one worker delivers to it.

    *owner* names the worker in the ledger: no other, before or after it, may have the same name. *finish_s*: how long
    a batch that gives way waits for its calls under way; then it cuts them off.
    """

    name: str
    sink: Sink
    topics: SinkTopics
    owner: str
    finish_s: float
    settings: DeliverySettings
    breaker: Breaker
    switch: Switch
    ports: Ports
