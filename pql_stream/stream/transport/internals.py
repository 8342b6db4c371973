"""
Everything private of Faust, mode and aiokafka that the transport touches, name by name, and the reads of it.

tests/contract/test_faust_internals.py holds these names, and the steps of the methods, against the
installed versions.

Overridden, in `driver`, `thread`, `topics`, `table`, `stores`, `chunks`, `packing` and `requests`:

| name | of | why |
|---|---|---|
| `_drain_messages` | faust Consumer | one batch a partition instead of one message a record |
| `_filter_committable_offsets`, `_commit` | faust Consumer | offsets from tracks; remember what was really committed |
| `_new_consumer_thread` | faust aiokafka Consumer | our thread |
| `_create_worker_consumer` | AIOKafkaConsumerThread | `_fetch_max_wait_ms` (Faust fixes 1500), `_isolation_level` |
| `_seek_wait` | AIOKafkaConsumerThread | number the seeks of changelogs |
| `_crash` | mode Service | the first reason of a crash is the one |
| `_compile_decode` | faust Topic | nothing is decoded |
| `_new_store_by_url` | faust Collection | our stores, without entry points |
| `offset_key` | faust RocksDB Store | a key that cannot be a lead's |
| `_unpack_records` | aiokafka PartitionRecords | chunks of parsed records, without an object a record (in `chunks`) |
| `_in_flight` of AIOKafkaProducer's `_sender` | aiokafka | what `_send_produce_req` counts: several requests to a broker at once (in `requests`) |
| `client.send` of AIOKafkaProducer, `prepare` of a request, `encode` of its Struct, for `send` of a connection | aiokafka | a produce request's bytes are copied once (in `requests`) |
| `_set_producer_state`, `_build` of BatchBuilder, and what else a MessageBatch asks of it | aiokafka | a batch is packed in one go (in `packing`) |

The public `perform_seek`, `stop_flow`, `resume_flow`, `resume_partitions`, `wait_empty`,
`on_partitions_revoked`, `on_partitions_assigned`, `on_buffer_full`, `on_buffer_drop`, `verify_event_path`,
`subscribe` of the consumer and `apply_changelog_batch`, `on_changelog_event`, `on_recovery_completed`,
`on_rebalance`, `persisted_offset` of tables and stores, `open` of `rocksdb_options` and `stop` of the
thread are overridden too.

Read or called:

| name | of | why |
|---|---|---|
| `_active_partitions`, `flow_active`, `suspend_flow`, `can_resume_flow`, `callback` | faust Consumer | what Recovery resumed |
| `_is_changelog_tp` | faust Consumer | which partitions it pauses and resumes |
| `_thread` | faust aiokafka Consumer and its listener | our thread, typed |
| `_ensure_consumer`, `thread_loop` | AIOKafkaConsumerThread | the consumer, and the loop to call it in |
| `_create_event` | faust Topic | the event that carries a batch |
| `_db_for_partition` | faust RocksDB Store | one write batch for rows and offset |
| `active_tps`, `active_offsets`, `active_highwaters`, `standby_offsets` | faust Recovery (`_recovery`) | what it reads, and how far |
| `consumer_generation_id`, `in_recovery`, `rebalancing` | faust App | generation of a batch; what may pass; the watchdog |
| `_stopped`, `_crashed` | mode Service | the end of the loop |
| `_closed`, `_subscription`, `_coordinator` | AIOKafkaConsumer | below |
| `_assignment`, `_reassignment_in_progress` | aiokafka Subscription | is it still the same assignment |
| `state_value`, `has_valid_position`, `position` | aiokafka TopicPartitionState of an assignment | the position, without waiting |
| `_coordination_task`, `_pending_exception` | GroupCoordinator | the join error that it parks (`_push_error_to_user`) |
| `_client` | AIOKafkaConsumer | to leave while a join is under way: its connection to the coordinator is taken up |
| `_performed_join_prepare`, `_group_instance_id` | GroupCoordinator | is a join under way; is it a static member |
| `_fetcher`, and its `_records`, which `_proc_fetch_request` fills | AIOKafkaConsumer | replaced on the instance: whatever is fetched is wrapped |
| `_partition_records`, `_update_position` | aiokafka FetchResult | what is wrapped, and how far it was taken |
| `_backoff` | aiokafka FetchResult | while records wait in it, nothing is fetched of their broker: not for the background |
| `_records`, `_records_iterator`, `_tp`, `_check_crcs`, `_isolation_level`, `_aborted_producers`, `_consume_aborted_up_to`, `_contains_abort_marker` | aiokafka PartitionRecords | for `_unpack_records` |
| `client.send` | AIOKafkaProducer | replaced on the instance: no batch goes out without the lease; the requests of a transaction are watched |
| `_txn_manager`, and its `wait_for_transaction_end` | AIOKafkaProducer | the sequence numbers after a refused batch; may the transaction be aborted; its end, which nobody may wait for |
| `_send_req` | GroupCoordinator | replaced on the instance: the answers to heartbeats and syncs are the lease |
| `fetch_committed_offsets` | GroupCoordinator | `committed` gives no metadata |
| `commit` | AIOKafkaConsumer | replaced on the instance: Faust commits no metadata |

Their order of steps is relied upon, so a change must be read before an upgrade:

- the commit: `_commit_handler`, `_commit_tps`, `_commit_offsets`;
- the life cycle: `_on_partitions_revoked`, `_on_partitions_assigned`, `_update_assignment`, `_stop_consumer`,
  `_stop_fetcher`, `_fetcher`, `_set_active_tps`, `_update_channels`;
- Recovery: `_restart_recovery`, `_resume_streams`, `_slurp_changelogs`, `_build_highwaters`, `_highwaters`,
  `_build_offsets`, `_seek_offsets`, `_add`, and what follows from them (`_new_store`, `_clone_args`);
- the end of the consumer's thread: `_serve`, `_shutdown_thread`, `_start_thread`, `_stopped_set`, and `close` and
  `_proc_fetch_request` of aiokafka's Fetcher;
- the way of a message: `_compile_message_handler`, `_py_aiter`;
- the membership: `_heartbeat_routine`, `_do_heartbeat`, `_send_sync_group_request`, `_on_join_prepare`, `_on_join_complete`,
  `_maybe_leave_group`, and `ensure_active_group` and `close` of GroupCoordinator;
- the sequence numbers of a producer, which a refused batch spoils: `_pop_batch`;
- transactions: `_sender_routine`, `_maybe_wait_for_pid`, `_find_coordinator`, `_maybe_do_transactional_request`,
  `_do_txn_commit`, `_fail_all`, `_can_retry`, and what becomes of each answer;
- when aiokafka's Fetcher fetches, and when it waits: `_get_actions_per_node`, and `calculate_backoff` of FetchResult.
"""  # noqa: E501  # rows of a table do not wrap

