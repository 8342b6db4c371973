"""
One user action as a raw record, in any of the four forms and in the many spellings the contract allows.

Only spellings about which the contract leaves no doubt are drawn here.
"""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

MINUTE_MS = 60_000
FORMS = ("native", "segment", "cloudevents-binary", "cloudevents-structured", "posthog")
ANONYMOUS_FORMS = ("native", "segment")


@dataclass(frozen=True)
class Record:
    """
    A record to produce, and what its maker meant by it.

    *expect* is "event", "skipped" or the reason of the refusal; *meant* is (event id, lead id, account id,
    name, occurred_at_ms) where the maker knows it.
    """

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    key: bytes | None
    timestamp_ms: int
    expect: str = "event"
    note: str = ""
    meant: tuple[str, str, str | None, str, int] | None = None


@dataclass(frozen=True)
class Action:
    """Something a lead did; *own_id* is the id inside the form."""

    own_id: str | int
    user: str | int
    anonymous: bool
    account: str | int | None
    name: str
    at_ms: int
    form: str
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def lead_id(self) -> str:
        return f"anon:{self.user}" if self.anonymous else str(self.user)

    @property
    def event_id(self) -> str:
        return f"/shop|{self.own_id}" if self.form.startswith("cloudevents") else str(self.own_id)


def key_of(lead_id: str) -> bytes:
    return lead_id.encode("utf-8")


def render(rng: random.Random, action: Action, timestamp_ms: int) -> Record:
    """*action* as bytes; equal *rng* states give equal bytes."""
    shaped, headers = SHAPES[action.form](rng, action)
    account = None if action.account is None else str(action.account)
    return Record(
        value=to_json(rng, shaped).encode("utf-8"),
        headers=headers,
        key=key_of(action.lead_id),
        timestamp_ms=timestamp_ms,
        note=action.form,
        meant=(action.event_id, action.lead_id, account, action.name, action.at_ms),
    )


def disguise(rng: random.Random, plain: str) -> str:
    """Another spelling of the same word (R14)."""
    spelled = rng.choice((plain, plain, plain.upper(), plain.title()))
    spelled = spelled.replace("_", rng.choice(("_", "_", "-", " ", " _ ")))
    return rng.choice((spelled, spelled, f" {spelled}", f"{spelled}\u00a0", f"_{spelled}-"))


def time_text(rng: random.Random, at_ms: int) -> str:
    """RFC 3339 in one of its spellings; digits under a millisecond are there to be cut."""
    offset_min = rng.choice((0, 0, 0, 60, 120, 330, -300, -720, 840))
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms + offset_min * MINUTE_MS)
    text = local.strftime(f"%Y-%m-%d{rng.choice('TTTTt ')}%H:%M:%S")
    milliseconds = f"{at_ms % 1000:03d}"
    if milliseconds != "000" or rng.random() < 0.5:
        text += "." + rng.choice((milliseconds, milliseconds, milliseconds + "999", milliseconds + "4" * 9))
    if offset_min == 0:
        return text + rng.choice(("Z", "Z", "z", "+00:00"))
    hours, minutes = divmod(abs(offset_min), 60)
    return f"{text}{'+' if offset_min > 0 else '-'}{hours:02d}:{minutes:02d}"


def time_value(rng: random.Random, at_ms: int) -> str | int:
    return at_ms if rng.random() < 0.15 else time_text(rng, at_ms)


def to_json(rng: random.Random, shaped: dict[str, Any]) -> str:
    """One of the ways to write the object: key order, blanks, escapes, and now and then a decoy duplicate."""
    items = list(shaped.items())
    rng.shuffle(items)
    text = json.dumps(
        dict(items),
        ensure_ascii=rng.random() < 0.3,
        separators=rng.choice(((",", ":"), (", ", ": "), (" ,", " : "))),
        indent=1 if rng.random() < 0.02 else None,
    )
    if shaped and rng.random() < 0.02:
        decoy = rng.choice(list(shaped))
        text = f'{{{json.dumps(decoy)}:["decoy"],' + text[1:]  # R4: the last one counts
    return rng.choice((text, text, text, text + " ", "\t" + text + "\r"))


def _spell_id(rng: random.Random, value: str | int) -> str | int:
    if isinstance(value, int):
        return rng.choice((value, str(value)))
    return f" {value}\t" if rng.random() < 0.03 else value


def _spell_name(rng: random.Random, name: str) -> str:
    return f" {name} " if rng.random() < 0.03 else name


def _noise(rng: random.Random) -> dict[str, Any]:
    """Fields nobody asked for: the input stays open."""
    extra: dict[str, Any] = {}
    if rng.random() < 0.2:
        extra["x_trace"] = {"spans": [[1, 2.5e-3, None], {"deep": [True, '}]{[\\"']}], "e": -0.0}
    if rng.random() < 0.1:
        extra["note"] = rng.choice(("grüße", "用户", "😀", "a\nb", "\u2028", ""))
    return extra


