"""The section that compares: every contender on every stream, in turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench.lineup import Contender
from tests.bench.load import EVENTS_A_LEAD_MIN, Load, Stream
from tests.bench.results import Run
from tests.bench.session import Session, say

COLD_SHARE = 1 / 3
"""A change costs about three times a quiet event: so a run of either stream takes about as long."""
STRETCH_MAX = 10
"""A contender sits out where the leads need more than this many times its share of the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One comparison: *events* is what a contender with a share of 1 gets."""

    stream: Stream
    leads: int
    events: int

    def load_of(self, contender: Contender) -> Load | None:
        """The piece of the stream that *contender* gets; None where it would need far more than its share."""
        is_cold = self.stream == "cold"
        share = self.events * contender.share * (COLD_SHARE if is_cold else 1)
        needed = 0 if is_cold else EVENTS_A_LEAD_MIN * self.leads
        if needed > STRETCH_MAX * share:
            return None
        return Load(stream=self.stream, leads=self.leads, events=max(int(share), needed, contender.events_min))


def compare(session: Session, field: Field, contenders: Sequence[Contender], reps: int) -> Iterator[Run]:
    """*reps* rounds in which all *contenders* take turns, so that a slow minute of the machine meets all of them."""
    loads: dict[Load, list[Contender]] = defaultdict(list)
    for contender in contenders:
        load = field.load_of(contender)
        if load is None:
            say(f"{contender.title} sits out {field.stream} with {field.leads:,} leads: it would take too long")
        else:
            loads[load].append(contender)
    with ExitStack() as stack:
        inputs = {load: stack.enter_context(session.input(load)) for load in loads}
        for rep in range(reps):
            for load, takers in loads.items():
                for contender in takers:
                    run = session.run(contender, inputs[load])
                    say(f"  {rep + 1}/{reps} {contender.title}: {sentence(run)}")
                    yield run


def sentence(run: Run) -> str:
    """How a run went, for the progress."""
    if run.throughput is None:
        return f"FAILED: {run.failed}"
    rate, cpu = run.throughput.events_per_s, run.throughput.cpu_s_per_million
    verdict = "" if run.is_right else f"; WRONG: {'; '.join(run.checked.faults) if run.checked else ''}"
    return f"{rate:,.0f} events/s, {cpu:.1f} CPU s a million, {run.throughput.memory_peak_mb:.0f} MB{verdict}"
