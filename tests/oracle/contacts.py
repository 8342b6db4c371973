"""
Contact data: how it is written into events, and what a set of events says of whom (README, "Contact data").

As with scores, every question is put to all events again.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable
from typing import Any

from tests.oracle.decode import Event
from tests.oracle.facts import word

NAMES = ("identify", "profile completed", "profile updated", "team size changed", "$identify", "$set")
COMPANY_NAMES = ("company", "company_name", "companyName")
TEXTS = {
    "first_name": ("first_name", "firstName", "$first_name"),
    "last_name": ("last_name", "lastName", "$last_name"),
    "title": ("title", "job_title", "jobTitle"),
    "company": COMPANY_NAMES,
    "phone": ("phone", "$phone"),
    "timezone": ("timezone", "$timezone"),
    "locale": ("locale",),
}
YES = ("true", "yes", "granted", "given", "opted in", "subscribed")
NO = ("false", "no", "denied", "withdrawn", "revoked", "opted out", "unsubscribed")

# --- writing


def contact_facts(seed: str, lead: str) -> dict[str, Any]:
    """Properties that say, well or badly, who *lead* is; the same for the same *seed*."""
    rng = random.Random(seed)
    email = f"{lead}+{rng.randrange(9)}@secret.example"
    choices: tuple[dict[str, Any], ...] = (
        {"email": email},
        {"email": f" {email}\n"},
        {"$email": email, "email": rng.choice(("", None, 5, "two@at@signs", "a\nb@c.example", "Ada <a@b.example>"))},
        {"first_name": rng.choice(("Ada", "Zoë", " Ada ", 5, "A\x00", "x" * 257)), "firstName": "Eve"},
        {"lastName": rng.choice(("Lovelace", "\u2028", "Ó Briain"))},
        {
            "company": rng.choice(("Acme", {"name": "Umbrella", "plan": "x"}, {"id": 7}, ["x"])),
            "companyName": "Initech",
        },
        {"name": rng.choice(("Globex", ""))},
        {"phone": rng.choice(("+49 30 901820", 4930901820, "")), "title": rng.choice(("CTO", "CEO", None))},
        {"consent": rng.choice((True, False, 1, 0, 2, "YES", "opted-out", "perhaps", None))},
        {"marketing_consent": rng.choice((True, False)), "consent": rng.choice((True, "no", "?"))},
        {"$set": {"email": email, "locale": "en-GB", "consent": False}},
        {"$set": "x", "timezone": rng.choice(("Europe/Berlin", "UTC"))},
    )
    facts: dict[str, Any] = {}
    for chosen in rng.sample(choices, rng.randrange(5)):
        facts |= chosen
    return facts


# --- reading


def contacts_of(events: Iterable[Event]) -> dict[str, dict[str, Any]]:
    """Of each lead the fields that are known: of each the greatest (time, event id, value)."""
    said: dict[str, dict[str, list[tuple[int, str, Any]]]] = {}
    for event in events:
        for field, value in _said(event).items():
            stamped = (event.occurred_at_ms, event.event_id, value)
            said.setdefault(event.lead_id, {}).setdefault(field, []).append(stamped)
    return {
        lead_id: {field: max(values)[2] for field, values in fields.items()} for lead_id, fields in sorted(said.items())
    }


def _said(event: Event) -> dict[str, Any]:
    name = word(event.name)
    if name == "group":
        found = {"company": _known(event, (*COMPANY_NAMES, "name"), _company_or_none)[:1]}
    elif name in NAMES:
        found = {field: _known(event, names, _company_or_none)[:1] for field, names in TEXTS.items()}
        found["email"] = _known(event, ("email", "$email"), _email_or_none)[:1]
        consents = _known(event, ("consent", "marketing_consent", "marketingConsent"), _consent_or_none)
        found["consent"] = [False not in consents] if consents else []
    else:
        found = {}
    return {field: values[0] for field, values in found.items() if values}


def _known(event: Event, names: tuple[str, ...], read: Any) -> list[Any]:
    person = event.properties.get("$set")
    places = [event.properties, person] if isinstance(person, dict) else [event.properties]
    values = [read(place.get(name), name) for place in places for name in names]
    return [value for value in values if value is not None]


def _text_or_none(value: Any) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 256:
        return None
    text = value.strip()
    return None if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text) else text


def _company_or_none(value: Any, name: str) -> str | None:
    """Only a company may be an object."""
    if isinstance(value, dict) and name in (*COMPANY_NAMES, "name"):
        return _text_or_none(value.get("name"))
    return _text_or_none(value)


def _email_or_none(value: Any, _name: str) -> str | None:
    text = _text_or_none(value)
    if text is None or len(text.encode()) > 254:
        return None
    local, at, domain = text.partition("@")
    good = at and local and domain and not any(c.isspace() or c in '@<>()[],;:\\"' for c in local + domain)
    return text if good else None


def _consent_or_none(value: Any, _name: str) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {0: False, 1: True}.get(value)
    spoken = word(value) if isinstance(value, str) and len(value) <= 256 else None
    if spoken in YES:
        return True
    return False if spoken in NO else None