Shaped = tuple[dict[str, Any], tuple[tuple[str, bytes], ...]]


def _native(rng: random.Random, action: Action) -> Shaped:
    shaped = {
        "event_id": _spell_id(rng, action.own_id),
        "event": _spell_name(rng, action.name),
        "occurred_at": time_value(rng, action.at_ms),
        "properties": action.properties,
        **_noise(rng),
    }
    if action.anonymous:
        shaped |= {"anonymous_id": _spell_id(rng, action.user)}
        shaped |= rng.choice(({}, {"user_id": None}, {"user_id": ""}, {"user_id": "  "}))  # R5
    else:
        shaped |= {"user_id": _spell_id(rng, action.user)}
        shaped |= rng.choice(({}, {}, {"anonymous_id": "a-17"}))
    if action.account is not None:
        shaped["account_id"] = _spell_id(rng, action.account)
    if not action.properties and rng.random() < 0.5:
        shaped["properties"] = rng.choice((None, {}))
    return shaped, ()


def _segment(rng: random.Random, action: Action) -> Shaped:
    is_profile = action.name in ("identify", "group")
    is_call = is_profile or action.name in ("page", "screen", "alias")
    shaped: dict[str, Any] = {
        "type": action.name if is_call else "track",
        "messageId": _spell_id(rng, action.own_id),
        ("anonymousId" if action.anonymous else "userId"): _spell_id(rng, action.user),
        ("traits" if is_profile else "properties"): action.properties,
        **_noise(rng),
    }
    if not is_call:
        shaped["event"] = _spell_name(rng, action.name)
    if rng.random() < 0.8:
        shaped["timestamp"] = time_value(rng, action.at_ms)
        shaped["originalTimestamp"] = "not looked at"
    else:
        shaped["timestamp"] = rng.choice((None, ""))
        shaped["originalTimestamp"] = time_value(rng, action.at_ms)
    context: dict[str, Any] = {"library": {"name": "analytics.js"}}
    if action.account is not None:
        first = rng.random() < 0.5
        context |= {"groupId": _spell_id(rng, action.account)} if first else {"groupId": ""}
        shaped["groupId"] = "the-second-place" if first else _spell_id(rng, action.account)
    shaped["context"] = context
    return shaped, ()


def _data(rng: random.Random, action: Action) -> dict[str, Any]:
    data = {**action.properties, **_noise(rng)}
    if action.account is not None:
        data["account_id"] = _spell_id(rng, action.account)
    return data


def _event_type(rng: random.Random, name: str) -> str:
    """Only a final `.vN` is dropped, then the last part is taken: R12."""
    return rng.choice(("", "com.shop.", "com.v2.", "a.")) + name + rng.choice(("", "", ".v1", ".v20"))


def _cloud_binary(rng: random.Random, action: Action) -> Shaped:
    data = _data(rng, action)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_source", rng.choice((b"/shop", b" /shop "))),
        ("ce_id", str(action.own_id).encode()),
        ("ce_type", _event_type(rng, action.name).encode()),
        ("ce_time", time_text(rng, action.at_ms).encode()),
        ("content-type", b"application/json"),
        ("trace", b"\xff\x00"),
    ]
    if rng.random() < 0.7:
        headers.append(("ce_subject", str(action.user).encode()))
        data |= rng.choice(({}, {"user_id": "not-looked-at"}))
    else:
        data["user_id"] = _spell_id(rng, action.user)
    return data, tuple(headers)


def _cloud_structured(rng: random.Random, action: Action) -> Shaped:
    data = _data(rng, action)
    shaped: dict[str, Any] = {
        "specversion": rng.choice(("1.0", "1.0", "0.3", 1)),
        "source": "/shop",
        "id": _spell_id(rng, action.own_id),
        "type": _event_type(rng, action.name),
        "time": time_value(rng, action.at_ms),
        "data": data,
        "datacontenttype": "application/json",
    }
    if rng.random() < 0.7:
        shaped["subject"] = _spell_id(rng, action.user)
    else:
        data["user_id"] = _spell_id(rng, action.user)
    return shaped, ()


def _posthog(rng: random.Random, action: Action) -> Shaped:
    properties = {**action.properties, **_noise(rng), "$lib": "web"}
    shaped: dict[str, Any] = {
        "uuid": _spell_id(rng, action.own_id),
        "distinct_id": _spell_id(rng, action.user),
        "event": _spell_name(rng, action.name),
        "timestamp": time_value(rng, action.at_ms),
    }
    if action.account is not None:
        company = {"company": _spell_id(rng, action.account)}
        if rng.random() < 0.7:
            properties["$groups"] = company
        else:
            shaped["$groups"] = company
    shaped["properties"] = json.dumps(properties) if rng.random() < 0.4 else properties
    return shaped, ()


SHAPES = {
    "native": _native,
    "segment": _segment,
    "cloudevents-binary": _cloud_binary,
    "cloudevents-structured": _cloud_structured,
    "posthog": _posthog,
}
