"""What each destination says to a harmless call, and making there what we need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from pql_stream.delivery.outcomes import Delivered, Later, LaterReason, Outcome, Refused, Unknown
from pql_stream.errors import LedgerAway
from pql_stream.ops.delivery.disabled import Disabled
from pql_stream.ops.delivery.sinks import OpenSink
from pql_stream.sinks.hubspot import HubSpotSink
from pql_stream.sinks.hubspot_properties import SetUp
from pql_stream.wire.numbers import rfc3339

_T = TypeVar("_T")

_TO_DO: dict[LaterReason, str] = {
    "unauthorised": "look at its credentials in the settings file, and at what they are allowed to do",
    "not_connected": "look at its address, at DNS, and at what the firewall lets out",
    "unavailable": "see whether the service is up, and whether its address and version are right; then try again",
    "rate_limited": "it takes no more calls now: try again later",
    "quota_used_up": "the quota of its account is used up: wait until it is renewed, or raise it",
    "busy": "try again",
}


@dataclass(frozen=True, slots=True)
class SinkCheck:
    """What came of a check; *what_to_do* is "" where there is nothing to do."""

    sink: str
    ok: bool
    text: str
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class SinkSetUp:
    """What was *made* at a destination, *found* as we need it, and found *different*; or why that did not work."""

    sink: str
    state: Literal["done", "nothing_to_do", "failed"]
    made: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    text: str = ""
    what_to_do: str = ""


def check_sinks(sinks: Sequence[OpenSink], disabled: Callable[[OpenSink], Awaitable[Disabled]]) -> list[SinkCheck]:
    """Ask all *sinks* at once, and close them; *disabled* tells what the ledger has of each."""

    async def check(one: OpenSink) -> SinkCheck:
        return with_disabled(check_of(one.name, await one.sink.check()), await disabled(one))

    return _each(sinks, check)


def with_disabled(check: SinkCheck, disabled: Disabled) -> SinkCheck:
    """*check*, and what the ledger has: whatever the destination says now, nothing goes there while it is disabled."""
    match disabled:
        case None:
            return check
        case LedgerAway():
            text = f"{check.text}; the ledger does not tell whether a 410 has disabled it ({disabled.why})"
            return replace(check, text=text, what_to_do=check.what_to_do or disabled.what_to_do)
        case at_ms:
            text = f"disabled since {rfc3339(at_ms)}, when it answered 410 (gone): deliveries go to the dead letters"
            return SinkCheck(check.sink, ok=False, text=text, what_to_do=how_to_enable(check.sink))


def how_to_enable(sink: str) -> str:
    """What an operator does about a *sink* that has disabled itself."""
    return (
        f"when it takes messages again `pql-stream sinks enable {sink}`, or give it its new URL; then "
        f"`pql-stream dlq redrive --sink {sink} --reason gone`"
    )


def set_up_sinks(sinks: Sequence[OpenSink]) -> list[SinkSetUp]:
    """Make at the destinations of *sinks* what is missing there, change nothing, and close them."""
    return _each(sinks, _set_up)


def check_of(sink: str, outcome: Outcome) -> SinkCheck:
    """*outcome* in words for an operator."""
    match outcome:
        case Delivered(detail=unseen):
            return SinkCheck(sink, ok=True, text=f"it answers; {unseen or 'the credentials are good'}")
        case Later(reason, _, _, detail):
            return SinkCheck(sink, ok=False, text=_told(reason, detail), what_to_do=_TO_DO[reason])
        case Refused("not_found", detail):
            hint = f"`pql-stream sinks set-up {sink}` makes what can be made, or ask whoever administers it"
            return SinkCheck(sink, ok=False, text=_told("not_found", detail), what_to_do=hint)
        case Refused("forbidden_address", detail):
            hint = "it lies inside our own network: name that in allowed_networks if it is meant so"
            return SinkCheck(sink, ok=False, text=_told("forbidden_address", detail), what_to_do=hint)
        case Refused(reason, detail):
            return SinkCheck(sink, ok=False, text=_told(reason, detail), what_to_do="look at its settings")
        case Unknown(detail):
            return SinkCheck(sink, ok=False, text=_told("no answer", detail), what_to_do=_TO_DO["unavailable"])


def _told(what: str, detail: str) -> str:
    words = what.replace("_", " ")
    return f"{words}: {detail}" if detail else words


async def _set_up(one: OpenSink) -> SinkSetUp:
    if not isinstance(one.sink, HubSpotSink):
        return SinkSetUp(one.name, "nothing_to_do", text="nothing is made at a destination of this type")
    match await one.sink.set_up_properties():
        case SetUp(made, found, different):
            told = tuple(f"{name}: {what}" for name, what in different.items())
            hint = "change these at the destination, or name others in the settings file" if told else ""
            return SinkSetUp(one.name, "done", made, found, told, what_to_do=hint)
        case outcome:
            check = check_of(one.name, outcome)
            return SinkSetUp(one.name, "failed", text=check.text, what_to_do=check.what_to_do)


def _each(sinks: Sequence[OpenSink], ask: Callable[[OpenSink], Awaitable[_T]]) -> list[_T]:
    async def run() -> list[_T]:
        async with AsyncExitStack() as stack:
            for one in sinks:
                stack.push_async_callback(one.sink.close)
            return list(await asyncio.gather(*[ask(one) for one in sinks]))

    return asyncio.run(run())
