"""
Contact data of a lead, folded from its events: for each field the latest known value, by time and event id.

The only personal data that the pipeline keeps, and the only use of it is to deliver. As with features, neither the
order of events nor their repetition matters, and what is wrong is unknown: it replaces nothing (CONTRACT.md 3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from pql_stream.core.events import ProductEvent, Properties
from pql_stream.core.words import word

ProfileField = Literal["email", "first_name", "last_name", "title", "company", "phone", "timezone", "locale", "consent"]

TEXT_CHARS_MAX = 256
"""Of any text but an address, in code points, after trimming: a profile is bounded, whatever producers send."""
EMAIL_BYTES_MAX = 254
"""RFC 5321 4.5.3.1.3: a path has at most 256 octets, and the angle brackets are two of them."""

_NAMES_MAX = 10_000
"""Producers choose event names: so many are remembered, then the memory starts afresh."""


class LeadProfile(msgspec.Struct, frozen=True):
    """
    What is known of how to reach a lead; None for what is not.

    *consent* is whether the lead agreed to mails: None is not known, and is no yes.
    """

    lead_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    company: str | None = None
    phone: str | None = None
    timezone: str | None = None
    locale: str | None = None
    consent: bool | None = None

    def __repr__(self) -> str:
        # Whatever shows a profile by accident, a log or a failed assertion, shows no contact data.
        return f"LeadProfile({self.lead_id!r}, {', '.join(known_fields(self))})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """As `repr`; msgspec's shows every value."""
        return [("lead_id", self.lead_id), ("known", known_fields(self))]


StampedText = tuple[int, str, str]
StampedFlag = tuple[int, str, bool]
"""(occurred_at_ms, event_id, value): the latest is the greatest."""


class ProfileState(msgspec.Struct, frozen=True, gc=False):
    """Of each field what was said last, and by which event; None where nothing was."""

    email: StampedText | None = None
    first_name: StampedText | None = None
    last_name: StampedText | None = None
    title: StampedText | None = None
    company: StampedText | None = None
    phone: StampedText | None = None
    timezone: StampedText | None = None
    locale: StampedText | None = None
    consent: StampedFlag | None = None

    def __repr__(self) -> str:
        return f"ProfileState({', '.join(known_fields(self))})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """As above."""
        return [("known", known_fields(self))]

    def of(self, lead_id: str) -> LeadProfile:
        """The profile without its stamps."""
        return LeadProfile(lead_id, *(None if said is None else said[2] for said in msgspec.structs.astuple(self)))


PROFILE_FIELDS: tuple[ProfileField, ...] = ProfileState.__struct_fields__  # type: ignore[assignment] # their names


def known_fields(profile: LeadProfile | ProfileState) -> list[ProfileField]:
    """The names of the fields that are known."""
    return [name for name in PROFILE_FIELDS if getattr(profile, name) is not None]


NOTHING_KNOWN = ProfileState()


def fold_profile(state: ProfileState | None, event: ProductEvent) -> ProfileState | None:
    """*state* (None: nothing is known) after *event*; the very object that went in where the event says nothing new."""
    said = said_by(event)
    return state if said is None else merge_profiles(state, said)


def said_by(event: ProductEvent) -> ProfileState | None:
    """What *event* says, by itself; None for nothing."""
    properties = event.properties
    if _NAMES_READ.isdisjoint(properties):
        return None  # most such events are about the company's size and the like
    person = properties.get(_PERSON)
    places = (properties, person) if person.__class__ is dict else (properties,)
    said = {
        field.field: (event.occurred_at_ms, event.event_id, value)
        for field in _SAYS.get(word(event.name), ())
        if (value := field.known(places)) is not None
    }
    return replace(NOTHING_KNOWN, **said) if said else None


def merge_profiles(state: ProfileState | None, said: ProfileState) -> ProfileState:
    """*state* with what *said* knows better, field by field; the very object where that is nothing."""
    if state is None:
        return said
    newer = {
        field: getattr(said, field)
        for field in known_fields(said)
        if (known := getattr(state, field)) is None or getattr(said, field) > known
    }
    return replace(state, **newer) if newer else state


# --- what is read of an event


def read_text(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    """
    1 to 256 characters after trimming, on one line.

    With a line break or another control character in it a name could end a mail's header and begin the next one.
    """
    if value.__class__ is not str:
        return None
    trimmed: str = value.strip()
    return trimmed if 0 < len(trimmed) <= TEXT_CHARS_MAX and _UNSAFE.search(trimmed) is None else None


def read_email(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    """
    An address that can be put into a header as it is, and is one: whether it exists only a mail can tell.

    Quoted local parts and addresses of machines (`"a b"@x`, `a@[::1]`) are allowed by RFC 5321, and by nobody else.
    """
    if value.__class__ is not str:
        return None
    trimmed: str = value.strip()
    # The form first: what has it can be encoded.
    return trimmed if _EMAIL.fullmatch(trimmed) is not None and len(trimmed.encode()) <= EMAIL_BYTES_MAX else None


def read_company(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    """A company's name, or the name in what is known of it."""
    return read_text(value.get("name") if value.__class__ is dict else value)