# ruff: noqa: SLF001  # this module is where private names are reached

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from aiokafka.producer.transaction_manager import TransactionState
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.consumer.fetcher import FetchError, PartitionRecords
    from faust.tables.recovery import Recovery
    from faust.types import AppT
    from mode import Service, ServiceT

    from pql_stream.stream.transport.lease import Lease

# Kafka's error codes ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID; aiokafka has no name for
# the last one.
_NO_MEMBER = (22, 25, 82)

_OF_TRANSACTION = (
    ProduceRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)
# Kafka's error code CONCURRENT_TRANSACTIONS. The markers of the transaction before take a broker some
# milliseconds; behind the last try aiokafka goes on in its own steps.
_CONCURRENT = 51
_ASK_AGAIN_S = 0.002
_ASK_AGAIN_MAX = 25


def tune(consumer: AIOKafkaConsumer, *, fetch_max_wait_ms: int) -> None:
    """Set on a consumer that is not started yet what Faust does not pass on."""
    consumer._fetch_max_wait_ms = fetch_max_wait_ms
    # What was rolled back is no event and no row, whoever wrote it.
    consumer._isolation_level = "read_committed"


def is_closed(consumer: AIOKafkaConsumer) -> bool:
    """The consumer was stopped."""
    return bool(consumer._closed)


class _WrappedResults(OrderedDict["TopicPartition", "FetchResult | FetchError"]):
    """In place of the dict in which the fetcher of a consumer keeps what nobody has taken yet."""

    def __init__(self, wrap: Callable[[PartitionRecords], PartitionRecords], may_wait: Collection[str]) -> None:
        super().__init__()
        self._wrap = wrap
        self._may_wait = may_wait

    def __setitem__(self, tp: TopicPartition, result: FetchResult | FetchError) -> None:
        if isinstance(result, FetchResult):
            result._partition_records = self._wrap(result._partition_records)
            if tp.topic in self._may_wait:
                result._backoff = 0.0
        super().__setitem__(tp, result)


