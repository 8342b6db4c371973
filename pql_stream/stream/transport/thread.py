"""The consumer's own thread: seeks, polls, and the watch over the group coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pql_stream.errors import StreamLost
from pql_stream.stream.transport import internals
from pql_stream.stream.transport.chunks import Chunk, PartitionChunks

if TYPE_CHECKING:
    from pql_stream.stream.transport.app import BatchApp

_WATCH_S = 0.5
_ERRORS_MAX = 60
# Chunks in one step of a poll. A poll ends at the first step that has enough bytes, so this is what it may
# overshoot by.
_STEP_CHUNKS = 4


class Polled(NamedTuple):
    """Records of one partition, and the number of the seek that they follow (None: there was none)."""

    tp: TP
    seek: int | None
    chunks: list[Chunk]


class PollResult(NamedTuple):
    """
    Records, and the next offset of every partition that was asked for.

    Both are of the same moment: an offset that was asked for later could lie behind records that are still on
    their way to the main thread.
    """

    polled: list[Polled]
    positions: list[tuple[TP, int, int]]  # partition, number of its seek, next offset


class Sought(NamedTuple):
    """The number of a seek; of every partition that was sought the committed offset, and the note with it."""

    seek: int
    committed: Mapping[TP, int | None]
    notes: Mapping[TP, str]


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Takes every position away in the moment the group begins to join, in the consumer's thread."""

    _thread: ConsumerThread

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Awaitable[None]:
        """Before anything else awaits: no poll under way may count from here."""
        self._thread.unposition()
        return super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """A poll between the two calls could have begun with the old positions."""
        self._thread.unposition()
        await super().on_partitions_assigned(assigned)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """
    Knows which partitions have a position of the current assignment.

    Everything here runs in the thread, and nothing awaits between a check and the change it allows.
    `positioned` is read from the main thread.
    """

    app: BatchApp

    def __post_init__(self) -> None:
        super().__post_init__()
        self.positioned: dict[TP, int] = {}
        self._seeks = 0
        self._poll_error: KafkaError | None = None
        self._poll_task: asyncio.Task[list[Polled]] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        settings = self.app.settings
        internals.tune(consumer, fetch_max_wait_ms=settings.fetch_max_wait_ms)
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and what watches over it."""
        await super().on_start()
        consumer = self._ensure_consumer()
        internals.watch_answers(consumer, self.app.lease)
        internals.note_commits(consumer, lambda tp: self.app.commit_note(ensure_TP(tp)))
        internals.wrap_fetched(consumer, PartitionChunks, may_wait=self.app.background.topics)
        self._watcher = asyncio.ensure_future(self._watch_coordinator())

    async def stop(self) -> None:
        """End the thread; a crash may have done so already."""
        if not self.thread_loop.is_closed():
            await super().stop()

    async def on_thread_stop(self) -> None:
        """Stop what `on_start` started."""
        if self._watcher is not None:
            self._watcher.cancel()
        # Before we leave the group, which then gives our partitions away: a crash may have left batches in work,
        # and what they write would lie behind the records of the next owner.
        self.app.lease.end()
        if self._consumer is not None:
            await internals.leave_join(self._consumer)
        # A fetch that failed a moment ago, the rule while the broker is away, is cancelled by aiokafka in its
        # pause and awaited unguarded. That cancellation would end this thread before it could say so, and the
        # process would wait for it.
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    async def _watch_coordinator(self) -> None:
        # aiokafka parks a failed join until somebody calls check_errors(). Polls do, but there are none
        # before the first assignment, and then the worker would stay out of the group for ever.
        errors = 0
        while True:
            await asyncio.sleep(_WATCH_S)
            consumer = self._ensure_consumer()
            if internals.is_closed(consumer):
                continue
            if self.positioned:
                errors = 0
            try:
                over = internals.check_coordinator(consumer)
            except KafkaError as exc:
                errors += 1
                self.log.warning("the group coordinator refused us, joining again: %r", exc)
                if errors < _ERRORS_MAX:
                    continue
                await self.crash(exc)
                return
            if over:
                await self.crash(StreamLost("aiokafka's group coordination has ended", why="nobody asked it to"))
                return

    # --- positions

    def unposition(self, tps: Iterable[Any] | None = None) -> None:
        """From here on no record of *tps* (of all partitions) counts, not even of a poll under way."""
        for tp in list(self.positioned) if tps is None else tps:
            self.positioned.pop(ensure_TP(tp), None)
        self._interrupt()

    def _interrupt(self) -> None:
        if self._poll_task is not None:
            self._poll_task.cancel()

    def interrupt_poll(self) -> None:
        """Let a poll under way come back with what it has. Called from the main thread."""
        self.thread_loop.call_soon_threadsafe(self._interrupt)

    def forget_positions(self) -> None:
        """`unposition` everything, from the main thread; a loop that is closed has nothing to forget."""
        with suppress(RuntimeError):
            self.thread_loop.call_soon_threadsafe(self.unposition)

    def _position(self, tps: Iterable[Any]) -> int:
        self._seeks += 1
        for tp in tps:
            self.positioned[ensure_TP(tp)] = self._seeks
        return self._seeks

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        """Recovery seeks the changelogs here."""
        self.unposition(partitions)
        assignment = internals.assignment_of(consumer)
        await super()._seek_wait(consumer, partitions)
        if assignment is not None and internals.assignment_of(consumer) is assignment:
            self._position(partitions)

    async def seek_sources(self, is_changelog: Callable[[str], bool]) -> Sought | None:
        """
        Seek every partition that is no changelog to its committed offset, or to where a new group begins.

        None when the assignment changed meanwhile: the recovery of the next one seeks again.
        """
        consumer = self._ensure_consumer()
        assignment = internals.assignment_of(consumer)
        if assignment is None:
            return None
        tps = [tp for tp in assignment.tps if not is_changelog(tp.topic)]
        self.unposition(tps)
        known = await internals.committed(consumer, tps)
        committed = {tp: known[tp].offset if tp in known else None for tp in tps}
        if internals.assignment_of(consumer) is not assignment:
            return None
        new = [tp for tp in tps if committed[tp] is None]
        if new:
            reset = self.app.conf.consumer_auto_offset_reset
            await (consumer.seek_to_beginning if reset == "earliest" else consumer.seek_to_end)(*new)
            if internals.assignment_of(consumer) is not assignment:
                return None
        for tp in tps:
            if committed[tp] is not None:
                consumer.seek(tp, committed[tp])
        return Sought(
            self._position(tps),
            {ensure_TP(tp): offset for tp, offset in committed.items()},
            {ensure_TP(tp): (known[tp].metadata or "") if tp in known else "" for tp in tps},
        )

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's offset of each of *tps* as the broker knows it now; None where there is none."""
        asked = {tp: driver.ensure_aiokafka_TP(tp) for tp in tps}
        known = await internals.committed(self._ensure_consumer(), list(asked.values()))
        return {tp: known[at].offset if at in known else None for tp, at in asked.items()}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """
        The ends of *partitions*. Called from the main thread, and by every recovery before it reads anything: so here
        it waits until what was assigned is taken.
        """
        await self.app.partitions_taken()
        return await super().highwaters(*partitions)

    def highwater(self, tp: TP) -> int:
        """The end of what may be read of *tp*, as the last fetch told: before it no transaction is open."""
        return self._ensure_consumer().last_stable_offset(driver.ensure_aiokafka_TP(tp)) or 0

    # --- records

    async def poll(self, tps: list[TP], timeout_s: float, bytes_max: int) -> PollResult:
        """
        Wait for records of *tps*, at most *timeout_s*; stop at *bytes_max*. Nothing is fetched of other
        partitions.
        """
        if self._poll_error is not None:
            error, self._poll_error = self._poll_error, None
            raise error
        consumer = self._ensure_consumer()
        if internals.assignment_of(consumer) is None:
            return PollResult([], [])
        self._pause_all_but(consumer, set(tps))
        self._poll_task = asyncio.ensure_future(self._get(consumer, tps, timeout_s, bytes_max))
        try:
            await asyncio.wait({self._poll_task})
        finally:
            self._poll_task.cancel()
        if self._poll_task.cancelled():
            return PollResult([], [])
        return PollResult(self._poll_task.result(), self._positions_now(consumer, tps))

    def _positions_now(self, consumer: AIOKafkaConsumer, tps: list[TP]) -> list[tuple[TP, int, int]]:
        found = []
        for tp in tps:
            seek = self.positioned.get(tp)
            if seek is None:
                continue
            position = internals.position_of(consumer, driver.ensure_aiokafka_TP(tp))
            if position is not None:
                found.append((tp, seek, position))
        return found

    def _pause_all_but(self, consumer: AIOKafkaConsumer, wanted: set[TP]) -> None:
        assigned = {ensure_TP(tp) for tp in consumer.assignment()}
        paused = {ensure_TP(tp) for tp in consumer.paused()}
        consumer.pause(*map(driver.ensure_aiokafka_TP, assigned - wanted - paused))
        consumer.resume(*map(driver.ensure_aiokafka_TP, paused & wanted & assigned))

    async def _get(self, consumer: AIOKafkaConsumer, tps: list[TP], timeout_s: float, bytes_max: int) -> list[Polled]:
        polled: list[Polled] = []
        size, wait_ms = 0, int(timeout_s * 1000)
        partitions = [driver.ensure_aiokafka_TP(tp) for tp in tps]
        while size < bytes_max:
            try:
                got = await consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=_STEP_CHUNKS)
            except asyncio.CancelledError:
                # What earlier steps have taken is gone from aiokafka: it must be handed on.
                if polled:
                    break
                raise
            except KafkaError as exc:
                if not polled:
                    raise
                self._poll_error = exc
                break
            if not got:
                break
            # The seek's number is read in the step that took the records: no await lies between.
            for tp, chunks in got.items():
                polled.append(Polled(ensure_TP(tp), self.positioned.get(ensure_TP(tp)), chunks))
                size += sum(chunk.bytes for chunk in chunks)
            wait_ms = 0
        return polled

    async def positions(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The next offset of each of *tps* that has a position; nothing when one is lost meanwhile."""
        consumer = self._ensure_consumer()
        try:
            return {tp: await consumer.position(driver.ensure_aiokafka_TP(tp)) for tp in tps if tp in self.positioned}
        except IllegalStateError:
            return {}