def read_consent(value: Any) -> bool | None:  # noqa: ANN401 - a JSON value
    """Yes or no, also as a word, or as the number that databases make of it."""
    if value.__class__ is str:
        return _CONSENT_WORDS.get(word(value)) if len(value) <= TEXT_CHARS_MAX else None
    if value.__class__ is bool or (value.__class__ is int and value in {0, 1}):
        return bool(value)
    return None


# [^...] stands for one character that is none of these. C0 and C1 controls, line and paragraph separators,
# and halves of surrogate pairs, which cannot be encoded.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EMAIL_PART = r"""[^\s@<>()\[\],;:\\"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"""
_EMAIL = re.compile(f"{_EMAIL_PART}@{_EMAIL_PART}")

_CONSENT_WORDS = {
    **dict.fromkeys(("true", "yes", "granted", "given", "opted in", "subscribed"), True),
    **dict.fromkeys(("false", "no", "denied", "withdrawn", "revoked", "opted out", "unsubscribed"), False),
}


def _first(values: Iterator[Any]) -> Any | None:  # noqa: ANN401 - a text
    """The first value that is known (CONTRACT.md R16)."""
    return next(values, None)


def _every(values: Iterator[bool]) -> bool | None:
    """A yes where all that is known is yes: who is asked twice and says no once says no."""
    known = list(values)
    return all(known) if known else None


class _Field(NamedTuple):
    """Under which *names* a field is given, how one value is read, and which of several counts."""

    field: ProfileField
    names: tuple[str, ...]
    read: Callable[[Any], Any]
    choose: Callable[[Iterator[Any]], Any] = _first

    def known(self, places: Sequence[Properties]) -> Any | None:  # noqa: ANN401 - a text, or of consent a yes or no
        """What *places*, in their order, say of the field."""
        read = self.read
        given = (value for place in places for name in self.names if (value := place.get(name)) is not None)
        return self.choose(known for value in given if (known := read(value)) is not None)


_COMPANY = _Field("company", ("company", "company_name", "companyName"), read_company)
_OF_THE_LEAD = (
    _Field("email", ("email", "$email"), read_email),
    _Field("first_name", ("first_name", "firstName", "$first_name"), read_text),
    _Field("last_name", ("last_name", "lastName", "$last_name"), read_text),
    _Field("title", ("title", "job_title", "jobTitle"), read_text),
    _COMPANY,
    _Field("phone", ("phone", "$phone"), read_text),
    _Field("timezone", ("timezone", "$timezone"), read_text),
    _Field("locale", ("locale",), read_text),
    _Field("consent", ("consent", "marketing_consent", "marketingConsent"), read_consent, _every),
)

# The traits of a group are the company's: Segment's group call has an e-mail address and a phone, and they
# are not the lead's.
_OF_THE_COMPANY = (_COMPANY._replace(names=(*_COMPANY.names, "name")),)

_SAYS: dict[str, tuple[_Field, ...]] = {
    **dict.fromkeys(
        ("identify", "profile completed", "profile updated", "team size changed", "$identify", "$set"), _OF_THE_LEAD
    ),
    "group": _OF_THE_COMPANY,
}
"""Event name, in its compared form -> what an event of this name may say. The name decides, not the form (R22)."""

_PERSON = "$set"
"""Where PostHog's events have what they say of a person."""
_NAMES_READ = frozenset({_PERSON, *(name for fields in _SAYS.values() for field in fields for name in field.names)})


class _Names(dict[str, bool]):
    def __missing__(self, name: str) -> bool:
        if len(self) >= _NAMES_MAX:
            self.clear()
        says = self[name] = word(name) in _SAYS
        return says


says_who: Callable[[str], bool] = _Names().__getitem__
"""May an event of this name, as received, have contact data? Asked of every event, so it is one look-up."""
