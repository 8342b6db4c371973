"""Somebody asks the workers for another live pack: what is waited for, what is refused, and what is said then."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pql_stream.core.packs import PackId
from pql_stream.errors import PqlError
from pql_stream.ops.cli.cutover import check_complete, is_needed
from pql_stream.ops.cutover import Operator, pack_before
from pql_stream.stream.control_log import ControlLog
from pql_stream.wire.control import (
    CastAnswer,
    CheckRequest,
    FillRequest,
    PackRef,
    ReportAnswer,
    Request,
    SwitchRequest,
    encode_control,
)

OLD, NEW, OTHER = PackId("old", 1), PackId("new", 1), PackId("other", 1)
AT = "2026-01-05T10:00:00.000Z"
PARTITIONS = 3


@dataclass
class Workers:
    """A control topic, and workers that answer one partition whenever it is read; those of *silent* do not."""

    log: list[bytes] = field(default_factory=list)
    silent: frozenset[int] = frozenset()
    lacking: frozenset[int] = frozenset()
    incomplete: int = 0
    edited: int = 0
    asked: list[Request] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    time_s: float = 0.0

    def read(self) -> ControlLog:
        log = self.known()
        for partition in range(PARTITIONS):
            if partition not in self.silent and self.answers(partition, log):
                break
        return log

    def known(self) -> ControlLog:
        log = ControlLog()
        for offset, value in enumerate(self.log):
            log.add(offset, value)
        return log

    def answers(self, partition: int, log: ControlLog) -> bool:
        check, switch = log.check or log.fill, log.switch
        if check is not None and (partition, check.request_id) not in log.reports:
            able = partition not in self.lacking
            self.write(
                ReportAnswer(
                    request_id=check.request_id,
                    partition=partition,
                    able=able,
                    why="" if able else f"the worker of partition {partition} does not have new",
                    leads=10,
                    incomplete=self.incomplete,
                    losing=self.incomplete // 2,
                    edited=self.edited,
                    complete_after=AT if self.incomplete else None,
                )
            )
            return True
        if switch is not None and log.live(partition) != switch.pack.id:
            self.cast(partition, switch.pack.id, switch.request_id)
            return True
        return False

    def cast(self, partition: int, live: PackId, request_id: str = "first-start") -> None:
        casts = self.known().casts.get(partition, [])
        self.write(
            CastAnswer(
                request_id=request_id,
                partition=partition,
                number=len(casts),
                live=PackRef.of(live),
                before=casts[-1].live if casts else None,
                offsets={},
                cast_at=AT,
            )
        )

    def write(self, record) -> None:
        self.log.append(encode_control(record))

    def ask(self, request: Request) -> None:
        self.asked.append(request)
        self.write(request)

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds

    def operator(self) -> Operator:
        return Operator(
            self, PARTITIONS, 5.0, self.told.append, clock=lambda: self.time_s, wall_clock=lambda: 0.0, sleep=self.sleep
        )


@pytest.fixture
def workers() -> Workers:
    """They have begun with the old pack."""
    made = Workers()
    for partition in range(PARTITIONS):
        made.cast(partition, OLD)
    return made


def test_all_partitions_change_over(workers):
    """It is told how many have; the answer is what the topic says then."""
    known = workers.operator().switch(NEW, "new")

    assert [NEW] * PARTITIONS == [known.live(partition) for partition in range(PARTITIONS)]
    assert "new version 1 is live: 3 of 3 partitions" == workers.told[-1]
    assert ["new"] == [request.announce for request in workers.asked]


def test_a_check_adds_up_what_the_workers_say(workers):
    """One report a partition, in their order."""
    workers.incomplete = 4

    assert [(0, 10, 4), (1, 10, 4), (2, 10, 4)] == [
        (one.partition, one.leads, one.incomplete) for one in workers.operator().check(NEW)
    ]


def test_the_live_pack_is_not_filled(workers):
    """No worker is asked, and what is said names what can be filled."""
    with pytest.raises(PqlError, match="old version 1 is live, and the live pack cannot be filled") as caught:
        workers.operator().fill(OLD)

    assert "PQL_SHADOW_PACKS" in caught.value.what_to_do
    assert [] == workers.asked


def test_a_fill_that_is_under_way_is_waited_for(workers):
    """Another request would make the workers begin anew; when it is done, or refused, another one is made."""
    begun = FillRequest(request_id="f", pack=PackRef.of(NEW), asked_at=AT)
    workers.write(begun)
    done = workers.operator().fill(NEW)
    workers.operator().fill(NEW)

    assert ["f"] * PARTITIONS == [one.request_id for one in done]
    assert ["fill"] == [request.kind for request in workers.asked]


def test_a_cut_over_that_is_under_way_is_waited_for(workers):
    """What workers tell has the ids of the request; asked for otherwise it is another one."""
    workers.silent = frozenset({2})
    for announce in ("new", "new", "none"):
        with pytest.raises(PqlError):
            workers.operator().switch(NEW, announce)
    workers.silent = frozenset()
    workers.operator().switch(NEW, "none")

    assert ["new", "none"] == [request.announce for request in workers.asked]


def test_workers_that_do_not_answer_are_named(workers):
    """After the time without progress; what was asked stays asked."""
    workers.silent = frozenset({0, 2})
    with pytest.raises(PqlError, match="1 of 3 partitions, no more in 5 s") as caught:
        workers.operator().switch(NEW, "none")

    assert "partition 0, 2" in caught.value.why
    assert 1 == len(workers.asked)


def test_a_worker_without_the_pack_ends_it_before_anything_changes(workers):
    """The check says so; nothing was asked for but the check."""
    workers.lacking = frozenset({1})
    with pytest.raises(PqlError, match="the worker of partition 1 does not have new") as caught:
        check_complete(workers.operator(), NEW, force=True)

    assert "PQL_SHADOW_PACKS" in caught.value.what_to_do
    assert ["check"] == [request.kind for request in workers.asked]


@pytest.mark.parametrize(
    ("fault", "leads", "what", "why", "what_to_do"),
    [
        pytest.param(
            "incomplete",
            4,
            "new version 1 does not know all events of 12 of 30 leads",
            "only leads first seen after 2026-01-05T10:00:00.000Z are complete; 6 would lose points",
            "shadow fill new",
            id="incomplete",
        ),
        pytest.param(
            "edited",
            2,
            "new version 1 was edited under its version: 6 of 30 leads",
            "points are kept until an event moves them",
            "raise `version`",
            id="edited under its version",
        ),
    ],
)
def test_a_pack_that_would_say_something_false_is_refused_unless_forced(  # noqa: PLR0917 - a case
    workers, fault, leads, what, why, what_to_do
):
    """With the number of leads, and of those that would lose points; no event may ever mend what was edited."""
    setattr(workers, fault, leads)
    with pytest.raises(PqlError, match=what) as caught:
        check_complete(workers.operator(), NEW, force=False)
    check_complete(workers.operator(), NEW, force=True)

    assert why in caught.value.why
    assert what_to_do in caught.value.what_to_do


def test_of_two_operators_the_last_counts_and_the_first_is_told(workers):
    """Who was first does not wait for what will not come."""
    first = workers.operator()

    def somebody_else(_seconds: float) -> None:
        other = SwitchRequest(request_id="z", pack=PackRef.of(OTHER), announce="none", asked_at=AT)
        workers.write(other)

    workers.sleep = somebody_else
    with pytest.raises(PqlError, match="somebody else asked for other version 1 meanwhile"):
        Operator(workers, PARTITIONS, 5.0, workers.told.append, clock=lambda: 0.0, sleep=somebody_else).switch(
            NEW, "none"
        )
    assert first.partitions == PARTITIONS


def test_of_two_who_ask_the_same_both_get_it(workers):
    """From two terminals at once: workers answer the last request only, and the first one waits for that."""
    meanwhile: list[Request] = [
        CheckRequest(request_id="c", pack=PackRef.of(NEW), asked_at=AT),
        SwitchRequest(request_id="s", pack=PackRef.of(NEW), announce="new", asked_at=AT),
    ]
    own_ask = workers.ask

    def ask(request: Request) -> None:
        own_ask(request)
        for other in [other for other in meanwhile if other.kind == request.kind]:
            workers.write(other)

    workers.ask = ask
    operator = workers.operator()
    reports = operator.check(NEW)
    known = operator.switch(NEW, "new")

    assert ["c"] * PARTITIONS == [one.request_id for one in reports]
    assert ["s"] * PARTITIONS == [known.casts[partition][-1].request_id for partition in range(PARTITIONS)]


def test_who_was_overtaken_by_another_question_asks_again(workers):
    """When that one is answered, so that neither of the two gets no answer."""
    other = CheckRequest(request_id="c", pack=PackRef.of(OTHER), asked_at=AT)
    own_ask = workers.ask

    def ask(request: Request) -> None:
        own_ask(request)
        if len(workers.asked) == 1:
            workers.write(other)

    workers.ask = ask
    reports = workers.operator().check(NEW)

    assert [NEW, NEW] == [request.pack.id for request in workers.asked]
    assert [workers.asked[1].request_id] * PARTITIONS == [one.request_id for one in reports]
    assert [True] * PARTITIONS == [(partition, "c") in workers.known().reports for partition in range(PARTITIONS)]


def test_what_is_live_already_needs_nothing(workers, capsys):
    """Run again it says so; where another pack is asked for it is not done."""
    operator = workers.operator()
    operator.switch(NEW, "none")
    needed = is_needed(operator, NEW)
    workers.ask(SwitchRequest(request_id="z", pack=PackRef.of(OTHER), announce="none", asked_at=AT))

    assert (False, True) == (needed, is_needed(operator, NEW))
    assert "live on all 3 partitions already" in capsys.readouterr().err


def test_a_rollback_goes_to_the_pack_before_and_stays_there(workers):
    """Also from a cut-over that has not reached all; asked again it goes nowhere else."""
    workers.silent = frozenset({2})
    with pytest.raises(PqlError):
        workers.operator().switch(NEW, "none")
    half = pack_before(workers.known())
    workers.silent = frozenset()
    workers.operator().switch(half, "none", rolls_back=True)

    assert OLD == half == pack_before(workers.known())


def test_there_may_be_nothing_to_go_back_to(workers):
    """Before the first cut-over."""
    with pytest.raises(PqlError, match="there is no pack to go back to"):
        pack_before(workers.known())


def test_what_is_no_record_of_ours_counts_for_nothing(workers):
    """Somebody else's bytes, tombstones, and records of a later version."""
    log = workers.known()
    later = encode_control(SwitchRequest(request_id="r", pack=PackRef.of(NEW), announce="none", asked_at=AT)).replace(
        b"pql-control/1", b"pql-control/2"
    )
    for value in (None, b"", b"[]", b"{", later):
        log.add(9, value)

    assert log == workers.known()
