"""Where a delivery that is not delivered goes: back in place, to the parked topic, or to the dead letters."""

from __future__ import annotations

import msgspec

from pql_stream.delivery.lanes import Lane, Lanes
from pql_stream.delivery.outcomes import RefusalReason
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.parking import parked
from pql_stream.delivery.recording import Recorder


class Triage:
    """
    Decides for the lanes of one batch, and tells the recorder.

    *attempts_max*: so many failures are borne in place. The parked topic bears one, as everything there waits for
    whoever comes first.
    """

    def __init__(self, outlet: Outlet, lanes: Lanes, recorder: Recorder, attempts_max: int) -> None:
        self._settings = outlet.settings
        self._ports = outlet.ports
        self._lanes = lanes
        self._recorder = recorder
        self._attempts_max = attempts_max

    def refuse(self, lane: Lane, reason: RefusalReason, detail: str = "") -> None:
        """To the dead letters; the next of the lead goes on."""
        self._recorder.refuse(lane.first, reason, detail)
        self._lanes.advance(lane)

    def delay(self, lane: Lane, failures: int, asked_s: float | None = None) -> None:
        """Once more, in place."""
        wait_s = self._settings.quick.wait_s(failures, self._ports.chance(), asked_s)
        self._lanes.delay(lane, self._ports.monotonic_s() + wait_s)

    def failed_alone(self, lane: Lane, detail: str, asked_s: float | None = None) -> None:
        """The first of *lane* is to blame for its failure itself, or its channel is, and others pass."""
        work = lane.first
        work.failures += 1
        failing_s = self._failing_s(lane)
        if failing_s >= self._settings.give_up_after_s:
            self.refuse(lane, "gave_up", detail)
        elif work.failures >= self._attempts_max or (asked_s or 0.0) > self._settings.hold_s_max:
            # By the time that it has been failing, and not by its attempts: most of them may be an outage's.
            doublings = int(failing_s / self._settings.park_for_s).bit_length()
            self.park(lane, wait_s=self._settings.parked.wait_s(1 + doublings, self._ports.chance(), asked_s))
        else:
            self.delay(lane, work.failures, asked_s)

    def without_profile(self, lane: Lane) -> None:
        """There is no contact data: it may be on its way, but not for ever."""
        if self._failing_s(lane) >= self._settings.profile_wait_s:
            self.refuse(lane, "no_profile")
        else:
            self.park(lane)

    def park(self, lane: Lane, *, wait_s: float | None = None) -> None:
        """All of *lane* to the parked topic: behind the first, in order. The first is not tried for *wait_s*."""
        now_ms = self._ports.time_ms()
        first = lane.first
        for work in lane.works:
            not_before_ms = work.delivery.not_before_ms
            if work is first and wait_s is not None:
                not_before_ms = now_ms + round(wait_s * 1000)
            copy = parked(work, now_ms=now_ms, park_for_s=self._settings.park_for_s, not_before_ms=not_before_ms)
            self._recorder.park(work, copy)
        self._lanes.close(lane)

    def _failing_s(self, lane: Lane) -> float:
        """Seconds since the first of *lane* began to fail alone, which is now if it never did."""
        work, now_ms = lane.first, self._ports.time_ms()
        since_ms = work.delivery.first_failed_at_ms
        if since_ms is None:
            work.delivery = msgspec.structs.replace(work.delivery, first_failed_at_ms=now_ms)
            return 0.0
        return (now_ms - since_ms) / 1000
