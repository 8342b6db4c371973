"""
The Faust transport that hands an agent the records of a partition in batches: `pqlkafka://host:port`.

Group membership, assignor, agents, tables and recovery are Faust's; polling and the bookkeeping of offsets
are ours. Why: stock Faust loses records and stalls when recovery ends (it clears queues that were filled
meanwhile), and stays out of the group for ever after one failed join. The rules that close both:

1. A partition is polled only after a seek in the *current* assignment, and what was polled before a later
   seek is dropped (`ConsumerThread.positioned`).
2. Records of sources and standby changelogs are handed out only when `perform_seek` succeeded and the
   `resume_flow` after it was called: the queues are cleared right before that. Active changelogs: only in
   recovery.
3. What was polled and cannot be handed out is held, never dropped.
4. One `Track` per partition and assignment says what may be committed; Faust's acknowledgements are not used.
5. A revoke waits for the batches in work, then commits. What is not done in time ends the process: a later
   write would undo the next owner's work.
6. Whatever still hangs ends the process: a stall becomes a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import ConsumerStoppedError, KafkaError, RecordTooLargeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service, ServiceT

from pql_stream.errors import StreamLost
from pql_stream.stream.transport import background, internals, recovering
from pql_stream.stream.transport.batch import RecordBatch, Track
from pql_stream.stream.transport.ending import end_process
from pql_stream.stream.transport.thread import ConsumerThread, PollResult, RebalanceListener
from pql_stream.stream.transport.topics import BatchTopic
from pql_stream.stream.transport.watchdog import watch_progress

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp

_POLL_S = 0.25
_IDLE_S = 0.05
_POLL_ERRORS_MAX = 50
_THREAD_CALL_S = 30.0


class Consumer(driver.Consumer):
    """Faust's consumer with our own polling and commits."""

    RebalanceListener = RebalanceListener
    app: BatchApp
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # handed on to Faust
        self._tracks: dict[TP, Track] = {}
        self._wake = asyncio.Event()
        self._sought = False
        self._ready = False
        self._poll: asyncio.Future[PollResult] | None = None
        self._polling: frozenset[TP] = frozenset()
        self._poll_errors = 0
        super().__init__(*args, **kwargs)
        self._settings = self.app.settings

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group; only batch topics can be read."""
        plain = [topic for topic in self.app.topics if not isinstance(topic, BatchTopic)]
        if plain:
            raise TypeError(f"this transport reads BatchTopics only, not {plain}")
        await super().subscribe(topics)

    def tracks(self) -> Mapping[TP, Track]:
        """What is held, in work and finished of every source partition, for metrics and health."""
        return {tp: track for tp, track in self._tracks.items() if not self._is_changelog_topic(tp.topic)}

    @property
    def is_ready(self) -> bool:
        """Partitions are assigned and recovered, and their records are handed out."""
        return self._ready

    def wake(self) -> None:
        """Something that the delivery of records waits for may have happened."""
        self._wake.set()

    # --- life cycle

    def _lose(self) -> None:
        self._sought = self._ready = False
        for track in self._tracks.values():
            track.die()
        self._tracks = {}

    def stop_flow(self) -> None:
        """Hand out nothing from here on."""
        self._ready = False
        super().stop_flow()

    def resume_flow(self) -> None:
        """Sources too, when they were sought: the queues were cleared just before."""
        super().resume_flow()
        self._ready = self._sought
        if self._ready:
            self.app.membership.running()
        self.wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Hand out these again."""
        super().resume_partitions(tps)
        self.wake()

    def on_buffer_full(self, tp: TP) -> None:
        """A partition has one batch out at most: the pressure of Faust's queues says nothing."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As above."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """
        Faust's own search for livelocks reads bookkeeping that is not used here; `_watch_progress` replaces
        it.
        """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Wait for what is in work (in `wait_empty`), commit, and let go."""
        self.app.membership.joining()
        await super().on_partitions_revoked(revoked)
        # Of an app that stops Faust does nothing here: what is in work is still waited for, and finishes.
        await self._wait_done()
        self._lose()
        await self.app.release_partitions()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin anew: an older recovery may have resumed the flow while the group was joining."""
        self.stop_flow()
        self._lose()
        self.app.membership.assigned()
        self.app.take_partitions({tp.partition for tp in assigned if not self._is_changelog_topic(tp.topic)})
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Seek the sources to what is committed, and give each a new track."""
        # Shorter than the time after which Recovery would go on without the seek.
        sought = await asyncio.wait_for(
            self._thread.call_thread(self._thread.seek_sources, self._is_changelog_topic),
            self.app.conf.broker_request_timeout * 0.9,
        )
        if sought is None:
            return
        for tp, committed in sought.committed.items():
            old = self._tracks.pop(tp, None)
            if old is not None:
                old.die()
            self._tracks[tp] = Track(tp, sought.seek, committed, self.wake, self._may_grow)
        # Here, and not when Recovery says that a table is complete: it also says so of one that was overtaken.
        self.app.own_changelogs(sought.notes)
        self.app.giving_way.clear()
        self._sought = True

    @cached_property
    def _changelog_topics(self) -> frozenset[str]:
        return frozenset(table.topic for table in self.app.batch_tables())

    def _is_changelog_topic(self, topic: str) -> bool:
        return topic in self._changelog_topics

    async def wait_empty(self) -> None:
        """
        Wait until no batch is in work, repair the changelogs, and commit.

        The repair belongs here: a zombie that wakes up writes first and joins then, so what it wrote is in
        the log when its join revokes our partitions, and the next owner could not tell it from ours.
        """
        await self._wait_done()
        if self._ready_for_repair():
            await self._repair_changelogs()
        # When the app stops this is called twice, and the tables are closed in between.
        self._sought = False
        await super().wait_empty()

    async def _wait_done(self) -> None:
        """Wait until no batch is in work: work that can take long gives way."""
        self.app.giving_way.set()
        deadline_s = self.loop.time() + self._settings.revoke_timeout_s
        while any(track.taken for track in self._tracks.values()) and not self.app.crashed:
            if self.loop.time() > deadline_s:
                why = f"the group wants its partitions back, and {self._settings.revoke_timeout_s:.0f} s were too short"
                await end_process(self.app, StreamLost("a batch was not done in time for the hand-over", why=why))
                break
            self._wake.clear()
            await self._rest(0.2)

    def _ready_for_repair(self) -> bool:
        return self._sought and not self.app.crashed and self.app.lease.left_s() > 0.0

    async def _repair_changelogs(self) -> None:
        try:
            async with asyncio.timeout(self._settings.revoke_timeout_s / 2):
                await self.app.check_changelogs()
        except (StreamLost, KafkaError, TimeoutError) as exc:
            # The hand-over goes on: what a zombie may have written is then the next owner's state, as with
            # a crash here.
            self.log.warning("the changelogs were not checked before the hand-over: %r", exc)

    async def _rest(self, seconds: float) -> None:
        """Wait until somebody has called `wake`, at most *seconds*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    # --- commit

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:  # noqa: ARG002  # Faust's own list of acks
        if self.app.transactions is not None:
            return {}  # they are committed with their effects, and in no other way
        offsets = {tp: track.to_commit() for tp, track in self._tracks.items()}
        return {tp: offset for tp, offset in offsets.items() if offset is not None}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # A crash has stopped the thread, so its answer would never come. And after an error nothing is
        # committed.
        if self.app.crashed or self._thread.should_stop:
            return False
        tracks = self._tracks
        committed = await super()._commit(offsets)
        if committed:
            for tp, offset in offsets.items():
                if tp in tracks:
                    tracks[tp].committed = offset
        return committed

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's offset of each of *tps* as the broker knows it now."""
        call = self._thread.call_thread(self._thread.committed, list(tps))
        return cast("dict[TP, int | None]", await asyncio.wait_for(call, _THREAD_CALL_S))

    # --- delivery

    def _may_pass(self, tp: TP) -> bool:
        """May records of this partition be fetched and handed out now?"""
        if tp not in self._active_partitions or tp not in self._thread.positioned or not self.flow_active:
            return False
        if not self._is_changelog_topic(tp.topic):
            # Without a lease the agent could do nothing with it: after a broker was away, wait for a heartbeat.
            return self._ready and self.app.lease.left_s() > 0.0
        return self._ready or recovering.is_recovering(self.app, tp)

    def _track(self, tp: TP, seek: int) -> Track:
        track = self._tracks.get(tp)
        if track is None or track.seek != seek:
            track = self._tracks[tp] = Track(tp, seek, None, self.wake, self._may_grow)
        return track

    def _may_grow(self, track: Track) -> bool:
        """May the batch of *track* take in more? Not while one of the same number waits for it: they take turns."""
        if self.app.giving_way.is_set() or not self._is_current(track):
            return False
        beside = (other for tp, other in self.tracks().items() if tp.partition == track.tp.partition)
        return not any(other.batch is not None for other in beside if other is not track)

    def _is_current(self, track: Track) -> bool:
        return self._may_pass(track.tp) and self._thread.positioned.get(track.tp) == track.seek

    def _may_fetch(self, tp: TP) -> bool:
        track = self._tracks.get(tp)
        return self._may_pass(tp) and (track is None or not track.full(*self._batch_max(tp)))

    def _batch_max(self, tp: TP) -> tuple[int, int]:
        """The records and bytes of a batch."""
        if tp.topic in self.app.background.topics:
            return background.RECORDS_MAX, background.BYTES_MAX
        return self._settings.batch_records_max, self._settings.batch_bytes_max

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Faust's loop that moves records from the broker to the agents."""
        try:
            while not (internals.is_stopped(self) or internals.is_stopped(fetcher)):
                if self.flow_active:
                    await self._step()
                else:
                    await self.wait(self.can_resume_flow.wait())
        except (asyncio.CancelledError, ConsumerStoppedError):
            # Faust would take the end of this loop, which a stop cancels, for a crash.
            if not self.app.should_stop:
                raise
        except Exception as exc:
            await end_process(self.app, exc)
            raise
        finally:
            # A poll under way takes records that nobody receives: without positions nothing follows them.
            self._thread.forget_positions()

    async def _step(self) -> None:
        self._wake.clear()
        moved = False
        for tp in list(self._tracks):
            if tp.topic not in self.app.background.topics:
                moved |= await self._hand_out(tp)
        if self.app.background.topics and (last := self.app.background.ready(self.tracks())) is not None:
            moved |= await self._hand_out(last)
        if not moved and self.app.in_recovery:
            await self._pass_gaps()
        self._fetch()
        await self._rest(_IDLE_S)
        if self._poll is not None and self._poll.done():
            await self._receive(self._poll)

    def _fetch(self) -> None:
        """Keep a poll under way for every partition that has room."""
        wanted = [tp for tp in list(self._active_partitions) if self._may_fetch(tp)]
        wanted, bytes_max = self.app.background.to_fetch(wanted, self._settings.batch_bytes_max, self.tracks())
        if self._poll is not None:
            if not self._polling.issuperset(wanted):
                self._thread.interrupt_poll()
        elif wanted:
            self._polling = frozenset(wanted)
            call = self._thread.call_thread(self._thread.poll, wanted, _POLL_S, bytes_max)
            self._poll = asyncio.ensure_future(call)
            self._poll.add_done_callback(lambda _: self.wake())

    async def _receive(self, poll: asyncio.Future[PollResult]) -> None:
        self._poll = None
        try:
            polled, positions = poll.result()
        except KafkaError as exc:
            self._poll_errors += 1
            # aiokafka goes on behind a record that it could not fetch: that would lose it.
            fatal = isinstance(exc, ConsumerStoppedError | RecordTooLargeError)
            if fatal or self._poll_errors > _POLL_ERRORS_MAX:
                raise
            self.log.warning("poll failed, polling again: %r", exc)
            await self.sleep(0.2)
            return
        self._poll_errors = 0
        for tp, seek, chunks in polled:
            if seek is not None and self._thread.positioned.get(tp) == seek:
                hold = self._track(tp, seek).hold
                for chunk in chunks:
                    hold.add(chunk)
        for tp, seek, position in positions:
            if self._thread.positioned.get(tp) == seek:
                self._track(tp, seek).position = position

    async def _hand_out(self, tp: TP) -> bool:
        """One batch of what is held of *tp*; True when it went out."""
        track = self._tracks.get(tp)
        if track is None or not self._may_pass(tp):
            return False
        if self._thread.positioned.get(tp) != track.seek:
            track.hold.clear()
            return False
        if self._is_changelog_topic(tp.topic) and not recovering.taken_over(self.app, track):
            return False
        batch = track.next_batch(*self._batch_max(tp), self.app.consumer_generation_id)
        if batch is None:
            return False
        if not await self._send(batch):
            track.take_back(batch)
            return False
        return True

    async def _send(self, batch: RecordBatch) -> bool:
        """Give *batch* to Faust's conductor; False when the flow stopped first."""
        task = asyncio.ensure_future(self.callback(batch))
        await self.wait_first(task, self.suspend_flow.wait())
        if not task.done() or task.cancelled():
            return False
        task.result()
        return True

    async def _pass_gaps(self) -> None:
        """Tell Recovery which changelogs have no more records."""
        for tp in list(internals.recovery_of(self.app).active_tps):
            track = self._tracks.get(tp)
            if track is None or not self._is_current(track):
                continue
            end = recovering.end_of(self.app, track)
            if end is not None and not await self._send(end):
                track.release()

    @Service.task
    async def _watch_progress(self) -> None:
        await watch_progress(self)

    async def positions(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The next offset that each of *tps* will be read at."""
        call = self._thread.call_thread(self._thread.positions, list(tps))
        return cast("Mapping[TP, int]", await asyncio.wait_for(call, _THREAD_CALL_S))


class Transport(driver.Transport):
    """What the URL scheme `pqlkafka` stands for (entry point group `faust.transports`)."""

    Consumer = Consumer
