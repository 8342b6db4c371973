"""All simulated leads at once, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from pql_stream.testing.simulation.forms import Activity, Form, encode, lead_id_of
from pql_stream.testing.simulation.trials import (
    DEFAULT_START_MS,
    Scenario,
    Trial,
    plan_trial,
    visit_activities,
)

_Place = tuple[int, int, int, int]
"""Time, lead, visit, and place in the visit: unique, so the heap never compares what comes after it."""
_OPENS = -1
"""The place of the visit itself, before that of its first activity."""


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """One record for `product-activity`: *value* is a JSON object in UTF-8, without a line end."""

    lead_id: str
    occurred_at_ms: int
    value: bytes

    @property
    def key(self) -> bytes:
        """The lead id, as producers key the topic."""
        return self.lead_id.encode()


def simulate(
    leads: int, seed: int = 1, days: int = 14, start_ms: int = DEFAULT_START_MS, form: Form = "native"
) -> Iterator[SimulatedEvent]:
    """
    The events of *leads* trials within *days* days from *start_ms*, in the order of time.

    A lead does the same in every form. In memory lie the plans of the trials under way and the
    activities of the visits under way, so memory grows with how many leads are active at one time,
    never with the number of events.

    Raises:
        ValueError: leads under 1, days outside 1 and `DAYS_MAX`, a start before 2000. At the call,
            not at the first event.
    """
    scenario = Scenario(leads=leads, seed=seed, days=days, start_ms=start_ms)
    return (
        SimulatedEvent(lead_id_of(activity, form), activity.at_ms, encode(activity, form))
        for activity in _in_order(scenario)
    )


def _in_order(scenario: Scenario) -> Iterator[Activity]:
    heap: list[tuple[_Place, Trial | Activity]] = []

    def await_visit(trial: Trial, visit: int) -> None:
        heappush(heap, ((trial.visits_ms[visit], trial.number, visit, _OPENS), trial))

    await_visit(plan_trial(scenario, 0), 0)
    while heap:
        (_, number, visit, _), next_up = heappop(heap)
        if isinstance(next_up, Activity):
            yield next_up
            continue
        for place, activity in enumerate(visit_activities(scenario, next_up, visit)):
            heappush(heap, ((activity.at_ms, number, visit, place), activity))
        if visit + 1 < len(next_up.visits_ms):
            await_visit(next_up, visit + 1)
        # Trials start in the order of their numbers: the next one cannot be due before this one was.
        if visit == 0 and number + 1 < scenario.leads:
            await_visit(plan_trial(scenario, number + 1), 0)
