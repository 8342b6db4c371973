"""What a template is shown of an item, with every text short and free of control characters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings

NAMES = frozenset(
    {"record", "profile", "lead_id", "tier", "score", "reasons", "next_step", "crm_url", "unsubscribe_url"}
)
"""The variables of every template."""
PROFILE_FIELDS = frozenset(LeadProfile.__struct_fields__)

NEXT_STEPS = {
    "immediate": "Contact this lead now, while they are working with the product.",
    "standard": "Contact this lead within one working day.",
    "delayed": "No call yet: look at this lead again in a week.",
}
"""What a salesperson does next, by hand-off class."""
NO_NEXT_STEP = "Nothing to do yet."
"""The next step of a record without a hand-off class, or with one that nobody described."""

TEXT_CHARS_MAX = 1_000
"""A name or a reason is far shorter; what is longer is cut, so that no lead can fill a message."""
LIST_LENGTH_MAX = 100
"""Contributions and reasons; a pack has a dozen rules."""

_URL_FIELDS = frozenset({"lead_id", "account_id", "email"})
_URL_BAD = re.compile(r"[\s<>|\"'\\^`\x00-\x1f\x7f]")
# All of C0 and C1 but tab and line feed, what turns the direction of writing, and halves of characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile("[\\s\u200e\u200f\u2028\u2029]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSettings:
    """
    What templates share.

    *directory* has the operator's templates; one with a shipped name replaces it. *crm_url* is the address of a lead
    in the CRM, with `{lead_id}`, `{account_id}` or `{email}` in it; empty for none. *next_steps*: hand-off class ->
    sentence.
    """

    directory: Path | None = None
    crm_url: str = ""
    next_steps: Mapping[str, str] = field(default_factory=lambda: NEXT_STEPS)

    def __post_init__(self) -> None:
        if self.directory is not None and not self.directory.is_dir():
            raise InvalidSettings(
                f"the template directory {self.directory} is missing",
                why="there is no directory of this name",
                what_to_do="make it, or leave the setting empty to use the shipped templates alone",
            )
        if self.crm_url and (why := _url_problem(self.crm_url)):
            raise InvalidSettings(
                "the CRM address cannot be used",
                why=why,
                what_to_do="write it like https://crm.example/contacts/{lead_id}",
            )


def _url_problem(pattern: str) -> str:
    """What is wrong with *pattern*, "" if nothing."""
    try:
        parts = list(Formatter().parse(pattern))
        address = urlsplit(pattern)
        host = address.hostname
    except ValueError as exc:
        return str(exc)
    strange = [name for _, name, _, _ in parts if name is not None and name not in _URL_FIELDS]
    if strange:
        return f"{{{strange[0]}}} is none of {', '.join(sorted(_URL_FIELDS))}"
    if address.scheme not in {"http", "https"} or not host:
        return "it is no http or https address"
    return "it has a space or one of < > | \" ' \\ ^ `" if _URL_BAD.search(pattern) else ""


def context_of(item: Item, settings: TemplateSettings, *, unsubscribe_url: str = "") -> dict[str, object]:
    """The variables of *item*: exactly those of `NAMES`. *unsubscribe_url* is of mails to leads, else empty."""
    record = tame(item.delivery.record)
    profile = item.profile or LeadProfile(lead_id=item.delivery.lead_id)
    handoff = record.get("handoff")
    return {
        "record": record,
        "profile": tame(msgspec.structs.asdict(profile)),
        "lead_id": tame(item.delivery.lead_id),
        "tier": record.get("tier", record.get("tier_after", "")),
        "score": record.get("score", record.get("score_after", 0)),
        "reasons": record["reasons"] if "reasons" in record else _reasons(record),
        "next_step": settings.next_steps.get(str(handoff), NO_NEXT_STEP),
        "crm_url": _crm_url(settings.crm_url, item),
        "unsubscribe_url": unsubscribe_url,
    }


def tame(value: Any) -> Any:  # noqa: ANN401 - JSON, in and out
    """*value* with short texts and lists, without control characters."""
    match value:
        case str():
            return cut(_CONTROL.sub("", value), TEXT_CHARS_MAX)
        case Mapping():
            return {tame(key): tame(inner) for key, inner in value.items()}
        case list() | tuple():
            return [tame(inner) for inner in value[:LIST_LENGTH_MAX]]
        case _:
            return value


def one_line(text: str) -> str:
    """*text* in one line: what breaks a line, or cannot stand in a header, is a space or gone."""
    return _BREAKS.sub(" ", _CONTROL.sub(" ", text)).strip()


def cut(text: str, chars_max: int) -> str:
    """*text*, or its beginning and an ellipsis."""
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def _reasons(record: Mapping[str, Any]) -> list[str]:
    """A record of a changed score has no sentences: the rules that gave points, the largest first."""
    earned = [part for part in record.get("contributions", ()) if part["points"] > 0]
    earned.sort(key=lambda part: part["points"], reverse=True)
    return [f"{part['rule'].replace('_', ' ')} (+{part['points']})" for part in earned]


def _crm_url(pattern: str, item: Item) -> str:
    """The lead's address in the CRM; "" where there is no pattern, or what it asks for is not known."""
    known = {
        "lead_id": item.delivery.lead_id,
        "account_id": item.delivery.record.get("account_id"),
        "email": item.profile.email if item.profile else None,
    }
    asked = [name for _, name, _, _ in Formatter().parse(pattern) if name is not None]
    if not all(known[name] for name in asked):
        return ""
    return pattern.format_map({name: quote(str(known[name]), safe="", errors="replace") for name in asked})
