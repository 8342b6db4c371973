"""Leads of Salesforce: a collection upsert by external id, and what of it goes to contacts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.salesforce_answers import CONVERTED, FIELD_MISSING, ApiError, errors_in, outcome_of_errors
from pql_stream.sinks.salesforce_api import UNREADABLE, Api, Reply, soql_lists
from pql_stream.sinks.salesforce_records import LeadRecord, Values, fields_of_contact, lead_record
from pql_stream.sinks.salesforce_settings import SalesforceSettings

Result = Outcome | tuple[ApiError, ...]
"""What became of one record, or why it was not written: some errors ask for another way to write it."""

NO_CONTACT = Refused("conflict", "a converted lead without a contact")
_NOT_MAPPED = Refused("conflict", "a converted lead, and no field of its contact is mapped")


class LeadWriter:
    """Upserts leads."""

    def __init__(self, api: Api, settings: SalesforceSettings) -> None:
        self._api = api
        self._settings = settings

    async def upsert(self, items: Sequence[Item]) -> list[Outcome]:
        """
        An outcome for each of *items*.

        Several of one lead are one record, for Salesforce refuses a key that comes twice: the last values count, and
        all of them share what becomes of it.
        """
        refused: dict[int, Outcome] = {}
        records: dict[str, LeadRecord] = {}
        by_lead: dict[str, list[Item]] = {}
        for place, item in enumerate(items):
            try:
                record = lead_record(item, self._settings.lead_fields(item.delivery.of))
            except InvalidSettings as exc:
                refused[place] = Refused("invalid", exc.what)
                continue
            lead_id = record.lead_id
            records[lead_id] = records[lead_id].then(record) if lead_id in records else record
            by_lead.setdefault(lead_id, []).append(item)
        outcomes = await self._upserted(records, by_lead) if records else {}
        return [refused.get(place) or outcomes[item.delivery.lead_id] for place, item in enumerate(items)]

    async def contacts_of(self, lead_ids: Sequence[str]) -> dict[str, str] | Outcome:
        """Lead id -> the contact that it was converted to; leads without one are left out."""
        key = self._settings.external_id_field
        contacts: dict[str, str] = {}
        for ids in soql_lists(lead_ids):
            found = await self._api.query(
                f"SELECT {key}, ConvertedContactId FROM Lead WHERE IsConverted = true AND {key} IN {ids}"  # noqa: S608 - quoted
            )
            if not isinstance(found, list):
                return found
            contacts |= {
                str(lead.get(key)): str(contact) for lead in found if (contact := lead.get("ConvertedContactId"))
            }
        # SOQL compares without case, and may find others too.
        return {lead_id: contacts[lead_id] for lead_id in lead_ids if lead_id in contacts}

    async def _upserted(
        self, records: Mapping[str, LeadRecord], items: Mapping[str, Sequence[Item]]
    ) -> dict[str, Outcome]:
        """Lead id -> outcome, after the second writes that some errors ask for."""
        results = await self._write(list(records.values()))
        incomplete = [record for lead_id, record in records.items() if asks_for_more(results[lead_id], record)]
        if incomplete:
            results |= await self._write([record.with_placeholders() for record in incomplete])
        converted = [lead_id for lead_id, result in results.items() if is_converted(result)]
        if converted:
            results |= await self._to_contacts({lead_id: items[lead_id] for lead_id in converted})
        return {lead_id: self.settled(result) for lead_id, result in results.items()}

    def settled(self, result: Result) -> Outcome:
        """The outcome that *result* stands for."""
        if isinstance(result, tuple):
            return outcome_of_errors(result, key_field=self._settings.external_id_field)
        return result

    async def _write(self, records: Sequence[LeadRecord]) -> dict[str, Result]:
        """
        One call for all *records*.

        A call that is refused whole is made again in halves, down to the record that it is about: a value of the
        wrong type in one of them is enough for that.
        """
        key = self._settings.external_id_field
        reply = await self._api.call(
            "PATCH",
            f"/composite/sobjects/Lead/{key}",
            body=_collection("Lead", [{**record.fields, key: record.lead_id} for record in records]),
            headers=self._settings.lead_headers(),
        )
        if isinstance(reply, Refused) and len(records) > 1:
            half = len(records) // 2
            first = await self._write(records[:half])
            stop = sink_wide(first.values())
            rest = records[half:]
            return first | (dict.fromkeys((one.lead_id for one in rest), stop) if stop else await self._write(rest))
        return dict(zip((record.lead_id for record in records), _results(reply, len(records)), strict=True))

    async def _to_contacts(self, items: Mapping[str, Sequence[Item]]) -> dict[str, Result]:
        """Write the scores of converted leads to their contacts."""
        fields: dict[str, Values] = {}
        results: dict[str, Result] = {}
        for lead_id, of_lead in items.items():
            try:
                fields[lead_id] = self._contact_values(of_lead)
            except InvalidSettings as exc:
                results[lead_id] = Refused("invalid", exc.what)
                continue
            if not fields[lead_id]:
                results[lead_id] = _NOT_MAPPED
        wanted = [lead_id for lead_id in items if lead_id not in results]
        contacts = await self.contacts_of(wanted)
        if not isinstance(contacts, dict):
            return results | dict.fromkeys(wanted, contacts)
        results |= {lead_id: NO_CONTACT for lead_id in wanted if lead_id not in contacts}
        # Two leads may have become the same contact, and an id must not come twice.
        by_contact: dict[str, Values] = {}
        for lead_id, contact in contacts.items():
            by_contact[contact] = by_contact.get(contact, {}) | fields[lead_id]
        written = await self._write_contacts(by_contact)
        return results | {lead_id: written[contact] for lead_id, contact in contacts.items()}

    def _contact_values(self, items: Sequence[Item]) -> Values:
        values: Values = {}
        for item in items:
            values |= fields_of_contact(item, self._settings.contact_fields)
        return values

    async def _write_contacts(self, fields: Mapping[str, Values]) -> dict[str, Result]:
        if not fields:
            return {}
        reply = await self._api.call(
            "PATCH",
            "/composite/sobjects",
            body=_collection("Contact", [{"id": contact, **values} for contact, values in fields.items()]),
        )
        return dict(zip(fields, _results(reply, len(fields)), strict=True))


def asks_for_more(result: Result, record: LeadRecord) -> bool:
    """Was *record* not written because a new lead needs what its placeholders have?"""
    return isinstance(result, tuple) and bool(record.placeholders) and any(e.code == FIELD_MISSING for e in result)


def is_converted(result: Result) -> bool:
    """Was the lead made a contact?"""
    return isinstance(result, tuple) and any(error.code == CONVERTED for error in result)


def sink_wide(results: Iterable[Result]) -> Later | None:
    """One of *results* after which nothing more need be tried now."""
    for result in results:
        if isinstance(result, Later) and result.scope == "sink":
            return result
    return None


def _collection(name: str, records: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {"allOrNone": False, "records": [{"attributes": {"type": name}, **record} for record in records]}


def _results(reply: Reply | Outcome, count: int) -> list[Result]:
    """The result of each of *count* records, which Salesforce answers in their order."""
    if not isinstance(reply, Reply):
        return [reply] * count
    said = reply.body
    if not isinstance(said, list) or len(said) != count:
        return [UNREADABLE] * count
    return [_result(one) for one in said]


def _result(said: object) -> Result:
    match said:
        case {"success": True, "id": str(id_)}:
            return Delivered(id_)
        case {"success": False, "errors": list(errors)}:
            return errors_in(errors)
        case _:
            return UNREADABLE
