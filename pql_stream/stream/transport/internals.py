"""DOC"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aiokafka.protocol.group import (
    HeartbeatRequest,
    SyncGroupRequest,
)
from faust.types import TP

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from faust.tables.recovery import Recovery
    from faust.types import AppT
    from mode import Service, ServiceT

    from pql_stream.stream.transport.lease import Lease

# Kafka's error codes ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID; aiokafka has no name for the last one.
_NO_MEMBER = (22, 25, 82)


def tune(consumer: AIOKafkaConsumer, *, fetch_max_wait_ms: int, isolation: str) -> None:
    """Set on a consumer that is not started yet what Faust does not pass on."""
    consumer._fetch_max_wait_ms = fetch_max_wait_ms
    consumer._isolation_level = isolation


def is_closed(consumer: AIOKafkaConsumer) -> bool:
    """The consumer was stopped."""
    return bool(consumer._closed)


def assignment_of(consumer: AIOKafkaConsumer) -> Any | None:  # noqa: ANN401  # aiokafka ships no types
    """The current assignment (compare it with `is`; `tps` are its partitions); None while the group is joining."""
    state = consumer._subscription
    if state.subscription is None or state.reassignment_in_progress:
        return None
    return state.subscription.assignment


def check_coordinator(consumer: AIOKafkaConsumer) -> bool:
    """
    Consume a join error that aiokafka parked; it joins again only then. True when its coordination is over for good.

    Raises:
        KafkaError: the parked error.
    """
    coordinator = consumer._coordinator
    if coordinator._coordination_task.done():
        return True
    coordinator.check_errors()
    return False


def watch_answers(consumer: AIOKafkaConsumer, lease: Lease) -> None:
    """
    Let the answers of the group coordinator of a started *consumer* renew and end *lease*.

    A heartbeat that is answered with "rebalance in progress" does not renew it: the broker may finish that rebalance
    without us before the session is over.
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
    offset: int | None = offsets[tp] if tp in offsets else None
    return -1 if offset is None else offset


def active_highwater(app: AppT, tp: TP) -> int | None:
    """The last offset that the changelog *tp* had when its active recovery began; None when it is not recovered."""
    recovery = recovery_of(app)
    if tp not in recovery.active_tps or tp not in recovery.active_highwaters:
        return None
    highwater: int | None = recovery.active_highwaters[tp]
    return -1 if highwater is None else highwater
