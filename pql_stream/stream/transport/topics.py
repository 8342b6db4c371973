"""Topics that are read in batches, and the ways an agent takes the batches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from faust.topics import Topic
from faust.types import AppT, EventT, Message
from faust.types.streams import StreamT

from pql_stream.stream.transport.batch import RecordBatch
from pql_stream.stream.transport.ending import end_process


class BatchTopic(Topic):
    """
    A topic whose events are `RecordBatch`es: nothing is decoded, and Faust acknowledges nothing.

    Faust acknowledges a record whose agent raised, and so skips it; here `RecordBatch.done` is the only way
    forward. One agent reads one topic: a batch can be taken once.
    """

    def __init__(self, app: AppT, **options: Any) -> None:  # noqa: ANN401  # Topic's own options, handed on
        super().__init__(app, **{**options, "acks": False, "key_type": bytes, "value_type": bytes})

    def _compile_decode(self) -> None:
        """Keep the method below: Topic would put a compiled decoder in its place."""

    async def decode(self, message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG002  # Topic's signature
        """The event of a batch is the batch."""
        return self._create_event(None, message, None, message=message)


async def batches(stream: StreamT[RecordBatch]) -> AsyncIterator[RecordBatch]:
    """
    The batches of an agent's *stream*; call `done()` on each.

    A batch that was queued when its partition was lost is left out: its next owner reads it.
    """
    async for batch in stream:
        if batch.take():
            yield batch


class GaveWay(Exception):
    """The batch in work was left off because its partition is to be handed over, or the process to end."""


async def work(app: AppT, stream: StreamT[RecordBatch], handle: Callable[[RecordBatch], Awaitable[None]]) -> None:
    """
    The body of an agent: `handle` every batch, then say that it is done.

    Batches of different partitions are handled side by side, so a slow partition does not hold back the
    others; those of one partition *number* one at a time, whatever their topic: they share a partition of
    the table. An exception of *handle* ends the process, but for `GaveWay`: then its batch is read again by the next
    owner.
    """
    order: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
    tasks: set[asyncio.Task[None]] = set()

    async def run(batch: RecordBatch) -> None:
        try:
            async with order[batch.partition]:
                await handle(batch)
        except GaveWay:
            batch.give_back()
        except Exception as exc:  # noqa: BLE001  # whatever it is, the batch will never be done
            await end_process(app, exc)
        else:
            batch.done()

    async for batch in batches(stream):
        task = asyncio.ensure_future(run(batch))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
