"""
What the batch transport relies on inside Faust, mode and aiokafka; fails loudly when a version changes any
of it.

After an upgrade: read the difference of every function that is named here, run tests/stream, and then
record the new state:

    python tests/contract/test_faust_internals.py --write
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("faust_internals.json")
DISTRIBUTIONS = ("faust-streaming", "mode-streaming", "aiokafka")

# module:Class -> the methods that we override, or whose order of steps we rely on.
METHODS: dict[str, tuple[str, ...]] = {
    "faust.transport.consumer:Consumer": (
        # overridden
        "_drain_messages",
        "_filter_committable_offsets",
        "perform_seek",
        "stop_flow",
        "resume_flow",
        "resume_partitions",
        "on_buffer_full",
        "on_buffer_drop",
        "on_partitions_revoked",
        "on_partitions_assigned",
        "verify_event_path",
        "wait_empty",
        # relied upon
        "_commit_handler",
        "_commit_offsets",
        "_commit_tps",
        "_is_changelog_tp",
        "_set_active_tps",
        "commit",
        "commit_and_end_transactions",
        "force_commit",
        "on_stop",
        "pause_partitions",
    ),
    "faust.transport.consumer:ThreadDelegateConsumer": ("_commit", "highwaters", "subscribe"),
    "faust.transport.consumer:Fetcher": ("_fetcher", "on_stop"),
    "faust.transport.drivers.aiokafka:Consumer": ("_new_consumer_thread",),
    "faust.transport.drivers.aiokafka:ConsumerRebalanceListener": (
        "on_partitions_revoked",
        "on_partitions_assigned",
    ),
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread": (
        "__post_init__",
        "_create_worker_consumer",
        "_seek_wait",
        "on_start",
        "on_thread_stop",
        "_commit",
        "_ensure_consumer",
        "_highwaters",
    ),
    "faust.transport.conductor:Conductor": ("_compile_message_handler", "on_partitions_assigned"),
    "faust.transport.conductor:ConductorCompiler": ("build",),
    "faust.topics:Topic": ("__init__", "_clone_args", "_compile_decode", "_create_event"),
    "faust.channels:SerializedChannel": ("__init__",),
    "faust.streams:Stream": ("_py_aiter",),
    "faust.tables.base:Collection": (
        "__init__",
        "_new_store",
        "_new_store_by_url",
        "apply_changelog_batch",
        "on_changelog_event",
        "on_recovery_completed",
        "on_rebalance",
        "persisted_offset",
    ),
    "faust.tables.manager:TableManager": ("_update_channels", "add", "on_rebalance"),
    "faust.tables.recovery:Recovery": (
        "_add",
        "_build_highwaters",
        "_build_offsets",
        "_restart_recovery",
        "_resume_streams",
        "_seek_offsets",
        "_slurp_changelogs",
        "active_remaining",
        "flush_buffers",
        "need_recovery",
        "on_rebalance",
        "on_recovery_completed",
        "revoke",
    ),
    "faust.stores.memory:Store": ("__post_init__", "on_recovery_completed", "persisted_offset"),
    "faust.stores.rocksdb:Store": (
        "__init__",
        "_db_for_partition",
        "assign_partitions",
        "on_rebalance",
        "persisted_offset",
        "revoke_partitions",
    ),
    "faust.stores.rocksdb:RocksDBOptions": ("open",),
    "faust.app.base:App": (
        "_on_partitions_assigned",
        "_on_partitions_revoked",
        "_stop_consumer",
        "_stop_fetcher",
        "_update_assignment",
        "on_init_dependencies",
        "on_rebalance_end",
        "on_rebalance_start",
    ),
    "mode.services:Service": ("crash", "wait_first"),
    "mode.threads:QueueServiceThread": ("call_thread",),
    "mode.threads:ServiceThread": ("_serve", "_shutdown_thread", "_start_thread", "_stopped_set", "stop"),
    "mode.utils.queues:FlowControlEvent": ("clear", "resume", "suspend"),
    "aiokafka.consumer.consumer:AIOKafkaConsumer": (
        "commit",
        "getmany",
        "seek",
        "seek_to_beginning",
        "start",
    ),
    "aiokafka.consumer.fetcher:Fetcher": (
        "_get_actions_per_node",
        "_proc_fetch_request",
        "close",
        "fetched_records",
        "seek_to",
    ),
    "aiokafka.consumer.fetcher:FetchResult": (
        "_update_position",
        "calculate_backoff",
        "check_assignment",
        "getall",
        "has_more",
    ),
    "aiokafka.consumer.fetcher:PartitionRecords": (
        "__init__",
        "__next__",
        "_consume_aborted_up_to",
        "_contains_abort_marker",
        "_unpack_records",
    ),
    "aiokafka.consumer.group_coordinator:GroupCoordinator": (
        "_do_heartbeat",
        "_heartbeat_routine",
        "_maybe_leave_group",
        "_on_join_complete",
        "_on_join_prepare",
        "_push_error_to_user",
        "_send_req",
        "check_errors",
        "close",
        "ensure_active_group",
        "fetch_committed_offsets",
    ),
    "aiokafka.consumer.group_coordinator:CoordinatorGroupRebalance": (
        "_send_sync_group_request",
        "perform_group_join",
    ),
    "aiokafka.consumer.subscription_state:SubscriptionState": ("reassignment_in_progress",),
    "aiokafka.client:AIOKafkaClient": ("send",),
    "aiokafka.conn:AIOKafkaConnection": ("send",),
    "aiokafka.protocol.api:Request": ("prepare",),
    "aiokafka.protocol.struct:Struct": ("encode", "get_item"),
    "aiokafka.protocol.types:Array": ("encode",),
    "aiokafka.protocol.types:Bytes": ("encode",),
    "aiokafka.protocol.types:Schema": ("encode",),
    "aiokafka.producer.message_accumulator:BatchBuilder": (
        "_build",
        "_set_producer_state",
        "close",
        "closed",
        "record_count",
    ),
    "aiokafka.producer.message_accumulator:MessageBatch": ("drain_ready", "get_data_buffer", "set_producer_state"),
    "aiokafka.producer.message_accumulator:MessageAccumulator": ("add_batch", "_pop_batch"),
    "aiokafka.producer.producer:AIOKafkaProducer": (
        "abort_transaction",
        "begin_transaction",
        "commit_transaction",
        "send_batch",
        "send_offsets_to_transaction",
        "start",
        "stop",
    ),
    "aiokafka.producer.sender:Sender": (
        "_do_txn_commit",
        "_fail_all",
        "_find_coordinator",
        "_maybe_do_transactional_request",
        "_maybe_wait_for_pid",
        "_send_produce_req",
        "_sender_routine",
    ),
    "aiokafka.producer.sender:BaseHandler": ("do",),
    "aiokafka.producer.sender:AddPartitionsToTxnHandler": ("handle_response",),
    "aiokafka.producer.sender:AddOffsetsToTxnHandler": ("handle_response",),
    "aiokafka.producer.sender:TxnOffsetCommitHandler": ("handle_response",),
    "aiokafka.producer.sender:EndTxnHandler": ("handle_response",),
    "aiokafka.producer.sender:SendProduceReqHandler": ("do", "handle_response", "_can_retry"),
    "aiokafka.producer.transaction_manager:TransactionManager": (
        "begin_transaction",
        "complete_transaction",
        "error_transaction",
        "fatal_error",
        "increment_sequence_number",
        "wait_for_transaction_end",
    ),
}

# module:Class -> attributes that we read or set on instances.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "faust.transport.consumer:Consumer": (
        "_active_partitions",
        "callback",
        "can_resume_flow",
        "flow_active",
        "suspend_flow",
    ),
    "faust.transport.consumer:ThreadDelegateConsumer": ("_thread",),
    "faust.transport.drivers.aiokafka:Consumer": ("RebalanceListener", "_thread"),
    "faust.transport.drivers.aiokafka:ConsumerRebalanceListener": ("_thread",),
    "faust.tables.recovery:Recovery": (
        "active_highwaters",
        "active_offsets",
        "active_tps",
        "standby_offsets",
    ),
    "faust.tables.manager:TableManager": ("_recovery", "changelog_topics"),
    "faust.stores.rocksdb:Store": ("offset_key", "rocksdb_options"),
    "faust.app.base:App": ("rebalancing",),
    "faust.types.app:AppT": ("consumer_generation_id", "in_recovery"),
    "mode.services:Service": ("_crash", "_crashed", "_stopped"),
    "mode.threads:ServiceThread": ("thread_loop",),
    "aiokafka.consumer.consumer:AIOKafkaConsumer": (
        "_client",
        "_closed",
        "_coordinator",
        "_fetch_max_wait_ms",
        "_fetcher",
        "_isolation_level",
        "_subscription",
    ),
    "aiokafka.consumer.fetcher:Fetcher": ("_records",),
    "aiokafka.consumer.fetcher:FetchResult": ("_backoff", "_partition_records"),
    "aiokafka.consumer.fetcher:PartitionRecords": (
        "_aborted_producers",
        "_check_crcs",
        "_isolation_level",
        "_records",
        "_records_iterator",
        "_tp",
        "next_fetch_offset",
    ),
    "aiokafka.producer.producer:AIOKafkaProducer": ("_txn_manager", "client"),
    "aiokafka.producer.transaction_manager:TransactionManager": ("state",),
    "aiokafka.consumer.group_coordinator:GroupCoordinator": (
        "_coordination_task",
        "_group_instance_id",
        "_pending_exception",
        "_performed_join_prepare",
    ),
    "aiokafka.consumer.subscription_state:TopicPartitionState": ("has_valid_position", "position"),
    "aiokafka.consumer.subscription_state:Assignment": ("state_value", "tps"),
    "aiokafka.consumer.subscription_state:Subscription": ("_assignment", "_reassignment_in_progress"),
}


def load(path: str) -> Any:
    """The class *path*, `module:Class`."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def method_hash(path: str, name: str) -> str:
    """A hash of the syntax tree of a method, without comments and docstrings; "gone" when it is not there."""
    found = inspect.getattr_static(load(path), name, None)
    if found is None:
        return "gone"
    found = getattr(found, "fget", None) or getattr(found, "fun", None) or found
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(found))))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def current_state() -> dict[str, dict[str, str]]:
    """The installed versions, and the hash of every method."""
    return {
        "versions": {name: importlib.metadata.version(name) for name in DISTRIBUTIONS},
        "methods": {f"{path}.{name}": method_hash(path, name) for path, names in METHODS.items() for name in names},
    }


