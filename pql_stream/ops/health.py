"""What a worker says of itself to its keeper: alive, ready, started; each with a sentence for people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pql_stream.stream.membership import Membership, RecoveryProgress
from pql_stream.stream.metrics import PartitionId

if TYPE_CHECKING:
    from pql_stream.stream.transport import BatchApp


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe answers: yes or no, and a sentence that says why."""

    ok: bool
    sentence: str


class HealthyApp(Protocol):
    """What is asked of an app."""

    @property
    def crashed(self) -> bool: ...
    @property
    def is_ready(self) -> bool: ...
    @property
    def membership(self) -> Membership: ...
    @property
    def sources(self) -> Collection[object]: ...

    def recovery(self) -> RecoveryProgress:
        """How far its rows are."""


@dataclass(slots=True)
class WorkerHealth:
    """
    The answers of one process; quick, for they run on the loop that also scores.

    Until `watch` is called the worker waits for the cluster.
    """

    is_ending: Callable[[], bool]
    _apps: Mapping[str, HealthyApp] = field(default_factory=dict)
    _stalled: Callable[[], Sequence[str]] = tuple
    _has_started: bool = False

    def watch(self, apps: Mapping[str, HealthyApp], stalled: Callable[[], Sequence[str]]) -> None:
        """
        The cluster has answered, and *apps* are made, by the names that people know them under.

        *stalled* gives a sentence for each stall.
        """
        self._apps, self._stalled = apps, stalled

    def live(self) -> Health:
        """
        False when only a restart helps; never for somebody else's fault.

        That the event loop turns need not be looked at, or this would not be asked.
        """
        if any(app.crashed for app in self._apps.values()):
            return Health(ok=False, sentence="the worker has crashed and is ending")
        stalls = self._stalled()
        if stalls:
            return Health(ok=False, sentence="; ".join([*stalls[:3], "a restart is needed"]))
        return Health(ok=True, sentence="the worker is alive")

    def ready(self) -> Health:
        """Partitions are assigned, their rows recovered, and the group is not dealing them anew."""
        if self.is_ending():
            return Health(ok=False, sentence="the worker is ending")
        if not self._apps:
            return Health(ok=False, sentence="waiting for the cluster, which does not answer or lacks a topic")
        ready = all(app.is_ready for app in self._apps.values())
        self._has_started = self._has_started or ready
        told = [f"{name}: {_state(app)}" for name, app in self._apps.items() if app.is_ready == ready]
        return Health(ok=ready, sentence="; ".join(told))

    def started(self) -> Health:
        """The worker was ready once; until then as `ready`."""
        ready = self.ready()
        return Health(ok=True, sentence="the worker has started") if self._has_started else ready


def _state(app: HealthyApp) -> str:
    """Where *app* is, in words."""
    if app.is_ready:
        return f"ready, with {len(app.sources)} partitions"
    if app.membership.phase == "joining":
        return "joining its consumer group"
    if app.membership.phase == "recovering":
        return _recovery(app.recovery())
    return "reading the contact data of its leads"


def _recovery(progress: RecoveryProgress) -> str:
    if progress.partitions == 0:
        return "assigned, looking where the changelogs end"
    return (
        f"reading rows back from the changelogs: {progress.partitions_done} of {progress.partitions} partitions, "
        f"{progress.rows_done:,} of {progress.rows:,} rows, {progress.percent} %"
    )


class AppUnderWatch:
    """A `Watched` of `StallWatch`: *app* as the batch transport knows it."""

    def __init__(self, app: BatchApp) -> None:
        self._app = app

    def owned(self) -> dict[PartitionId, int]:
        """Sources, and how far their batches in work are."""
        return {PartitionId(tp.topic, tp.partition): self._app.activity(tp) for tp in self._app.sources}

    def waiting(self) -> set[PartitionId]:
        """Those of a destination that is away, or whose deliveries are not due."""
        return {PartitionId(tp.topic, tp.partition) for tp in self._app.sources if self._app.is_waiting(tp)}

    def start(self) -> tuple[str, object] | None:
        """Joining, or reading rows back."""
        membership = self._app.membership
        if membership.phase == "joining":
            return "joining the consumer group", membership.assignments
        if membership.phase == "recovering" and (left := self._app.recovery().left) > 0:
            return "reading rows back from the changelogs", (membership.assignments, left)
        return None

    def heard(self, ends: Mapping[PartitionId, int]) -> None:
        """For the lag."""
        self._app.ends_heard = {(at.topic, at.partition): end for at, end in ends.items()}
