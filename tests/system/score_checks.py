"""
Holds what workers wrote against the oracle: the delivery promise (CONTRACT.md 7) to the letter.

`faults` gives a sentence for everything that is not as promised, so a test asserts that there is none.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from score_bench import Stored
from score_expected import Expected, Json, Run

from pql_stream.core.packs import compile_pack
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import load_state
from tests.oracle.score import PQL_100, TIER_RANK, Pack


def faults(run: Run, pack: Pack = PQL_100) -> list[str]:
    """Everything that breaks the promise; printed as well, because pytest cuts a long list."""
    expected = Expected(run, pack)
    found = [
        *_faults_of_changes(run, expected),
        *_faults_of_qualifications(run, expected),
        *_faults_of_dead_letters(run, expected),
        *_faults_of_rekeyed(run, expected),
        *_faults_of_rows(run, expected),
        *_faults_of_profiles(run, expected),
    ]
    for fault in found:
        print(fault)  # noqa: T201  # for whom the test fails
    return found


def faults_of_exactly_once(run: Run, pack: Pack = PQL_100) -> list[str]:
    """`faults`, and everything that is there twice or out of order, whatever the route of its lead."""
    found = faults(run, pack)
    if repeats(run):
        found.append(f"{repeats(run)} records are there more than once")
    for lead_id, records in _read_by_lead(run.changes).items():
        sequence = [change["sequence"] for _, change in records]
        if sequence != list(range(1, len(sequence) + 1)):
            found.append(f"{lead_id}: its changes are numbered {sequence}")
    for fault in found:
        print(fault)  # noqa: T201  # for whom the test fails
    return found


PROMISED = {"at_least_once": faults, "exactly_once": faults_of_exactly_once}
"""What breaks the promise of each guarantee."""


def repeats(run: Run) -> int:
    """Outputs, dead letters and re-keyed records that were written more than once."""
    outputs = len(run.changes) - len({json.loads(record.value or b"")["change_id"] for record in run.changes})
    outputs += len(run.qualifications) - len(
        {json.loads(record.value or b"")["qualification_id"] for record in run.qualifications}
    )
    copies = [dict(record.headers)["pql-dlq-original-offset"] + b"@" + _at(record) for record in run.dead_letters]
    copies += [dict(record.headers)["pql-origin-offset"] + b"#" + _origin(record) for record in run.rekeyed]
    return outputs + len(copies) - len(set(copies))


def _at(dead_letter: Stored) -> bytes:
    return dict(dead_letter.headers)["pql-dlq-original-partition"]


def _origin(rekeyed: Stored) -> bytes:
    return dict(rekeyed.headers)["pql-origin-partition"]


# --- score-changed


def _faults_of_changes(run: Run, expected: Expected) -> Iterator[str]:
    yield from _faults_of_place("score-changed", run.changes, expected)
    by_lead = _read_by_lead(run.changes)
    for lead_id in sorted(by_lead.keys() | expected.scores.keys()):
        records = by_lead.get(lead_id, [])
        if lead_id not in expected.scores:
            yield f"{lead_id} has changes and no event"
            continue
        for _, change in records:
            yield from _faults_of_sums(change)
        yield from _faults_of_last_change(lead_id, records, expected)
        if expected.has_order(lead_id):
            yield from _faults_of_repeats(lead_id, records, "change_id")
            yield from _faults_of_sequence(lead_id, [change["sequence"] for _, change in records])
            yield from _difference(f"{lead_id}: changes", expected.changes.get(lead_id, []), _distinct_changes(records))


def _faults_of_place(what: str, records: list[Stored], expected: Expected) -> Iterator[str]:
    for record in records:
        lead_id = json.loads(record.value or b"")["lead_id"]
        if record.key != lead_id.encode() or record.partition != expected.home(lead_id):
            yield f"{what}: {lead_id} lies under {record.key!r} on partition {record.partition}"


def _read_by_lead(records: list[Stored]) -> dict[str, list[tuple[bytes, Json]]]:
    grouped: dict[str, list[tuple[bytes, Json]]] = defaultdict(list)
    for record in records:
        fields = json.loads(record.value or b"")
        grouped[fields["lead_id"]].append((record.value or b"", fields))
    return grouped


def _faults_of_sums(change: Json) -> Iterator[str]:
    points = sum((Decimal(str(part["points"])) for part in change["contributions"]), Decimal(0))
    groups = sum((Decimal(str(part)) for part in change["groups"].values()), Decimal(0))
    if not points == groups == Decimal(str(change["score_after"])):
        yield f"{change['lead_id']}: contributions {points}, groups {groups}, score {change['score_after']}"


def _faults_of_last_change(lead_id: str, records: list[tuple[bytes, Json]], expected: Expected) -> Iterator[str]:
    final = expected.scores[lead_id]
    if not records:
        if final["score"] != 0:
            yield f"{lead_id}: no change, and a final score of {final['score']}"
        return
    news: dict[str, Json] = {}
    for _, change in records:
        news.setdefault(change["change_id"], change)
    for what, change in (("last", records[-1][1]), ("last that is no repeat", list(news.values())[-1])):
        yield from _difference(f"{lead_id}: the score of the {what}", final["score"], change["score_after"])
        yield from _difference(f"{lead_id}: the points of the {what}", _points(final), _points(change))


def _points(record: Json) -> dict[str, Any]:
    return {part["rule"]: part["points"] for part in record["contributions"]}


def _faults_of_repeats(lead_id: str, records: list[tuple[bytes, Json]], id_name: str) -> Iterator[str]:
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for body, fields in records:
        bodies[fields[id_name]].add(body)
    for id_, different in bodies.items():
        if len(different) > 1:
            yield f"{lead_id}: {id_} has {len(different)} bodies"


def _faults_of_sequence(lead_id: str, sequence: list[int]) -> Iterator[str]:
    """A repeat goes back, and forward again step by step: nothing is left out, and the end is the end."""
    before = 0
    for number in sequence:
        if number > before + 1:
            yield f"{lead_id}: {number} follows {before}"
        before = number
    if sequence and sequence[-1] != max(sequence):
        yield f"{lead_id}: the last of {max(sequence)} is {sequence[-1]}"


def _distinct_changes(records: list[tuple[bytes, Json]]) -> list[Json]:
    """The first of each id, without it: the oracle does not know how ids are made."""
    first = {change["change_id"]: change for _, change in reversed(records)}
    in_order = sorted(first.values(), key=lambda change: change["sequence"])
    return [{name: value for name, value in change.items() if name != "change_id"} for change in in_order]


# --- pql-qualified


def _faults_of_qualifications(run: Run, expected: Expected) -> Iterator[str]:
    yield from _faults_of_place("pql-qualified", run.qualifications, expected)
    by_lead = _read_by_lead(run.qualifications)
    change_of = {change["change_id"]: change for change in (json.loads(record.value or b"") for record in run.changes)}
    ids = Counter(
        (fields["lead_id"], fields["tier"])
        for fields in {
            fields["qualification_id"]: fields for records in by_lead.values() for _, fields in records
        }.values()
    )
    yield from (f"{lead_id}: {tier} has {count} ids" for (lead_id, tier), count in ids.items() if count > 1)
    for lead_id in sorted(by_lead.keys() | expected.scores.keys()):
        records = by_lead.get(lead_id, [])
        for _, fields in records:
            change = change_of.get(fields["change_id"])
            if change is None or change["lead_id"] != lead_id or change["tier_after"] != fields["tier"]:
                yield f"{lead_id}: {fields['tier']} does not come of the change it names"
        if expected.has_order(lead_id):
            yield from _faults_of_repeats(lead_id, records, "qualification_id")
            order = {fields["tier"]: n for n, fields in enumerate(expected.qualifications.get(lead_id, []), start=1)}
            yield from _faults_of_sequence(lead_id, [order.get(fields["tier"], 0) for _, fields in records])
            found = _distinct_qualifications(records, change_of)
            yield from _difference(f"{lead_id}: qualifications", expected.qualifications.get(lead_id, []), found)
        else:
            announced = [TIER_RANK[fields["tier"]] for _, fields in records]
            if max(announced, default=0) < TIER_RANK[expected.scores.get(lead_id, {}).get("tier", "unqualified")]:
                yield f"{lead_id}: its final tier was never announced"


def _distinct_qualifications(records: list[tuple[bytes, Json]], change_of: dict[str, Json]) -> list[Json]:
    """The first of each id, as the oracle has it: it names the change by its sequence."""
    first = {fields["qualification_id"]: fields for _, fields in reversed(records)}
    plain = [
        {
            **{name: value for name, value in fields.items() if name not in _OPAQUE},
            "change_sequence": change_of.get(fields["change_id"], {}).get("sequence"),
        }
        for fields in first.values()
    ]
    return sorted(plain, key=lambda fields: TIER_RANK[fields["tier"]])


_OPAQUE = ("qualification_id", "change_id", "reasons")


# --- dead letters and re-keyed records


def _faults_of_dead_letters(run: Run, expected: Expected) -> Iterator[str]:
    missing = dict(expected.rejected)
    for letter in run.dead_letters:
        ours = dict(letter.headers)
        at = int(ours["pql-dlq-original-partition"]), int(ours["pql-dlq-original-offset"])
        if at not in expected.rejected:
            yield f"{at} is dead-lettered, and was not refused"
            continue
        missing.pop(at, None)
        record, refusal = expected.rejected[at]
        yield from _difference(f"the dead letter of {at}: key", record.key, letter.key)
        if record.value != letter.value and ours["pql-dlq-detail"] != b"stub":
            yield f"the dead letter of {at} has other bytes"
        yield from _difference(
            f"the dead letter of {at}: headers",
            _dead_letter_headers(record, refusal.reason),
            tuple((name, value) for name, value in letter.headers if name != "pql-dlq-detail"),
        )
        if refusal.field and refusal.field.encode() not in ours["pql-dlq-detail"]:
            yield f"the dead letter of {at}: {ours['pql-dlq-detail']!r} does not name {refusal.field}"
    yield from (f"{at} was refused ({refusal.reason}), and is lost" for at, (_, refusal) in missing.items())


def _dead_letter_headers(record: Stored, reason: str) -> tuple[tuple[str, bytes], ...]:
    return (
        *record.headers,
        ("pql-dlq-reason", reason.encode()),
        ("pql-dlq-original-topic", record.topic.encode()),
        ("pql-dlq-original-partition", str(record.partition).encode()),
        ("pql-dlq-original-offset", str(record.offset).encode()),
        ("pql-dlq-original-timestamp", str(record.timestamp_ms).encode()),
        ("pql-dlq-version", b"1"),
    )


def _faults_of_rekeyed(run: Run, expected: Expected) -> Iterator[str]:
    missing = expected.forwarded()
    forwarded = dict(missing)
    for record in run.rekeyed:
        ours = dict(record.headers)
        at = int(ours["pql-origin-partition"]), int(ours["pql-origin-offset"])
        if at not in forwarded:
            yield f"{at} is re-keyed, and lay on the right partition"
            continue
        missing.pop(at, None)
        origin, event = forwarded[at]
        headers = (
            *origin.headers,
            ("pql-origin-topic", origin.topic.encode()),
            ("pql-origin-partition", str(origin.partition).encode()),
            ("pql-origin-offset", str(origin.offset).encode()),
            ("pql-origin-timestamp", str(origin.timestamp_ms).encode()),
        )
        there = (event.lead_id.encode(), origin.value, headers, expected.home(event.lead_id))
        if there != (record.key, record.value, record.headers, record.partition):
            yield f"{at} is not re-keyed as it was"
    yield from (f"{at} is not re-keyed" for at in missing)


# --- the lead table


def _faults_of_rows(run: Run, expected: Expected) -> Iterator[str]:
    pack = compile_pack(load_pack(expected.pack.name))
    rows = {(row.key or b"").decode(): row for row in run.last_rows().values() if row.value is not None}
    yield from _difference("leads in the table", sorted(expected.scores), sorted(rows))
    for row in run.rows:
        if row.partition != expected.home((row.key or b"").decode()):
            yield f"the row of {row.key!r} lies on partition {row.partition}"
    for lead_id in sorted(rows.keys() & expected.scores.keys()):
        state = load_state(rows[lead_id].value or b"", pack)
        score, has_order = expected.scores[lead_id], expected.has_order(lead_id)
        found = lead_score_fields(lead_id, state, pack)
        yield from _difference(f"the row of {lead_id}", _comparable(score, has_order), _comparable(found, has_order))
        if has_order:
            yield from _difference(
                f"the row of {lead_id}: sequence", len(expected.changes.get(lead_id, [])), state.pack.sequence
            )


# --- contact data


def _faults_of_profiles(run: Run, expected: Expected) -> Iterator[str]:
    for record in run.profiles:
        if record.partition != expected.home((record.key or b"").decode()):
            yield f"the contact data of {record.key!r} lies on partition {record.partition}"
    last = {record.key: record.value for record in run.profiles}
    found = {fields["lead_id"]: _known(fields) for value in last.values() if value for fields in [json.loads(value)]}
    yield from _difference("contact data", expected.contacts, dict(sorted(found.items())))
    for record in (*run.changes, *run.qualifications, *run.rows):
        if b"@secret.example" in (record.value or b""):
            yield f"there is an e-mail address in {record.topic}-{record.partition}@{record.offset}"


def _known(fields: Json) -> Json:
    return {name: fields[name] for name in fields["said_by"]}


def _comparable(score: Json, has_order: bool) -> Json:  # noqa: FBT001  # a fact about the lead, not a switch
    """Which event moved a rule last depends on the order of the routes."""
    if has_order:
        return score
    parts = [{name: value for name, value in part.items() if name != "moved_by"} for part in score["contributions"]]
    return {**score, "contributions": parts}


def _difference(what: str, expected: object, found: object) -> Iterator[str]:
    if expected == found:
        return
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        at = next(n for n, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1])
        yield from _difference(f"{what}[{at}]", expected[at], found[at])
    elif isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        for name in expected:
            yield from _difference(f"{what}.{name}", expected[name], found[name])
    else:
        yield f"{what}: expected {expected!r:.600}, found {found!r:.600}"