def test_the_installed_versions_are_the_ones_that_were_tried():
    """
    Faust, mode and aiokafka are the versions that the tests of the transport have passed on.
    """
    assert json.loads(RECORDED.read_text())["versions"] == current_state()["versions"]


def test_no_method_that_we_override_or_rely_on_has_changed():
    """
    Every method is there, and its steps are the recorded ones.
    """
    recorded, now = json.loads(RECORDED.read_text())["methods"], current_state()["methods"]
    changed = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]

    assert [] == changed


def test_every_attribute_that_we_touch_still_exists():
    """
    The attributes that we read or set are still named in the source of their classes.
    """
    gone = [
        f"{path}.{name}"
        for path, names in ATTRIBUTES.items()
        for name in names
        if name not in inspect.getsource(load(path))
    ]

    assert [] == gone


def test_the_list_of_internals_in_the_transport_is_complete():
    """
    Every private method that is held here is explained in the docstring of `internals`, by its name.
    """
    explained = importlib.import_module("pql_stream.stream.transport.internals").__doc__ or ""
    private = {
        name
        for names in [*METHODS.values(), *ATTRIBUTES.values()]
        for name in names
        if name.startswith("_") and not name.startswith("__")
    }

    assert [] == sorted(name for name in private if f"`{name}`" not in explained)


if __name__ == "__main__" and "--write" in sys.argv:
    RECORDED.write_text(json.dumps(current_state(), indent=1) + "\n")
