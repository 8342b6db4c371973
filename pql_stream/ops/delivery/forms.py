"""
The tables of the settings file that every sink has, and what the form of a sink must be able to do.

What a table does not say is as the sink, the loop and the breaker have it by themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pql_stream.core.routes import Action, Route
from pql_stream.delivery.backoff import Backoff
from pql_stream.delivery.breaker import BreakerSettings
from pql_stream.delivery.limits import Rate
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.delivery.sink import Sink
from pql_stream.sinks.http import TOTAL_TIMEOUT_S
from pql_stream.sinks.mapping import OPTION
from pql_stream.sinks.templates import Templates

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

_RETRY = DeliverySettings()
_BREAKER = BreakerSettings()


class Form(BaseModel):
    """A table of the settings file: what is not known is refused, and a text is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @property
    def given(self) -> dict[str, Any]:
        """What stands in the file."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


class BackoffForm(Form):
    """`{ first_s = 0.5, most_s = 5 }`."""

    first_s: Seconds
    most_s: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first_s > self.most_s:
            raise ValueError("first_s is over most_s")
        return self

    def made(self) -> Backoff:
        """As the loop wants it."""
        return Backoff(self.first_s, self.most_s)


class RateForm(Form):
    """`[sinks.x.rate]`: at most *calls* in any *period_s*, shared by all workers."""

    calls: Count
    period_s: Seconds


class RetryForm(Form):
    """`[sinks.x.retry]`: as `delivery.settings` says; no *quick* or *parked* is as there."""

    calls_max: Annotated[int, Field(ge=1, le=1_000)] = _RETRY.calls_max
    quick_attempts: Count = _RETRY.quick_attempts
    quick: BackoffForm | None = None
    hold_s_max: Seconds = _RETRY.hold_s_max
    park_for_s: Seconds = _RETRY.park_for_s
    parked: BackoffForm | None = None
    give_up_after_s: Seconds = _RETRY.give_up_after_s
    profile_wait_s: Seconds = _RETRY.profile_wait_s
    suspect_after: Count = _RETRY.suspect_after


class BreakerForm(Form):
    """`[sinks.x.breaker]`: as `delivery.breaker` says."""

    failures_max: Count = _BREAKER.failures_max
    backoff: BackoffForm | None = None
    paused_from_s: Seconds = _BREAKER.paused_from_s
    quota_s: Seconds = _BREAKER.quota_s
    unauthorised_s: Seconds = _BREAKER.unauthorised_s


@dataclass(frozen=True, slots=True)
class Tools:
    """What sinks are made with. *tiers* are the live pack's; *now_s* is the Unix time."""

    templates: Templates
    tiers: tuple[str, ...]
    now_s: Callable[[], float]


class SinkForm(Form, ABC):
    """`[sinks.x]`: one destination with one credential."""

    OPTIONS: ClassVar[Mapping[Action, frozenset[str]]]
    """What the sink can do, and the options that a route to it may have for that."""
    MAPPING_OPTIONS: ClassVar[frozenset[str]] = frozenset({OPTION})
    """Those of the options that are tables of field to path."""

    type: str
    rate: RateForm | None = None
    retry: RetryForm | None = None
    breaker: BreakerForm | None = None
    timeout_s: Annotated[float, Field(ge=1, le=300)] = TOTAL_TIMEOUT_S

    @abstractmethod
    def open(self, tools: Tools) -> Sink:
        """
        The sink; it connects to nothing yet.

        Raises:
            InvalidSettings: one of the settings is of no use.
        """

    @abstractmethod
    def check_route(self, route: Route, tools: Tools) -> None:
        """
        Look at a *route* to this sink whose action and options are known ones.

        Raises:
            InvalidSettings: a value, or a template, is of no use.
        """

    def mappings(self) -> Mapping[str, Mapping[str, str]]:
        """Those of its own settings that are tables of field to path."""
        return {}

    def rate_of(self, sink: Sink) -> Rate:
        """The rate of *sink*: the one given, or the destination's own rule."""
        if self.rate is not None:
            return Rate(self.rate.calls, self.rate.period_s)
        return Rate(sink.traits.rate, sink.traits.rate_period_s)

    def delivery_settings(self) -> DeliverySettings:
        """How deliveries are tried."""
        return replace(DeliverySettings(), **_made(self.retry))

    def breaker_settings(self) -> BreakerSettings:
        """When nothing is tried."""
        return replace(BreakerSettings(), **_made(self.breaker))


def _made(form: Form | None) -> dict[str, Any]:
    """What *form* gives, in the loop's own types."""
    given = {} if form is None else form.given
    return {name: value.made() if isinstance(value, BackoffForm) else value for name, value in given.items()}
