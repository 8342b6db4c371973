"""
Asks the workers for another live pack, and watches them do it. What is asked lies in `pql-control`: the command may
end at any time, and the workers go on.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import Consumer, TopicPartition

from pql_stream.core.packs import PackId
from pql_stream.errors import PqlError
from pql_stream.ops.control import ask
from pql_stream.ops.topics.reading import reading, records_of
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.names import CONTROL, prefixed
from pql_stream.wire.control import Announce, CheckRequest, FillRequest, PackRef, ReportAnswer, SwitchRequest
from pql_stream.wire.numbers import rfc3339

_POLL_S = 0.5

_Asked = TypeVar("_Asked", CheckRequest, FillRequest)


class Control:
    """The control topic of a cluster, read anew whenever it is asked."""

    def __init__(self, client_config: Mapping[str, Any], prefix: str, consumer: Consumer) -> None:
        self._client_config = client_config
        self._prefix = prefix
        self._consumer = consumer

    def read(self) -> ControlLog:
        """What it says now."""
        log = ControlLog()
        for message in records_of(self._consumer, TopicPartition(prefixed(CONTROL, self._prefix), 0)):
            log.add(message.offset() or 0, message.value())
        return log

    def ask(self, request: SwitchRequest | CheckRequest | FillRequest) -> None:
        """Write *request*."""
        ask(self._client_config, self._prefix, request)


@contextmanager
def open_control(client_config: Mapping[str, Any], prefix: str) -> Iterator[Control]:
    """
    The control topic of the cluster.

    Raises:
        BrokerError: the cluster is away, or does not let us read.
    """
    with reading(client_config, prefixed(CONTROL, prefix)) as consumer:
        yield Control(client_config, prefix, consumer)


@dataclass(frozen=True, slots=True)
class Operator:
    """
    Somebody who asks the workers of *partitions* partitions for something.

    Waits as long as some partition answers every *patience_s* seconds. *tell* takes how far they are.
    """

    control: Control
    partitions: int
    patience_s: float
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def check(self, pack: PackId) -> list[ReportAnswer]:
        """
        How complete *pack* is, by partition.

        Raises:
            PqlError: a worker does not have it, or none answers.
        """
        return self._reports(self._ask(CheckRequest, pack), lambda known: known.check, f"looked at {pack}")

    def fill(self, pack: PackId) -> list[ReportAnswer]:
        """
        Let the workers read their input topics again for what *pack* does not know; how complete it is then.

        Where they are at it already it is waited for: another request would make them begin anew.

        Raises:
            PqlError: as `check`; or it is live.
        """
        known = self.control.read()
        if any(known.live(partition) == pack for partition in range(self.partitions)):
            raise PqlError(
                f"{pack} is live, and the live pack cannot be filled",
                why="what is published would change",
                what_to_do="fill a pack of PQL_SHADOW_PACKS; `pql-stream cutover --status` shows which one is live",
            )
        request = known.fill
        if request is None or request.pack.id != pack or self._is_over(known, request.request_id):
            request = self._ask(FillRequest, pack)
        return self._reports(request, lambda known: known.fill, f"filled {pack}")

    def switch(self, pack: PackId, announce: Announce, *, rolls_back: bool = False) -> ControlLog:
        """
        Let *pack* be live on every partition; what the topic says when it is.

        Where the workers are at it already it is waited for: of another request what is told would have other ids, and
        a worker that died may have told a part of it.

        Raises:
            PqlError: a worker does not have it, none answers, or somebody asked for another one meanwhile.
        """
        request = SwitchRequest(
            request_id=uuid.uuid4().hex,
            pack=PackRef.of(pack),
            announce=announce,
            rolls_back=rolls_back,
            asked_at=self._now(),
        )
        known = self.control.read()
        if known.switch is not None and self._is_under_way(known, known.switch, request):
            request = known.switch
        else:
            self.control.ask(request)

        def switched(known: ControlLog) -> Collection[int]:
            nonlocal request
            last = known.switch or request
            if not _is_same(last, request):
                raise PqlError(
                    f"somebody else asked for {last.pack.id} meanwhile",
                    why="the last request counts; partitions that have changed to your pack go on to that one",
                    what_to_do="agree on one, and run it again; `pql-stream cutover --status` shows where it stands",
                )
            request = last
            self._refuse(known, request.request_id)
            return [partition for partition in range(self.partitions) if known.live(partition) == pack]

        return self._wait(switched, f"{pack} is live")

    def _ask(self, kind: type[_Asked], pack: PackId) -> _Asked:
        request = kind(request_id=uuid.uuid4().hex, pack=PackRef.of(pack), asked_at=self._now())
        self.control.ask(request)
        return request

    def _reports(
        self, request: _Asked, last_of: Callable[[ControlLog], _Asked | None], what: str
    ) -> list[ReportAnswer]:
        """
        What the workers say to *request*. They answer only the last one, *last_of* the topic: where somebody else has
        asked the same meanwhile his is waited for; where something else, that is, and then it is asked again.
        """
        at = request

        def reported(known: ControlLog) -> Collection[int]:
            nonlocal at
            last = last_of(known)
            if last is not None and last.request_id != at.request_id and not self._is_over(known, at.request_id):
                if last.pack == at.pack:
                    at = last
                elif self._is_over(known, last.request_id):
                    at = self._ask(type(at), at.pack.id)
            self._refuse(known, at.request_id)
            return [partition for partition, of in known.reports if of == at.request_id]

        known = self._wait(reported, what)
        return [known.reports[partition, at.request_id] for partition in range(self.partitions)]

    def _is_under_way(self, known: ControlLog, asked: SwitchRequest, wanted: SwitchRequest) -> bool:
        """Are the workers doing what is *wanted*, since it was *asked* for?"""
        if not _is_same(asked, wanted):
            return False
        refused = any(of == asked.request_id and not one.able for (_, of), one in known.reports.items())
        return not refused and any(known.live(partition) != asked.pack.id for partition in range(self.partitions))

    def _is_over(self, known: ControlLog, request_id: str) -> bool:
        answers = [one for (_, of), one in known.reports.items() if of == request_id]
        return len(answers) >= self.partitions or not all(one.able for one in answers)

    @staticmethod
    def _refuse(known: ControlLog, request_id: str) -> None:
        unable = [one for (_, of), one in known.reports.items() if of == request_id and not one.able]
        if unable:
            raise PqlError(
                f"it cannot be done: {unable[0].why}",
                why=f"{len(unable)} partitions say so; on the others no more is done than `cutover --status` shows",
                what_to_do="name the pack in PQL_SHADOW_PACKS of every worker, start them again, and run this again",
            )

    def _wait(self, done: Callable[[ControlLog], Collection[int]], what: str) -> ControlLog:
        """What the topic says when all partitions are *done*."""
        before, since_s = -1, self.clock()
        while True:
            known = self.control.read()
            ready = done(known)
            if len(ready) != before:
                before, since_s = len(ready), self.clock()
                self.tell(f"{what}: {len(ready)} of {self.partitions} partitions")
            if len(ready) == self.partitions:
                return known
            if self.clock() - since_s > self.patience_s:
                missing = sorted(set(range(self.partitions)) - set(ready))
                raise PqlError(
                    f"{what} on {len(ready)} of {self.partitions} partitions, no more in {self.patience_s:.0f} s",
                    why=f"no worker answers for partition {', '.join(map(str, missing))}",
                    what_to_do="see that workers of this version run and are ready; what was asked stays asked, and "
                    "to run this again finishes it",
                )
            self.sleep(_POLL_S)

    def _now(self) -> str:
        return rfc3339(int(self.wall_clock() * 1000))


def _is_same(one: SwitchRequest, other: SwitchRequest) -> bool:
    """Do both ask for the same, whoever asks?"""
    return (one.pack, one.announce, one.rolls_back) == (other.pack, other.announce, other.rolls_back)


def pack_before(known: ControlLog) -> PackId:
    """
    What a rollback goes back to. Asked again it is the same: a rollback of a rollback would go forward.

    Raises:
        PqlError: there was none, or not the same one everywhere.
    """
    wanted = known.switch.pack.id if known.switch is not None else None
    if known.switch is not None and known.switch.rolls_back:
        return known.switch.pack.id
    # While a cut-over is on its way the partitions that it has not reached have nothing to go back from.
    over = [partition for partition in known.casts if wanted is None or known.live(partition) == wanted]
    found = {before for partition in over if (before := known.before(partition)) is not None}
    if len(found) != 1:
        raise PqlError(
            "there is no pack to go back to" if not found else "the partitions do not have one pack to go back to",
            why=f"before the live one there {'were ' + ' and '.join(map(str, sorted(found))) if found else 'was none'}",
            what_to_do="`pql-stream cutover --status` shows what is live; `pql-stream cutover PACK` makes PACK live",
        )
    return found.pop()