def wrap_fetched(
    consumer: AIOKafkaConsumer,
    wrap: Callable[[PartitionRecords], PartitionRecords],
    may_wait: Collection[str],
) -> None:
    """
    Let `getmany` of a *consumer* that is started, and has no partitions yet, take records from what *wrap* gives.

    While records that were fetched are not taken, aiokafka fetches nothing more of their broker for 100 ms; those of
    the topics that *may_wait* hold up nobody.
    """
    consumer._fetcher._records = _WrappedResults(wrap, may_wait)


def assignment_of(consumer: AIOKafkaConsumer) -> Any | None:  # noqa: ANN401  # aiokafka ships no types
    """
    The current assignment (compare it with `is`; `tps` are its partitions); None while the group is
    joining.
    """
    state = consumer._subscription
    if state.subscription is None or state.reassignment_in_progress:
        return None
    return state.subscription.assignment


def position_of(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The offset that is read next of an assigned partition; None while it is looked for. Does not wait."""
    state = consumer._subscription.subscription.assignment.state_value(tp)
    return cast("int", state.position) if state.has_valid_position else None


def check_coordinator(consumer: AIOKafkaConsumer) -> bool:
    """
    Consume a join error that aiokafka parked; it joins again only then. True when its coordination is over
    for good.

    Raises:
        KafkaError: the parked error.
    """
    coordinator = consumer._coordinator
    if coordinator._coordination_task.done():
        return True
    coordinator.check_errors()
    return False


async def leave_join(consumer: AIOKafkaConsumer) -> None:
    """
    Give up a join of *consumer* that is under way, and leave the group; else do nothing.

    The broker answers a join when every member has joined. aiokafka's own end waits for that, for as long as a
    rebalance may take, is then given partitions, and leaves with the next rebalance.
    """
    coordinator = consumer._coordinator
    joining = coordinator._performed_join_prepare and consumer._subscription.reassignment_in_progress
    if not joining or coordinator._coordination_task.done():
        return
    coordinator._coordination_task.cancel()
    await asyncio.wait({coordinator._coordination_task})
    is_known = coordinator.member_id != JoinGroupRequest.UNKNOWN_MEMBER_ID
    if is_known and coordinator.coordinator_id is not None and coordinator._group_instance_id is None:
        with suppress(KafkaError):  # then the group waits for the end of our session
            # Not on the coordinator's own connection: there the broker reads nothing until it has answered the join.
            await consumer._client.send(
                coordinator.coordinator_id, LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
            )
    coordinator.reset_generation()


def watch_answers(consumer: AIOKafkaConsumer, lease: Lease) -> None:
    """
    Let the answers of the group coordinator of a started *consumer* renew and end *lease*.

    A heartbeat that is answered with "rebalance in progress" does not renew it: the broker may finish that
    rebalance without us before the session is over.
    """
    coordinator = consumer._coordinator
    send = coordinator._send_req

    async def send_and_note(request: object) -> Any:  # noqa: ANN401  # as above
        asked_at_s = lease.clock()
        answer = await send(request)
        if isinstance(request, HeartbeatRequest | SyncGroupRequest):
            if answer.error_code == 0:
                lease.renew(asked_at_s)
            elif answer.error_code in _NO_MEMBER:
                lease.lose()
        return answer

    coordinator._send_req = send_and_note


def guard_writes(producer: AIOKafkaProducer, check: Callable[[], None]) -> None:
    """Call *check* right before a batch is handed to the socket; the KafkaError that it raises is the batch's."""
    send = producer.client.send

    async def guarded_send(node_id: int, request: object, **options: Any) -> Any:  # noqa: ANN401 - aiokafka's own
        if isinstance(request, ProduceRequest):
            check()
        return await send(node_id, request, **options)

    producer.client.send = guarded_send


def watch_transactions(producer: AIOKafkaProducer, note_unanswered: Callable[[], None]) -> None:
    """
    Call *note_unanswered* when a request of a transaction of *producer* gets no answer.

    Two things are mended on the way. When a transaction cannot begin because the one before is still being written
    out, we ask again sooner than aiokafka, which waits 20 or 100 ms. And a connection that breaks in the search for a
    coordinator ends an aiokafka producer for good, unless it looks like one that could not be made.
    """
    send = producer.client.send

    async def watched_send(node_id: int, request: object, **options: Any) -> Any:  # noqa: ANN401 - aiokafka's own
        if isinstance(request, FindCoordinatorRequest):
            try:
                return await send(node_id, request, **options)
            except KafkaConnectionError as exc:
                raise NodeNotReadyError from exc
        if not isinstance(request, _OF_TRANSACTION):
            return await send(node_id, request, **options)
        try:
            answer = await send(node_id, request, **options)
            for _ in range(_ASK_AGAIN_MAX):
                if not _is_too_early(request, answer):
                    break
                await asyncio.sleep(_ASK_AGAIN_S)
                answer = await send(node_id, request, **options)
        except BaseException:  # a cancelled request is on its way, too
            note_unanswered()
            raise
        return answer

    producer.client.send = watched_send


def _is_too_early(request: object, answer: Any) -> bool:  # noqa: ANN401 - aiokafka ships no types
    if isinstance(request, AddPartitionsToTxnRequest):
        return any(code == _CONCURRENT for _, partitions in answer.errors for _, code in partitions)
    return isinstance(request, AddOffsetsToTxnRequest) and answer.error_code == _CONCURRENT


def own_end_of_transaction(producer: AIOKafkaProducer) -> None:
    """
    Take note of how the transaction that was begun just now ends.

    aiokafka puts what went wrong into a future that only a commit looks at. Who heard it from a write commits
    nothing more, and asyncio would log a traceback of it as never retrieved.
    """

    def take_note(end: asyncio.Future[None]) -> None:
        if not end.cancelled():
            end.exception()

    producer._txn_manager.wait_for_transaction_end().add_done_callback(take_note)


def may_abort(producer: AIOKafkaProducer) -> bool:
    """A transaction is open, and its end was not asked for."""
    return producer._txn_manager.state in (TransactionState.IN_TRANSACTION, TransactionState.ABORTABLE_ERROR)


def uncount(producer: AIOKafkaProducer, topic: str, partition: int, count: int) -> None:
    """Take back the sequence numbers of the last *count* records of a partition, which the broker has refused."""
    producer._txn_manager.increment_sequence_number(TopicPartition(topic, partition), -count)


def topic_partition(tp: TP) -> TopicPartition:
    """*tp* as aiokafka names it."""
    return TopicPartition(tp.topic, tp.partition)


async def committed(
    consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """The group's offset of each of *tps* that has one, with what was committed beside it."""
    return cast("Mapping[TopicPartition, OffsetAndMetadata]", await consumer._coordinator.fetch_committed_offsets(tps))


def note_commits(consumer: AIOKafkaConsumer, note: Callable[[TopicPartition], str]) -> None:
    """Put the *note* of each partition into the metadata of every commit of *consumer*."""
    commit = consumer.commit

    async def commit_with_notes(offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        await commit({tp: OffsetAndMetadata(given.offset, note(tp)) for tp, given in offsets.items()})

    consumer.commit = commit_with_notes


def is_stopped(service: ServiceT) -> bool:
    """The service was told to stop, read without the crash that `should_stop` includes."""
    return bool(cast("Service", service)._stopped.is_set())


def recovery_of(app: AppT) -> Recovery:
    """The service that recovers the tables of *app*."""
    return cast("Recovery", app.tables.recovery)  # type: ignore[attr-defined]  # TableManager's, not in TableManagerT


def recovered_offset(app: AppT, tp: TP) -> int:
    """The last offset of the changelog *tp* that Recovery took over; -1 for none."""
    recovery = recovery_of(app)
    offsets = recovery.active_offsets if tp in recovery.active_tps else recovery.standby_offsets
    # A Counter answers 0 for what it does not know, and Faust stores None for "nothing yet".
    offset: int | None = dict.get(offsets, tp)
    return -1 if offset is None else offset


def active_highwaters(app: AppT, topic: str) -> dict[int, int]:
    """
    The last offset (-1 for none) that each recovered partition of a changelog had when its recovery began.

    Partitions that we follow as a standby, or whose recovery has not begun, are left out.
    """
    recovery = recovery_of(app)
    known: dict[TP, int | None] = dict(recovery.active_highwaters)
    active = {tp: known[tp] for tp in recovery.active_tps if tp.topic == topic and tp in known}
    return {tp.partition: -1 if offset is None else offset for tp, offset in active.items()}


def active_highwater(app: AppT, tp: TP) -> int | None:
    """`active_highwaters` of one partition; None when it is left out."""
    return active_highwaters(app, tp.topic).get(tp.partition)
