"""
What a record is, read off the contract alone: an event, a refusal, or nothing.

Slow and plain on purpose. It shares no line with the product, not even its JSON library, so that
where the two agree they agree with the contract. R1 to R27 are the contract's fine print.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.oracle.strict_json import depth_of, parse_json

RECORD_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 64
ID_LENGTH_MAX = 256
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
DAY_MS = 86_400_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
OCCURRED_AT_MS_MIN = (date(2000, 1, 1).toordinal() - EPOCH_DAY) * DAY_MS
OCCURRED_AT_MS_MAX = (date(9999, 12, 31).toordinal() - EPOCH_DAY + 1) * DAY_MS - 1
ANONYMOUS = "anon:"
SEGMENT_TYPES = ("track", "identify", "group", "page", "screen", "alias")
REASONS = (
    "too_large",
    "not_utf8",
    "not_json",
    "not_object",
    "missing_field",
    "bad_type",
    "bad_time",
    "too_deep",
)

Place = tuple[str, int, int]
Headers = Mapping[str, Any] | Iterable[tuple[str, Any]] | None


@dataclass(frozen=True)
class Event:
    """One accepted record; *place* is (topic or file, partition, offset or line) and no part of equality."""

    event_id: str
    lead_id: str
    account_id: str | None
    name: str
    occurred_at_ms: int
    properties: dict[str, Any]
    form: str = field(default="native", compare=False)
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Rejected:
    """A record for the dead-letter topic; *field* is as the form spells it, or None."""

    reason: str
    field: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A tombstone, or a blank line of a file."""


class _Fault(Exception):  # not an error of ours: it carries a refusal up the call stack
    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason, field)
        self.reason = reason
        self.field = field


def read_record(
    value: bytes | None,
    *,
    headers: Headers = None,
    timestamp_ms: int | None = None,
    place: Place | None = None,
) -> Event | Rejected | Skipped:
    """What *value* is; *timestamp_ms* is the record's Kafka timestamp, None or negative when it has none."""
    if not value:  # R25: null and zero bytes, headers or not
        return Skipped()
    try:
        record = _parse_record(value)
        return _read_event(record, _header_values(headers), timestamp_ms, place)
    except _Fault as fault:
        return Rejected(fault.reason, fault.field)


def read_lines(content: bytes, *, file: str = "-") -> Iterator[tuple[int, Event | Rejected | Skipped]]:
    """Line number (from 1) and outcome of every line of a file, after R21."""
    content = content.removeprefix(b"\xef\xbb\xbf")  # R2: only at the very start of a file
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        text = line.removesuffix(b"\r")
        if _is_blank(text):
            yield number, Skipped()
        else:
            yield number, read_record(text, place=(file, 0, number))


def _is_blank(line: bytes) -> bool:
    try:
        return line.decode("utf-8").strip() == ""
    except UnicodeDecodeError:
        return False


# --- bytes to an object: too_large, not_utf8, too_deep, not_json, not_object (R10) ---


def _parse_record(value: bytes) -> dict[str, Any]:
    if len(value) > RECORD_BYTES_MAX:
        raise _Fault("too_large")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _Fault("not_utf8") from None
    if depth_of(text) > DEPTH_MAX:  # R1: before not_json
        raise _Fault("too_deep")
    try:
        root = parse_json(text)
    except ValueError:
        raise _Fault("not_json") from None
    if not isinstance(root, dict):
        raise _Fault("not_object")
    return root


# --- single fields ---


def is_absent(value: Any) -> bool:
    """R5: null, empty and blank are absent, everywhere."""
    return value is None or (isinstance(value, str) and value.strip() == "")


