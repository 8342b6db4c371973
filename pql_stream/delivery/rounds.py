"""
The only retry loop: everything of a batch is tried until it is delivered, refused or parked.

One task sees to a batch, alone: it takes what may be tried, claims it, starts the calls, waits for whatever comes
first, and writes down what came of it. Only the calls themselves run beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from pql_stream.delivery.admission import Admitted
from pql_stream.delivery.breaker import Permit
from pql_stream.delivery.bugs import traceback_without_text
from pql_stream.delivery.channels import Channels
from pql_stream.delivery.lanes import Lane, Lanes
from pql_stream.delivery.ledger import Grant
from pql_stream.delivery.outcomes import Delivered, Outcome
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.patience import CONFIRMED_EVERY_S, GivenWay, Patience
from pql_stream.delivery.recording import Recorder
from pql_stream.delivery.sink import Item
from pql_stream.delivery.triage import Triage
from pql_stream.delivery.verdicts import Call, Verdicts
from pql_stream.errors import ClaimLost, PqlError
from pql_stream.wire.deliveries import Delivery
from pql_stream.wire.records import SourceBatch


class Rounds:
    """
    The deliveries of one batch, or of the part of it that is due.

    *tell* is called after each round with what is left.
    """

    def __init__(
        self,
        outlet: Outlet,
        batch: SourceBatch,
        admitted: Admitted,
        recorder: Recorder,
        *,
        patience: Patience,
        tell: Callable[[Lanes], None],
    ) -> None:
        self._outlet = outlet
        self._ports = outlet.ports
        self._partition = batch.partition
        self._are_parked = batch.topic == outlet.topics.parked
        attempts_max = 1 if self._are_parked else outlet.settings.quick_attempts
        self._recorder = recorder
        self._patience = patience
        self._tell = tell
        self._heads = admitted.heads
        self._lanes = Lanes(admitted.works)
        self._channels = Channels(outlet.settings, attempts_max, outlet.ports.chance)
        self._triage = Triage(outlet, self._lanes, recorder, attempts_max)
        self._verdicts = Verdicts(outlet, self._lanes, self._channels, recorder, self._triage)
        self._moved: set[str] = set()
        self._gate_s: float | None = None
        self._taken: list[Call] = []
        self._tasks: dict[asyncio.Task[list[Outcome] | None], Call] = {}

    async def run(self) -> None:
        """
        Deliver; on return nothing is left to do here.

        Raises:
            GivenWay: the batch must give way; attempts that were under way are written down.
            ClaimLost: somebody else has the partition; likewise.
        """
        try:
            await self._flush()
            while self._lanes:
                self._patience.check()
                await self._round()
        except (GivenWay, ClaimLost):
            await self._finish_attempts()
            raise
        finally:
            await self._let_go()

    async def _round(self) -> None:
        self._gate_s = None
        self._lanes.wake(self._ports.monotonic_s())
        await self._take_calls()
        await self._flush()
        await self._launch()
        if self._lanes and not self._lanes.unchecked and not self._may_take():
            await self._wait()
        self._reap()
        await self._question()
        await self._flush()

    # --- before a call

    async def _take_calls(self) -> None:
        """As many calls as may be under way, and as the breaker and the limiter let pass."""
        while self._may_take():
            permit = self._outlet.breaker.enter()
            if not isinstance(permit, Permit):
                self._close_gate(permit)
                return
            call = self._next_call(permit)
            if call is None:
                self._outlet.breaker.leave(permit)
                return
            self._taken.append(call)
            wait_s = await self._patience.insist(partial(self._acquire, call))
            if wait_s > 0:
                self._put_back(call, wait_s)

    def _may_take(self) -> bool:
        under_way = len(self._tasks) + len(self._taken)
        return self._lanes.has_ready and self._gate_s is None and under_way < self._outlet.settings.calls_max

    def _close_gate(self, for_s: float) -> None:
        """Nothing is taken before that."""
        self._gate_s = self._ports.monotonic_s() + for_s

    async def _acquire(self, call: Call) -> float:
        name, sink = self._outlet.name, self._outlet.sink
        bucket = f"{name}/{call.channel}" if sink.traits.rate_scope == "channel" else name
        return await self._ports.limiter.acquire(bucket, max(sink.calls_of(call.items), 1))

    def _put_back(self, call: Call, wait_s: float) -> None:
        """The limiter does not let *call* pass yet."""
        self._taken.remove(call)
        self._outlet.breaker.leave(call.permit)
        if self._outlet.sink.traits.rate_scope == "channel":
            until_s = self._ports.monotonic_s() + wait_s
            self._channels.hold(call.channel, until_s)
            for lane in call.lanes:
                self._lanes.delay(lane, until_s)
        else:
            self._lanes.put_back(call.lanes)
            self._close_gate(wait_s)

    def _next_call(self, permit: Permit) -> Call | None:
        """The next lanes that are ready and share a channel; None when there are none."""
        call: Call | None = None
        others: list[Lane] = []
        while self._lanes.has_ready and (call is None or len(call.lanes) < self._verdicts.size_max):
            lane = self._lanes.take()
            if self._outlet.switch.is_disabled:
                self._triage.refuse(lane, "gone", "the endpoint is disabled")
                continue
            prepared = self._prepare(lane)
            if prepared is None:
                continue
            item, channel = prepared
            if call is None:
                call = Call(channel, permit)
            if call.channel == channel:
                call.lanes.append(lane)
                call.items.append(item)
            else:
                others.append(lane)
        self._lanes.put_back(others)
        return call

    def _prepare(self, lane: Lane) -> tuple[Item, str] | None:
        """The first of *lane* and its channel; None when it must not be tried now: the lane is seen to."""
        delivery = lane.first.delivery
        try:
            profile = self._ports.profiles.of(self._partition, delivery.lead_id)
            if profile == "erased":
                self._triage.refuse(lane, "unwanted", "erased")
                return None
            if profile is None and self._outlet.sink.traits.needs_profile:
                self._triage.without_profile(lane)
                return None
            item = Item(delivery, profile)
            channel = self._outlet.sink.channel_of(item)
        except PqlError:
            raise  # contact data that cannot be read at all: somebody must act, and no delivery is to blame
        except Exception:  # noqa: BLE001 - a bug of ours must cost one delivery, not the sink (STYLE.md 4)
            self._ports.log_bug(traceback_without_text())
            self._triage.refuse(lane, "internal_error")
            return None
        now_s = self._ports.monotonic_s()
        wait_s = self._channels.wait_s(channel, now_s)
        if self._channels.is_shut(channel):
            self._triage.park(lane, wait_s=wait_s)
            return None
        if wait_s > 0:
            self._lanes.delay(lane, now_s + wait_s)
            return None
        return item, channel

    # --- the calls

    async def _launch(self) -> None:
        """Claim what was taken, in one step, and start the calls."""
        if not self._taken:
            return
        if not self._ports.entitlement.is_good:
            self._put_all_back()
            return
        firsts = [lane.first for call in self._taken for lane in call.lanes]
        refs = [work.ref for work in firsts]
        at_ms = self._ports.time_ms()
        note_repeats = [self._repeat_counts(work.delivery) for work in firsts]
        grants = await self._patience.insist(
            lambda: self._ports.ledger.claim(
                self._recorder.partition, self._outlet.owner, refs, at_ms=at_ms, note_repeats=note_repeats
            )
        )
        granted = iter(grants)
        for call in self._taken:
            self._grant(call, [next(granted) for _ in call.lanes])
        if self._patience.is_over:
            # Claimed while the ledger was slow; nothing new begins now.
            for call in self._taken:
                for lane in call.lanes:
                    self._recorder.untried(lane.first)
        self._patience.check()
        for call in self._taken:
            if call.lanes:
                self._tasks[asyncio.create_task(self._attempt(call))] = call
            else:
                self._outlet.breaker.leave(call.permit)
        self._taken = []

    def _put_all_back(self) -> None:
        """The partition may be somebody else's by now: nothing is claimed until the group has said that it is ours."""
        for call in reversed(self._taken):
            self._outlet.breaker.leave(call.permit)
            self._lanes.put_back(call.lanes)
        self._taken = []
        self._close_gate(CONFIRMED_EVERY_S)

    def _grant(self, call: Call, grants: list[Grant]) -> None:
        """Leave in *call* what may be sent."""
        lanes, items = call.lanes, call.items
        call.lanes, call.items = [], []
        for lane, item, grant in zip(lanes, items, grants, strict=True):
            if grant == "none":
                # Somebody parked it, or delivered it, since the batch began: what was known of its lead is old.
                self._moved.add(lane.first.delivery.lead_id)
                self._lanes.advance(lane)
                continue
            is_repeat = grant == "again"
            if is_repeat and self._repeat_counts(item.delivery):
                self._recorder.ends.repeated += 1
            if not lane.first.tries:
                lane.first.passes_seen = self._outlet.breaker.passes
            call.lanes.append(lane)
            call.items.append(replace(item, is_repeat=is_repeat))

    def _repeat_counts(self, delivery: Delivery) -> bool:
        """Would it be noticed where it arrives?"""
        return delivery.action not in self._outlet.sink.traits.repeatable

    async def _attempt(self, call: Call) -> list[Outcome] | None:
        """The outcomes of *call*; None if our own code failed."""
        try:
            outcomes = await self._outlet.sink.deliver(call.items)
            if len(outcomes) == len(call.items):
                return outcomes
            self._ports.log_bug(f"{self._outlet.name}: {len(call.items)} items, {len(outcomes)} outcomes")
        except Exception:  # noqa: BLE001 - as in `_prepare`
            self._ports.log_bug(traceback_without_text())
        return None

    # --- after a call

    async def _wait(self) -> None:
        """Until something can be done."""
        now_s = self._ports.monotonic_s()
        times = [at_s for at_s in (self._lanes.next_at_s, self._gate_s) if at_s is not None]
        await self._patience.pause(max(min(times) - now_s, 0.0) if times else None, self._tasks)

    def _reap(self) -> None:
        """Apply what came of the calls that are over."""
        for task in [task for task in self._tasks if task.done()]:
            call = self._tasks.pop(task)
            outcomes = task.result()
            if outcomes is None:
                self._verdicts.bug(call)
            else:
                self._verdicts.apply(call, outcomes)

    async def _question(self) -> None:
        """Is it the sink, or what it is sent? Ask it, when the verdicts say so."""
        if not self._verdicts.suspected:
            return
        check = asyncio.create_task(self._check_sink())
        try:
            await self._patience.pause(None, [check])
            self._verdicts.judge(sink_is_well=check.done() and check.result())
        finally:
            check.cancel()

    async def _check_sink(self) -> bool:
        try:
            return isinstance(await self._outlet.sink.check(), Delivered)
        except Exception:  # noqa: BLE001 - as in `_prepare`
            self._ports.log_bug(traceback_without_text())
            return False

    async def _flush(self) -> None:
        """Write what came of deliveries, and see which of the next may be tried."""
        while True:
            await self._recorder.report(self._patience)
            if not self._lanes.unchecked:
                break
            await self._check()
        self._tell(self._lanes)

    async def _check(self) -> None:
        """May the first of each lane be tried, or is there an earlier one that waits elsewhere?"""
        unchecked, self._lanes.unchecked = self._lanes.unchecked, []
        to_ask: list[Lane] = []
        for lane in unchecked:
            lead_id = lane.first.delivery.lead_id
            if self._are_parked or lead_id in self._moved:
                to_ask.append(lane)
            # Only this partition parks deliveries of this lead, so what was known when the batch began still holds.
            elif lead_id in self._heads:
                self._triage.park(lane)
            else:
                self._lanes.make_ready(lane)
        if to_ask:
            await self._ask(to_ask)

    async def _ask(self, lanes: list[Lane]) -> None:
        refs = [lane.first.ref for lane in lanes]
        known = await self._patience.insist(lambda: self._ports.ledger.look_up(refs))
        for lane, one in zip(lanes, known, strict=True):
            delivery = lane.first.delivery
            is_head = one.head in (None, delivery.delivery_id)
            if one.row.is_over_for(delivery.copy):
                self._lanes.advance(lane)
            elif is_head and self._ports.time_ms() >= (delivery.not_before_ms or 0):
                self._lanes.make_ready(lane)
            else:
                self._triage.park(lane)

    # --- the end

    async def _finish_attempts(self) -> None:
        """
        Giving way: wait for the calls under way, and write down what came of them, if the ledger takes it.

        Not for ever: a destination that hangs must not cost the worker its place in the group.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._outlet.finish_s)
        self._reap()
        await self._cut_off()
        # What failed is left to the next owner: a copy that is written now, and that the ledger will not hear of,
        # would wait beside what that one does.
        self._recorder.leave_unparked()
        with suppress(GivenWay, ClaimLost):
            await self._recorder.report(self._patience)

    async def _cut_off(self) -> None:
        """End the calls that are still under way: nobody knows what became of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in self._tasks.values():
            self._outlet.breaker.leave(call.permit)
            for lane in call.lanes:
                self._recorder.unknown(lane.first, "cut off")
        self._tasks = {}

    async def _let_go(self) -> None:
        """Leave nothing behind: neither calls, when this task was cancelled, nor permits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in [*self._tasks.values(), *self._taken]:
            self._outlet.breaker.leave(call.permit)
