"""
A worker that counts the records of every key: the script that the tests of the transport start as a
process.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

arguments = argparse.ArgumentParser()
arguments.add_argument("bootstrap")
arguments.add_argument("app_id")
arguments.add_argument("--store", default="pqlmemory://")
arguments.add_argument("--datadir", required=True)
arguments.add_argument("--slow-seek-s", type=float, default=0.0)
arguments.add_argument("--slow-poll-s", type=float, default=0.0)
arguments.add_argument("--join-error", action="store_true")
arguments.add_argument("--raise-on", default="")
arguments.add_argument("--slow-key", default="")
arguments.add_argument("--batch-s", type=float, default=0.0)
arguments.add_argument("--slow-stop-s", type=float, default=0.0)
arguments.add_argument("--check-s", type=float, default=0.5)
arguments.add_argument("--give-way", action="store_true")
arguments.add_argument("--grow-to", type=int, default=0)
arguments.add_argument("--standby", type=int, default=0)
args = arguments.parse_args()
sys.argv = [sys.argv[0]]  # Faust reads it when it is imported

import faust  # noqa: E402  # the reason is the line above
from aiokafka.consumer.group_coordinator import GroupCoordinator  # noqa: E402
from aiokafka.errors import KafkaError  # noqa: E402

from pql_stream.stream.connection import Connection  # noqa: E402
from pql_stream.stream.transport import (  # noqa: E402
    BatchApp,
    GaveWay,
    OutRecord,
    RecordBatch,
    TransportSettings,
    work,
)
from pql_stream.stream.transport.driver import Consumer  # noqa: E402
from pql_stream.stream.transport.table import BatchTable  # noqa: E402
from pql_stream.stream.transport.thread import ConsumerThread, PollResult  # noqa: E402

app = BatchApp(
    args.app_id,
    connection=Connection(bootstrap=args.bootstrap),
    settings=TransportSettings(
        session_timeout_s=6,
        heartbeat_interval_s=1,
        lease_margin_s=1,
        rebalance_timeout_s=20,
        revoke_timeout_s=10,
        stall_timeout_s=60,
        changelog_check_s=args.check_s,
        batch_records_max=200,
    ),
    store=args.store,
    datadir=args.datadir,
    table_standby_replicas=args.standby,
)
source = app.batch_topic(f"{args.app_id}-in")
counts = app.batch_table("counts", partitions=4)


async def count(batch: RecordBatch) -> None:
    """Write the key's record number for every record, then the number of records a key has had."""
    print("begin batch", flush=True)  # noqa: T201  # the test reads it
    if args.give_way:
        await app.giving_way.wait()
        raise GaveWay
    if any(record.value == args.raise_on.encode() for record in batch.records):
        raise RuntimeError("asked to raise")
    await asyncio.sleep(args.batch_s)
    batch.more()
    while args.grow_to > len(batch.records):
        await asyncio.sleep(0.01)
        batch.more()
    rows = counts.get_many(batch.partition, {record.key for record in batch.records})
    outputs = []
    for record in batch.records:
        number = int(rows.get(record.key, b"0")) + 1
        rows[record.key] = str(number).encode()
        outputs.append(OutRecord(record.key, f"{batch.partition}-{record.offset}".encode()))
        if args.slow_key and record.key == args.slow_key.encode():
            await asyncio.sleep(1000)
    await app.lease.confirm()
    await app.writer.send(f"{args.app_id}-out", batch.partition, outputs)
    await counts.write_many(batch.partition, list(rows.items()))
    print("end batch", flush=True)  # noqa: T201  # as above


@app.agent(source)
async def counter(stream: faust.StreamT) -> None:
    """The agent."""
    await work(app, stream, count)


if args.slow_seek_s:
    # A broker that answers slowly at the end of recovery: the window in which stock Faust loses records.
    seek = Consumer.perform_seek

    async def slow_seek(self: Consumer) -> None:
        await seek(self)
        await asyncio.sleep(args.slow_seek_s)

    Consumer.perform_seek = slow_seek
if args.slow_poll_s:
    # Records that are on their way from the consumer's thread, whose position is already behind them.
    poll = ConsumerThread.poll

    async def slow_poll(self: ConsumerThread, *poll_args: object) -> PollResult:
        result = await poll(self, *poll_args)
        if result.polled:
            await asyncio.sleep(args.slow_poll_s)
        return result

    ConsumerThread.poll = slow_poll
if args.slow_stop_s:
    # A disk that takes its time to close what is on it.
    async def slow_stop(self: BatchTable) -> None:  # Service's signature
        await asyncio.sleep(args.slow_stop_s)

    BatchTable.on_stop = slow_stop
if args.join_error:
    join = GroupCoordinator.ensure_active_group
    errors = [KafkaError("injected join error")]

    async def join_with_error(self: GroupCoordinator, *join_args: object) -> object:
        if errors:
            raise errors.pop()
        return await join(self, *join_args)

    GroupCoordinator.ensure_active_group = join_with_error

if __name__ == "__main__":
    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()