def id_or_none(value: Any) -> str | None:
    """*value* as an id (R7), or None when it cannot be one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if INT64_MIN <= value <= INT64_MAX else None
    if not isinstance(value, str):
        return None
    trimmed = value.strip()
    return trimmed if 1 <= len(trimmed) <= ID_LENGTH_MAX else None


def _id(value: Any, name: str) -> str:
    found = id_or_none(value)
    if found is None:
        raise _Fault("bad_type", name)
    return found


def _required_id(value: Any, name: str) -> str:
    if is_absent(value):
        raise _Fault("missing_field", name)
    return _id(value, name)


def _user_id(value: Any, name: str) -> str:
    found = _id(value, name)
    if found.startswith(ANONYMOUS):  # R27
        raise _Fault("bad_type", name)
    return found


def _first_lead(record: dict[str, Any], user: str, anonymous: str) -> str:
    if not is_absent(record.get(user)):  # R7: a present one of a wrong type does not fall back
        return _user_id(record[user], user)
    if not is_absent(record.get(anonymous)):
        return ANONYMOUS + _id(record[anonymous], anonymous)  # R7: the prefix does not count towards 256
    raise _Fault("missing_field", user)


def _first_id(*candidates: tuple[Any, str]) -> str | None:
    """The first that is not absent, as an id; the others are not looked at."""
    for value, name in candidates:
        if not is_absent(value):
            return _id(value, name)
    return None


def _name(value: Any, field_name: str, derive: Callable[[str], str] = str.strip) -> str:
    if is_absent(value):
        raise _Fault("missing_field", field_name)  # R9
    if not isinstance(value, str):
        raise _Fault("bad_type", field_name)
    name = derive(value)
    if name == "":
        raise _Fault("missing_field", field_name)
    if len(name) > ID_LENGTH_MAX:
        raise _Fault("bad_type", field_name)
    return name


def _object(value: Any, name: str) -> dict[str, Any]:
    if is_absent(value):  # R5, R6
        return {}
    if not isinstance(value, dict):
        raise _Fault("bad_type", name)
    return value


def _object_or_empty(value: Any) -> dict[str, Any]:
    """For a look inside before the turn of the field itself: its own fault comes later (R10)."""
    return value if isinstance(value, dict) else {}


RFC_3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def _occurred_at_ms(value: Any, name: str, timestamp_ms: int | None) -> int:
    if is_absent(value):
        raise _Fault("missing_field", name)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _Fault("bad_type", name)  # R8: neither string nor integer
    at_ms = value if isinstance(value, int) else _parse_time_ms(value)
    if at_ms is None or not OCCURRED_AT_MS_MIN <= at_ms <= OCCURRED_AT_MS_MAX:
        raise _Fault("bad_time", name)
    limit_ms = None if timestamp_ms is None or timestamp_ms < 0 else timestamp_ms + DAY_MS
    if limit_ms is not None and at_ms > limit_ms:
        raise _Fault("bad_time", name)
    return at_ms


def _parse_time_ms(text: str) -> int | None:
    match = RFC_3339.fullmatch(text)  # R8: not trimmed
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hour, offset_minute = match.groups()[6:]
    if hour > 23 or minute > 59 or second > 59:  # R8: :60 is no time
        return None
    try:
        days = date(year, month, day).toordinal() - EPOCH_DAY
    except ValueError:
        return None
    at_ms = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000
    at_ms += int(((fraction or "") + "000")[:3])  # R8: digits cut, not rounded
    if sign is None:
        return at_ms
    if int(offset_hour) > 23 or int(offset_minute) > 59:
        return None
    offset_ms = (int(offset_hour) * 60 + int(offset_minute)) * 60_000
    return at_ms - offset_ms if sign == "+" else at_ms + offset_ms


# --- the four forms; keyword arguments are evaluated in the order of faults: R10 ---


def _header_values(headers: Headers) -> dict[str, Any]:
    """Texts by name, the last of two counts; bytes that are not UTF-8 stay so: a bad type later."""
    pairs = headers.items() if isinstance(headers, Mapping) else (headers or ())
    values: dict[str, Any] = {}
    for name, value in pairs:
        try:
            values[name] = value.decode("utf-8") if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            values[name] = value
    return values


def _read_event(
    record: dict[str, Any], headers: dict[str, Any], timestamp_ms: int | None, place: Place | None
) -> Event:
    # R11: the first that fits. R5: recognised by a key that is there and not absent.
    if not is_absent(headers.get("ce_specversion")):
        attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce_")}
        return _cloud_event(attributes, record, "ce_", timestamp_ms, place)
    if not is_absent(record.get("specversion")):
        return _cloud_event(record, record.get("data"), "", timestamp_ms, place)
    kind = record.get("type")
    if isinstance(kind, str) and kind in SEGMENT_TYPES and not is_absent(record.get("messageId")):
        return _segment(record, timestamp_ms, place)
    if not is_absent(record.get("distinct_id")) and not is_absent(record.get("uuid")):
        return _posthog(record, timestamp_ms, place)
    return _native(record, timestamp_ms, place)


def _native(record: dict[str, Any], timestamp_ms: int | None, place: Place | None) -> Event:
    return Event(
        event_id=_required_id(record.get("event_id"), "event_id"),
        lead_id=_first_lead(record, "user_id", "anonymous_id"),
        account_id=_first_id((record.get("account_id"), "account_id")),
        name=_name(record.get("event"), "event"),
        occurred_at_ms=_occurred_at_ms(record.get("occurred_at"), "occurred_at", timestamp_ms),
        properties=_object(record.get("properties"), "properties"),
        form="native",
        place=place,
    )


def _segment(record: dict[str, Any], timestamp_ms: int | None, place: Place | None) -> Event:
    kind = record["type"]
    time_name = "originalTimestamp" if is_absent(record.get("timestamp")) else "timestamp"
    properties_name = "traits" if kind in ("identify", "group") else "properties"
    return Event(
        event_id=_required_id(record.get("messageId"), "messageId"),
        lead_id=_first_lead(record, "userId", "anonymousId"),
        account_id=_first_id(  # R13
            (_object(record.get("context"), "context").get("groupId"), "context.groupId"),
            (record.get("groupId"), "groupId"),
        ),
        name=_name(record.get("event"), "event") if kind == "track" else kind,
        occurred_at_ms=_occurred_at_ms(record.get(time_name), time_name, timestamp_ms),
        properties=_object(record.get(properties_name), properties_name),
        form="segment",
        place=place,
    )


def _cloud_event(
    attributes: dict[str, Any], data: Any, prefix: str, timestamp_ms: int | None, place: Place | None
) -> Event:
    inside = _object_or_empty(data)
    return Event(
        event_id=_source_and_id(attributes, prefix),
        lead_id=_subject(attributes, inside, prefix),
        account_id=_first_id((inside.get("account_id"), "data.account_id")),
        name=_name(attributes.get("type"), prefix + "type", _last_part_of_type),
        occurred_at_ms=_occurred_at_ms(attributes.get("time"), prefix + "time", timestamp_ms),
        properties=_object(data, "data"),
        form="cloudevents",
        place=place,
    )


def _source_and_id(attributes: dict[str, Any], prefix: str) -> str:
    source = _required_id(attributes.get("source"), prefix + "source")
    joined = f"{source}|{_required_id(attributes.get('id'), prefix + 'id')}"
    if len(joined) > ID_LENGTH_MAX:  # R12: 256 for the whole
        raise _Fault("bad_type", prefix + "id")
    return joined


def _subject(attributes: dict[str, Any], inside: dict[str, Any], prefix: str) -> str:
    if not is_absent(attributes.get("subject")):
        return _user_id(attributes["subject"], prefix + "subject")
    if not is_absent(inside.get("user_id")):
        return _user_id(inside["user_id"], "data.user_id")
    raise _Fault("missing_field", prefix + "subject")


def _last_part_of_type(value: str) -> str:
    without_version = re.sub(r"\.v[0-9]+\Z", "", value.strip())  # R12
    return without_version.rpartition(".")[2].strip()


def _posthog(record: dict[str, Any], timestamp_ms: int | None, place: Place | None) -> Event:
    try:
        properties, fault = _posthog_properties(record.get("properties")), None
    except _Fault as found:
        properties, fault = {}, found  # raised at its turn: R10
    return Event(
        event_id=_required_id(record.get("uuid"), "uuid"),
        lead_id=_user_id(record["distinct_id"], "distinct_id"),
        account_id=_first_id(*_companies(properties, record)),
        name=_name(record.get("event"), "event"),
        occurred_at_ms=_occurred_at_ms(record.get("timestamp"), "timestamp", timestamp_ms),
        properties=_unless(fault, properties),
        form="posthog",
        place=place,
    )


def _companies(properties: dict[str, Any], record: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    # R13: one after the other, so that the second is only looked at without the first. R6: no object.
    inner = _object(properties.get("$groups"), "properties.$groups").get("company")
    yield inner, "properties.$groups.company"
    if is_absent(inner):
        yield _object(record.get("$groups"), "$groups").get("company"), "$groups.company"


def _posthog_properties(value: Any) -> dict[str, Any]:
    if is_absent(value) or not isinstance(value, str):
        return _object(value, "properties")
    if depth_of(value) > DEPTH_MAX:
        raise _Fault("bad_type", "properties")
    try:
        inner = parse_json(value)
    except ValueError:
        raise _Fault("bad_type", "properties") from None  # R6: whatever is wrong inside it
    if not isinstance(inner, dict):
        raise _Fault("bad_type", "properties")
    return inner


def _unless(fault: _Fault | None, properties: dict[str, Any]) -> dict[str, Any]:
    if fault is not None:
        raise fault
    return properties
