"""What every sink keeps, whatever its destination does. A sink is one that `SINK_BENCHES` names."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from sink_bench import PERSONAL, SHORT_TIMEOUT_S, TOTAL_TIMEOUT_S, SinkBench, deliver_all
from sink_benches.email import EmailBench
from sink_benches.hubspot import HubSpotContactsBench, HubSpotTasksBench
from sink_benches.salesforce import SalesforceTaskBench, SalesforceUpsertBench
from sink_benches.slack import SlackBench, SlackWebhookBench
from sink_benches.webhook import WebhookBench

from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused, Unknown
from pql_stream.delivery.sink import Item, Sink
from pql_stream.testing.destinations.faults import Fault

SINK_BENCHES: dict[str, Callable[[], Awaitable[SinkBench]]] = {
    "email": EmailBench.start,
    "slack": SlackBench.start,
    "slack-webhook": SlackWebhookBench.start,
    "hubspot-contacts": HubSpotContactsBench.start,
    "hubspot-tasks": HubSpotTasksBench.start,
    "salesforce-task": SalesforceTaskBench.start,
    "salesforce-upsert": SalesforceUpsertBench.start,
    "webhook": WebhookBench.start,
}

IN_TWO_MINUTES = "Fri, 15 Jan 2027 08:02:00 GMT"


@dataclass
class Trial:
    """A bench, the sinks made from it, and everything that they said."""

    bench: SinkBench
    sinks: list[Sink] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def sink(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S, is_down: bool = False) -> Sink:
        self.sinks.append(self.bench.sink(total_timeout_s=total_timeout_s, is_down=is_down))
        return self.sinks[-1]

    async def deliver(self, items: Sequence[Item], sink: Sink | None = None) -> list[Outcome]:
        """Their outcomes, by *sink* or a fresh one."""
        outcomes = await deliver_all(sink or self.sink(), items)
        self.outcomes += outcomes
        return outcomes

    def items(self, count: int) -> list[Item]:
        return [self.bench.item(number) for number in range(1, count + 1)]

    def effects(self) -> Counter[str]:
        return self.bench.journal.seen()


@pytest.fixture(params=SINK_BENCHES.values(), ids=SINK_BENCHES.keys())
async def trial(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Trial]:
    """
    A trial of each sink. Whatever a test is about: no secret and no contact data is in what was said or logged.
    """
    caplog.set_level("DEBUG")
    trial = Trial(await request.param())

    yield trial

    for sink in trial.sinks:
        await sink.close()
    await trial.bench.close()
    # Not caplog.text: here, after the test, that is empty.
    logged = [logging.Formatter().format(record) for when in ("setup", "call") for record in caplog.get_records(when)]
    said = "\n".join([*logged, repr(trial.outcomes), repr(trial.sinks)])
    assert [] == [word for word in (*trial.bench.secrets, *PERSONAL) if word in said]


@pytest.fixture
def http_trial(trial: Trial) -> Trial:
    """A trial of each sink that speaks HTTP."""
    if not trial.bench.is_http:
        pytest.skip("not a matter of HTTP")
    return trial


def types_of(outcomes: Sequence[Outcome]) -> list[type[Outcome]]:
    return [type(outcome) for outcome in outcomes]


def once(items: Sequence[Item]) -> Counter[str]:
    """One effect of each of *items*."""
    return Counter(item.delivery.delivery_id for item in items)


async def test_one_outcome_per_item_in_order(trial):
    """
    Five good items are five effects, in their order, and five times "delivered".
    """
    items = trial.items(5)

    outcomes = await trial.deliver(items)

    assert [Delivered] * 5 == types_of(outcomes)
    assert [item.delivery.delivery_id for item in items] == list(trial.effects())


async def test_the_calls_of_an_attempt_are_as_many_as_it_says(http_trial):
    """
    A rate limit counts what the destination counts.
    """
    sink = http_trial.sink()
    items = http_trial.items(min(3, sink.traits.batch_max))

    await sink.deliver(items)

    calls = [path for _, path in http_trial.bench.journal.requests if not path.endswith("/token")]
    assert sink.calls_of(items) == len(calls)


async def test_nothing_to_deliver(trial):
    """
    No items, no outcomes and no request.
    """
    outcomes = await trial.sink().deliver([])

    assert [] == outcomes
    assert [] == trial.bench.journal.requests


async def test_one_bad_item_spoils_no_other(trial):
    """
    Only the bad one among good items fails, and the outcomes say which it was.
    """
    items = [trial.bench.item(1), trial.bench.bad_item(2), trial.bench.item(3)]

    outcomes = await trial.deliver(items)

    assert [Delivered, Refused, Delivered] == types_of(outcomes)
    assert once([items[0], items[2]]) == trial.effects()


async def test_time_out_before_the_write(trial):
    """
    A destination that never answers and did nothing: nobody can know, and the outcome says so.
    """
    trial.bench.faults.always = Fault("hang_before")
    items = trial.items(1)

    outcomes = await trial.deliver(items, trial.sink(total_timeout_s=SHORT_TIMEOUT_S))

    assert [Unknown] == types_of(outcomes)
    assert Counter() == trial.effects()


async def test_time_out_after_the_write(trial):
    """
    A destination that did it and never answers: the same to us, and never "not done".
    """
    trial.bench.faults.always = Fault("hang_after")
    items = trial.items(1)

    outcomes = await trial.deliver(items, trial.sink(total_timeout_s=SHORT_TIMEOUT_S))

    assert [Unknown] == types_of(outcomes)
    assert once(items) == trial.effects()


async def test_a_time_out_is_of_the_whole_batch(trial):
    """
    No answer to one request is no answer to all items of it: what may have had its effect is unknown.
    """
    sink = trial.sink(total_timeout_s=SHORT_TIMEOUT_S)
    items = trial.items(min(3, sink.traits.batch_max))
    trial.bench.faults.always = Fault("hang_after")

    outcomes = await trial.deliver(items, sink)

    not_sent = [item for item, outcome in zip(items, outcomes, strict=True) if isinstance(outcome, Later)]
    assert [Unknown] == types_of(outcomes[:1])
    assert {Unknown, Later} >= set(types_of(outcomes))
    assert [] == [item for item in not_sent if item.delivery.delivery_id in trial.effects()]


async def test_connection_refused(trial):
    """
    Where nobody listens nothing can have arrived: surely not done, to be tried again, and nobody's fault.
    """
    outcomes = await trial.deliver(trial.items(1), trial.sink(is_down=True))

    assert [Later] == types_of(outcomes)
    assert ("not_connected", "sink") == (outcomes[0].reason, outcomes[0].scope)


async def test_connection_closed_before_the_effect(trial):
    """
    A connection that breaks while a request is in it leaves open whether it arrived.
    """
    trial.bench.faults.always = Fault("close_before")

    outcomes = await trial.deliver(trial.items(1))

    assert [Unknown] == types_of(outcomes)
    assert Counter() == trial.effects()


async def test_connection_closed_after_the_effect(trial):
    """
    One attempt is one request: a broken connection is reported, not tried again unasked.
    """
    trial.bench.faults.always = Fault("close_after")
    items = trial.items(1)

    outcomes = await trial.deliver(items)

    assert [Unknown] == types_of(outcomes)
    assert once(items) == trial.effects()
    assert 1 == len(trial.bench.journal.effects)


@pytest.mark.parametrize("kind", ["half_answer", "garbage", "huge"])
async def test_an_answer_that_cannot_be_read(kind, http_trial):
    """
    Half an answer, noise or many megabytes after the effect: "unknown", or "delivered" by the status alone;
    never that it was not done.
    """
    http_trial.bench.faults.always = Fault(kind)
    items = http_trial.items(1)

    outcomes = await http_trial.deliver(items)

    assert types_of(outcomes) in ([Unknown], [Delivered])
    assert once(items) == http_trial.effects()


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [({"Retry-After": "17"}, 17.0), ({"Retry-After": IN_TWO_MINUTES}, 120.0), ({}, None)],
    ids=["seconds", "date", "without"],
)
async def test_too_many_requests(headers, after_s, http_trial):
    """
    A 429 is no failure of the item: later, after what was asked for.
    """
    http_trial.bench.faults.always = Fault("status", status=429, headers=headers)

    outcomes = await http_trial.deliver(http_trial.items(1))

    assert [Later] == types_of(outcomes)
    assert ("rate_limited", after_s) == (outcomes[0].reason, outcomes[0].after_s)
    assert Counter() == http_trial.effects()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error(status, http_trial):
    """
    A 5xx with a page of HTML: later.
    """
    http_trial.bench.faults.always = Fault("status", status=status, body=b"<html>Oops</html>")

    outcomes = await http_trial.deliver(http_trial.items(1))

    assert [Later] == types_of(outcomes)
    assert "unavailable" == outcomes[0].reason


async def test_a_server_error_that_names_a_time(http_trial):
    """
    A 503 with Retry-After is about all of the destination, and the time is kept.
    """
    http_trial.bench.faults.always = Fault("status", status=503, headers={"Retry-After": "40"})

    outcomes = await http_trial.deliver(http_trial.items(1))

    assert [("unavailable", "sink", 40.0)] == [(one.reason, one.scope, one.after_s) for one in outcomes]


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_not_taken(status, http_trial):
    """
    401 and 403 are about the credentials: everything of the sink waits for somebody, nothing is thrown away.
    """
    http_trial.bench.faults.always = Fault("status", status=status)

    outcomes = await http_trial.deliver(http_trial.items(1))

    assert [Later] == types_of(outcomes)
    assert ("unauthorised", "sink") == (outcomes[0].reason, outcomes[0].scope)


async def test_a_refusal_in_noise(http_trial):
    """
    A 400 whose body is noise is a "no" all the same, and no exception.
    """
    http_trial.bench.faults.always = Fault("status", status=400, body=b'{"errors": [[[')

    outcomes = await http_trial.deliver(http_trial.items(1))

    assert types_of(outcomes) in ([Refused], [Later])


async def test_a_silent_no_op(trial):
    """
    A friendly answer to nothing done is not taken for a delivery, where the destination says what it did.
    """
    if not trial.bench.detects_no_op:
        pytest.skip("the destination says no more than yes")
    trial.bench.faults.always = Fault("no_op")

    outcomes = await trial.deliver(trial.items(1))

    assert Delivered not in types_of(outcomes)
    assert Counter() == trial.effects()


async def test_cancelled_in_the_middle(trial):
    """
    A cancelled attempt ends as cancelled, and hangs up.
    """
    faults = trial.bench.faults
    faults.always = Fault("hang_after")
    attempt = asyncio.create_task(trial.sink().deliver(trial.items(1)))
    await asyncio.wait_for(faults.hanging.wait(), 30)

    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt

    await asyncio.wait_for(faults.hung_up.wait(), 30)


async def test_it_goes_on_after_every_fault(trial):
    """
    One sink object lives through all of it: what comes after is delivered.
    """
    sink = trial.sink()
    trial.bench.faults.then(Fault("close_before"), Fault("close_after"), Fault("garbage"), Fault("half_answer"))
    failing = trial.items(4)
    for item in failing:
        await trial.deliver([item], sink)
    last = trial.bench.item(5)

    outcomes = await trial.deliver([last], sink)

    assert [Delivered] == types_of(outcomes)
    assert 1 == trial.effects()[last.delivery.delivery_id]


async def test_a_repeat_has_no_second_effect(trial):
    """
    What the destination, or a look at it, recognises as a repeat is delivered, and nobody notices.
    """
    if not trial.bench.finds_repeats:
        pytest.skip("a repeat cannot be told there")
    items = trial.items(2)
    await trial.deliver(items)

    outcomes = await trial.deliver([replace(item, is_repeat=True) for item in items])

    assert [Delivered] * 2 == types_of(outcomes)
    assert once(items) == trial.effects()


async def test_a_repeat_after_a_lost_answer_has_no_second_effect(trial):
    """
    The same when the first answer was lost.
    """
    if not trial.bench.finds_repeats:
        pytest.skip("a repeat cannot be told there")
    items = trial.items(1)
    trial.bench.faults.then(Fault("close_after"))
    lost = await trial.deliver(items)

    outcomes = await trial.deliver([replace(item, is_repeat=True) for item in items])

    assert [Unknown, Delivered] == types_of(lost + outcomes)
    assert once(items) == trial.effects()


async def test_a_repeatable_sink_needs_no_mark(trial):
    """
    `traits.repeatable` promises more of an action: the same items again, as new, change nothing.
    """
    sink = trial.sink()
    items = trial.items(2)
    if not {item.delivery.action for item in items} <= sink.traits.repeatable:
        pytest.skip("it does not say so")

    outcomes = await trial.deliver([*items, *items], sink)

    assert [Delivered] * 4 == types_of(outcomes)
    assert once(items) == trial.effects()
    assert trial.bench.finds_repeats


async def test_check_of_good_credentials(trial):
    """
    The check of a destination that is well has no effect.
    """
    outcome = await trial.sink().check()
    trial.outcomes.append(outcome)

    assert [Delivered] == types_of([outcome])
    assert [] == trial.bench.journal.effects


async def test_check_of_a_destination_that_is_down(trial):
    """
    The check says what is wrong as an outcome, too.
    """
    outcome = await trial.sink(is_down=True).check()
    trial.outcomes.append(outcome)

    assert Later("not_connected", "sink", detail=outcome.detail) == outcome


async def test_closing_twice_and_before_use(trial):
    """
    Closing needs no first request, and does not mind the second time.
    """
    sink = trial.sink()

    await sink.close()
    await sink.close()

    assert [] == trial.bench.journal.requests
