"""
What the outcomes of one call mean: for the sink, for the channel, for each delivery.

The hard question is who is to blame for a failure that looks like the sink's. A destination that answers 500 to one
payload for ever must not hold up its partition, and an outage must not send anything to the dead letters. Evidence
that a delivery fails alone: others pass while it fails. When everything in work fails and there are no others, the
sink itself is asked (`Sink.check`), after `DeliverySettings.suspect_after` attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pql_stream.delivery.breaker import Permit, is_about_all
from pql_stream.delivery.channels import Channels
from pql_stream.delivery.lanes import Lane, Lanes
from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused, Unknown
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.recording import Recorder
from pql_stream.delivery.sink import Item
from pql_stream.delivery.triage import Triage


@dataclass(slots=True, eq=False)
class Call:
    """One attempt at the first delivery of each of *lanes*, all through one *channel*."""

    channel: str
    permit: Permit
    lanes: list[Lane] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


class Verdicts:
    """
    Applies the outcomes of calls to the lanes of one batch. `size_max`: items in one call, for now.

    `suspected` has the calls, and their lanes that failed, of which somebody must ask the sink; see `judge`.
    """

    def __init__(self, outlet: Outlet, lanes: Lanes, channels: Channels, recorder: Recorder, triage: Triage) -> None:
        self._outlet = outlet
        self._lanes = lanes
        self._channels = channels
        self._recorder = recorder
        self._triage = triage
        self.size_max = outlet.sink.traits.batch_max
        self.suspected: list[tuple[Call, Sequence[Lane]]] = []

    def apply(self, call: Call, outcomes: Sequence[Outcome]) -> None:
        """*outcomes* has one for each item of *call*."""
        self._tell_breaker(call, outcomes)
        with_channel: list[tuple[Lane, Later]] = []
        with_sink: list[Lane] = []
        for lane, outcome in zip(call.lanes, outcomes, strict=True):
            work = lane.first
            match outcome:
                case Delivered():
                    self._recorder.delivered(work, outcome, self._outlet.ports.time_ms())
                    self._channels.passed(call.channel)
                    self._lanes.advance(lane)
                case Refused():
                    if outcome.reason == "gone":
                        self._outlet.switch.disable()
                    self._recorder.refused(work, outcome)
                    self._lanes.advance(lane)
                case Later():
                    work.attempted()
                    self._recorder.later(work, outcome.detail or outcome.reason)
                    self._later(lane, outcome, with_channel, with_sink)
                case _:  # Unknown
                    work.attempted()
                    self._recorder.unknown(work, outcome.detail)
                    with_sink.append(lane)
        if with_channel:
            self._channel_failed(call, with_channel)
        if with_sink:
            self._sink_failed(call, with_sink)

    def bug(self, call: Call) -> None:
        """Our own code failed on *call*: on whose account is known when it failed on one delivery."""
        self._outlet.breaker.leave(call.permit)
        for lane in call.lanes:
            # Nobody knows how far it came.
            self._recorder.unknown(lane.first, "internal_error")
            lane.first.attempted()
            if len(call.lanes) == 1:
                self._triage.refuse(lane, "internal_error")
            else:
                self._triage.delay(lane, 1)
        self._halve(call)

    def _later(self, lane: Lane, outcome: Later, with_channel: list[tuple[Lane, Later]], with_sink: list[Lane]) -> None:
        match outcome.scope:
            case "item":
                self._triage.failed_alone(lane, outcome.detail or outcome.reason, outcome.after_s)
            case "channel":
                with_channel.append((lane, outcome))
            case "sink" if is_about_all(outcome):
                self._triage.delay(lane, 1)  # the breaker has the whole sink wait; it is nobody's fault here
            case _:
                with_sink.append(lane)

    def _tell_breaker(self, call: Call, outcomes: Sequence[Outcome]) -> None:
        breaker = self._outlet.breaker
        with_sink = [one for one in outcomes if isinstance(one, Later) and one.scope == "sink"]
        about_all = [one for one in with_sink if is_about_all(one)]
        if about_all:
            breaker.failed(call.permit, max(about_all, key=lambda one: one.after_s or 0.0))
        elif len(with_sink) + sum(isinstance(one, Unknown) for one in outcomes) < len(outcomes):
            breaker.passed(call.permit)
            self.size_max = self._outlet.sink.traits.batch_max
        else:
            breaker.failed(call.permit, with_sink[0] if with_sink else Later("unavailable"))

    def _channel_failed(self, call: Call, failed: Sequence[tuple[Lane, Later]]) -> None:
        asked_s = max((why.after_s or 0.0 for _, why in failed), default=0.0)
        self._channels.failed(call.channel, asked_s, self._outlet.ports.monotonic_s())
        for lane, why in failed:
            self._triage.failed_alone(lane, why.detail or why.reason, why.after_s)

    def _sink_failed(self, call: Call, lanes: Sequence[Lane]) -> None:
        passes = self._outlet.breaker.passes
        alone = any(lane.first.passes_seen < passes for lane in lanes)
        for lane in lanes:
            lane.first.tries += 1
            lane.first.passes_seen = passes
        if not alone and self._all_suspect(lanes[0]):
            self.suspected.append((call, lanes))
            return
        if alone and len(call.lanes) > 1:
            self._halve(call)
        for lane in lanes:
            if alone and len(call.lanes) == 1:
                self._triage.failed_alone(lane, "unavailable")
            else:
                self._triage.delay(lane, lane.first.tries)

    def judge(self, *, sink_is_well: bool) -> None:
        """Everything fails; the sink was asked. If it is well it is the deliveries, and they make way for others."""
        suspected, self.suspected = self.suspected, []
        for call, lanes in suspected:
            if sink_is_well and len(call.lanes) > 1:
                self._halve(call)
            for lane in lanes:
                if sink_is_well and len(call.lanes) == 1:
                    # Not as failing alone: what is tried next may show that it was the sink after all.
                    self._triage.park(lane)
                    continue
                if not sink_is_well:
                    lane.first.tries = 0
                self._triage.delay(lane, 1)

    def _all_suspect(self, failed: Lane) -> bool:
        """Has everything in work failed too often, with nothing passing?"""
        tries_max = self._outlet.settings.suspect_after
        # Asked of the one that failed first, as it is seldom true.
        return failed.first.tries >= tries_max and all(lane.first.tries >= tries_max for lane in self._lanes)

    def _halve(self, call: Call) -> None:
        """Smaller calls find the one that makes its call fail; those without it pass, and the size is whole again."""
        self.size_max = max(len(call.lanes) // 2, 1)
