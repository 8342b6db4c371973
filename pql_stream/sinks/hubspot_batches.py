"""
A batch of inputs to HubSpot, and an outcome for each: partial answers, answers that leave inputs out, and rejected
batches, which are halved until the bad input stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Unknown
from pql_stream.sinks.hubspot_api import HubSpotApi, Reply, objects_of, properties_missing, refused_by, texts_of

CALLS_MAX = 40
"""
Calls that one rejected batch may cost: the limit is 100 in ten seconds, and fewer than one call in twenty should
fail. Enough for three bad inputs among a hundred; what is left then comes again, in a batch without those.
"""


@dataclass(frozen=True, slots=True)
class Input:
    """
    One input of a batch. *trace_id* is the delivery's id, and unique in the batch; HubSpot gives it back with what
    became of the input. *own* is a property of the record that nothing else has, and its value, for answers that do
    not. *address* is what else names the record: id and idProperty, or the associations.
    """

    trace_id: str
    own: tuple[str, str]
    properties: Mapping[str, str]
    address: Mapping[str, object]

    def json(self) -> dict[str, object]:
        """As it is sent."""
        return {**self.address, "properties": self.properties, "objectWriteTraceId": self.trace_id}


Outcomes = dict[str, Outcome]
"""By trace id."""


async def send(api: HubSpotApi, path: str, inputs: Sequence[Input]) -> Outcomes:
    """
    One attempt at *inputs*, which may be several calls; each input's outcome is that of the last call it was in.

    The first call that comes to nothing (a limit, no answer) ends the attempt: what was not sent by then waits.
    """
    outcomes: Outcomes = {}
    waiting = [tuple(inputs)] if inputs else []
    calls_left = CALLS_MAX
    while waiting and calls_left:
        part = waiting.pop()
        calls_left -= 1
        got = await api.call("POST", path, {"inputs": [one.json() for one in part]})
        if not isinstance(got, Reply):
            outcomes.update({one.trace_id: got for one in part})
            return outcomes | _not_sent(waiting, got)
        if got.is_taken:
            outcomes.update(_outcomes(part, got))
        else:
            refused, rest = _rejected(part, got)
            outcomes.update({one.trace_id: got.refused() for one in refused})
            waiting.extend(rest)
    return outcomes | _not_sent(waiting, Later("unavailable", "item", detail="too many bad inputs at once"))


def _not_sent(waiting: Sequence[tuple[Input, ...]], why: Outcome) -> Outcomes:
    """What was in no call, or in a rejected one: surely not done."""
    later = why if isinstance(why, Later) else Later("unavailable", "sink", detail="not sent after a call that failed")
    return {one.trace_id: later for part in waiting for one in part}


def _rejected(part: tuple[Input, ...], reply: Reply) -> tuple[Sequence[Input], list[tuple[Input, ...]]]:
    """The inputs of a rejected batch that are refused, and the parts to try again, the last one first."""
    message = str(reply.body.get("message", ""))
    if len(part) == 1 or "non-unique" in message:
        return part, []  # not a unique property: the account is not set up, halving finds nothing
    missing = properties_missing(reply.body)
    having = [one for one in part if missing & one.properties.keys()]
    if having:
        rest = tuple(one for one in part if one not in having)
        return having, [rest] if rest else []
    half = len(part) // 2
    return [], [part[half:], part[:half]]


def _outcomes(part: tuple[Input, ...], reply: Reply) -> Outcomes:
    """
    What an accepted batch says of each input.

    HubSpot answers some batches kindly without having done anything: an input that is neither among the results nor
    among the errors is not known to be done.
    """
    found: Outcomes = {}
    results = objects_of(reply.body.get("results"))
    for result in results:
        trace_id = _trace_id(result, part)
        if trace_id is not None:
            found[trace_id] = Delivered(str(result["id"]) if "id" in result else None)
    for error in objects_of(reply.body.get("errors")):
        outcome = _outcome_of_error(error)
        context = error.get("context")
        traced = texts_of(context.get("objectWriteTraceId")) if isinstance(context, Mapping) else []
        found.update(dict.fromkeys(traced, outcome))
    silent = Unknown(f"an answer that leaves inputs out: {len(found)} of {len(part)}")
    return {one.trace_id: found.get(one.trace_id, silent) for one in part}


def _trace_id(result: Mapping[str, object], part: Sequence[Input]) -> str | None:
    """The trace id of the input that *result* is of."""
    told = result.get("objectWriteTraceId")
    if isinstance(told, str):
        return told
    properties = result.get("properties")
    if not isinstance(properties, Mapping):
        return None
    return next((one.trace_id for one in part if properties.get(one.own[0]) == one.own[1]), None)


def _outcome_of_error(error: Mapping[str, object]) -> Outcome:
    """What one error of a partial answer means for its inputs."""
    match error.get("category"):
        case "VALIDATION_ERROR" | "CONFLICT" | "OBJECT_ALREADY_EXISTS" | "OBJECT_NOT_FOUND":
            return refused_by(error, 207)
        case "RATE_LIMITS":
            return Later("rate_limited", "item", detail="RATE_LIMITS")
        case _:
            return Later("unavailable", "item", detail=refused_by(error, 207).detail)
