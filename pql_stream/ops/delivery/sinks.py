"""The settings file -> sinks, each with its limits, ready for the app that delivers."""

from __future__ import annotations

from dataclasses import dataclass

from pql_stream.delivery.breaker import BreakerSettings
from pql_stream.delivery.limits import Rate
from pql_stream.delivery.ports import SinkTopics
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.delivery.sink import Sink
from pql_stream.ops.delivery.config import DeliveryConfig
from pql_stream.stream.names import sink_topics


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSink:
    """One sink as the operator wants it; *sink* connects when it is first asked for something."""

    name: str
    sink: Sink
    topics: SinkTopics
    rate: Rate
    settings: DeliverySettings
    breaker: BreakerSettings


def open_sinks(config: DeliveryConfig, prefix: str) -> tuple[OpenSink, ...]:
    """Every sink of *config*, sorted by name; whoever opens them closes them. *prefix* is that of the topics."""
    opened = []
    for name, form in sorted(config.sinks.items()):
        assert config.tools is not None, "a file with sinks has been read"  # noqa: S101 - our own mistake
        sink = form.open(config.tools)
        opened.append(
            OpenSink(
                name=name,
                sink=sink,
                topics=sink_topics(name, prefix),
                rate=form.rate_of(sink),
                settings=form.delivery_settings(),
                breaker=form.breaker_settings(),
            )
        )
    return tuple(opened)
