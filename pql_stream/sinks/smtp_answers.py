"""What a mail relay's replies mean (RFC 5321, 4.2; RFC 3463), by the step that they answer."""

from __future__ import annotations

import re
from typing import Literal

from pql_stream.delivery.outcomes import Later, Outcome, Refused, Unknown

Step = Literal["connect", "login", "mail", "rcpt", "data", "content"]
"""*content*: the final dot was sent, and the relay has it all."""

GREYLISTED_S = 300.0
"""The first retry after greylisting: relays keep a stranger waiting for about five minutes."""

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_NOT_LOGGED_IN = frozenset({530, 535, 538})
_TOO_LARGE = frozenset({"5.3.4", "5.2.3"})


def outcome_of_reply(step: Step, code: int, text: str) -> Later | Refused | Unknown:
    """What a reply that is not the wanted one means. Of *text* its enhanced code is kept, and nothing else."""
    found = _ENHANCED.match(text)
    enhanced = found[1] if found else ""
    detail = " ".join(part for part in (step, str(code), enhanced) if part)
    match code // 100:
        case 4:
            return _for_now(step, code, enhanced, detail)
        case 5:
            return _for_good(step, code, enhanced, detail)
        case _ if step == "content":
            return Unknown(f"{step}: not a reply of SMTP")
        case _:
            return Later("unavailable", "sink", detail=f"{step}: not a reply of SMTP")


def _for_now(step: Step, code: int, enhanced: str, detail: str) -> Later:
    # 4.3.x is about the relay as a whole, like its refusal to talk at all.
    if code == 421 or enhanced.startswith("4.3.") or step in {"connect", "login", "mail"}:
        return Later("unavailable", "sink", detail=detail)
    is_greylisted = step == "rcpt" and code in {450, 451}
    return Later("busy", "item", GREYLISTED_S if is_greylisted else None, detail)


def _for_good(step: Step, code: int, enhanced: str, detail: str) -> Later | Refused:
    if code == 552 or enhanced in _TOO_LARGE:
        return Refused("too_large", detail)
    # Up to here the relay knows nothing of the mail but its sender: all others would fare the same.
    if code in _NOT_LOGGED_IN or step in {"connect", "login", "mail"}:
        return Later("unauthorised", "sink", detail=detail)
    is_unknown_address = enhanced.startswith("5.1.") or (not enhanced and code in {550, 551, 553})
    if step == "rcpt" and is_unknown_address:
        return Refused("not_found", detail)
    return Refused("invalid", detail)


def outcome_of_recipients(replies: list[tuple[int, str]]) -> Outcome | None:
    """
    Whether a mail goes on after its recipients' *replies*; None if it does, to those that were taken.

    Whoever is to be asked later holds up the mail for all: sending it to some now, and again later, would send it to
    those twice. A recipient that is refused for good holds up nobody.
    """
    refused = [outcome_of_reply("rcpt", code, text) for code, text in replies if not is_taken(code)]
    if waiting := [outcome for outcome in refused if not isinstance(outcome, Refused)]:
        return max(waiting, key=lambda outcome: isinstance(outcome, Later) and outcome.scope == "sink")
    return refused[0] if len(refused) == len(replies) else None


def refusals(replies: list[tuple[int, str]]) -> str:
    """In a few words, which recipients will not get the mail that others get; "" if all do."""
    refused = [outcome_of_reply("rcpt", code, text) for code, text in replies if not is_taken(code)]
    return f"{len(refused)} of {len(replies)} recipients refused: {refused[0].detail}" if refused else ""


def is_taken(code: int) -> bool:
    """Is it a "yes"? 251 and 252 too: it will be forwarded, or tried."""
    return 200 <= code <= 299
