"""
HubSpot: a qualified lead is a contact (`upsert`) and a task for a salesperson (`task`).

No account of HubSpot's was called: requests are compared with those of its official client, answers are those of its
documentation and of what other connectors report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pql_stream.core.routes import Route
from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused
from pql_stream.delivery.sink import Item, Traits
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import TOTAL_TIMEOUT_S, AioHttp, Http
from pql_stream.sinks.hubspot_api import BASE_URL, ApiVersion, HubSpotApi, Reply
from pql_stream.sinks.hubspot_batches import Outcomes
from pql_stream.sinks.hubspot_contacts import ID_PROPERTY, SHIPPED_FIELDS, Contacts, contacts_of
from pql_stream.sinks.hubspot_properties import SetUp, contact_definitions, missing, set_up, task_definitions
from pql_stream.sinks.hubspot_tasks import Tasks, TaskSettings
from pql_stream.sinks.mapping import OPTION, mapping_for, parse_mapping
from pql_stream.sinks.templates import Templates

BATCH_MAX = 100
RATE = 100
RATE_PERIOD_S = 10.0
"""The limit of free and Starter accounts, 100 calls in ten seconds; others have 190 or 250."""

ACTIONS = frozenset({"upsert", "task"})

TIERS = ("unqualified", "bronze", "silver", "gold", "platinum")
"""The tiers of the shipped packs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotSettings:
    """
    One account, and what of a lead it gets.

    *service_key*: a service key, or the token of an app, with the scopes crm.objects.contacts.read and .write (and
    crm.schemas.contacts.write for the set-up). *fields*: HubSpot's property -> path (`sinks.mapping`), added to
    `SHIPPED_FIELDS`; an empty path takes one away. *id_property* is unique and holds the lead's id. *tiers* are the
    options of `score_category`. *rate*: calls in ten seconds.
    """

    service_key: str = field(repr=False)
    base_url: str = BASE_URL
    version: ApiVersion = "2026-09"
    id_property: str = ID_PROPERTY
    fields: Mapping[str, str] = field(default_factory=dict)
    tiers: Sequence[str] = TIERS
    tasks: TaskSettings = field(default_factory=TaskSettings)
    rate: int = RATE

    def __post_init__(self) -> None:
        """
        Look at the mapping.

        Raises:
            InvalidSettings: it cannot be read.
        """
        parse_mapping(self.fields)

    def all_fields(self) -> dict[str, str]:
        """The mapping as a whole."""
        return {**SHIPPED_FIELDS, **self.fields}


def open_hubspot(
    settings: HubSpotSettings,
    templates: Templates,
    *,
    now_s: Callable[[], float],
    total_timeout_s: float = TOTAL_TIMEOUT_S,
) -> HubSpotSink:
    """A sink that calls HubSpot."""
    return HubSpotSink(settings, templates, AioHttp(total_timeout_s=total_timeout_s), now_s=now_s)


class HubSpotSink:
    """`Sink` for one account. *now_s* is the Unix time."""

    def __init__(
        self, settings: HubSpotSettings, templates: Templates, http: Http, *, now_s: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._fields = settings.all_fields()
        self._api = HubSpotApi(
            http, settings.service_key, base_url=settings.base_url, version=settings.version, now_s=now_s
        )
        self._contacts = Contacts(self._api, settings.id_property)
        self._tasks = Tasks(self._api, settings.tasks, templates)

    @property
    def traits(self) -> Traits:
        """As `Sink` says."""
        return Traits(
            batch_max=BATCH_MAX,
            repeatable=frozenset({"upsert"}),
            needs_profile=True,
            rate=self._settings.rate,
            rate_period_s=RATE_PERIOD_S,
        )

    def channel_of(self, _item: Item) -> str:
        """There are none."""
        return ""

    def calls_of(self, items: Sequence[Item]) -> int:
        """One for contacts and two for tasks; more where HubSpot rejects a batch."""
        actions = {item.delivery.action for item in items}
        return ("upsert" in actions) + 2 * ("task" in actions)

    def check_route(self, route: Route) -> None:
        """
        Look at a route to this sink before anything is sent by it.

        Raises:
            InvalidSettings: it asks for what this sink cannot do.
        """
        if route.action not in ACTIONS:
            raise InvalidSettings(f"route {route.name}: HubSpot has no action {route.action}")
        own = route.options.get(OPTION, {})
        if not isinstance(own, Mapping):
            raise InvalidSettings(f'route {route.name}: the option "{OPTION}" is no mapping of property to path')
        parse_mapping(own)
        if route.action == "task":
            self._tasks.check_options(route.options, route.of)

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """
        As `Sink` says.

        A task's contact is written first, in one batch with the contacts that are asked for: a task without it would
        be nobody's.
        """
        refusals = ((item.delivery.delivery_id, self._refused_at_once(item)) for item in items)
        outcomes: Outcomes = {delivery_id: refused for delivery_id, refused in refusals if refused is not None}
        again = [item for item in _not_in(items, outcomes) if item.delivery.action == "task" and item.is_repeat]
        outcomes |= await self._tasks.find(again)
        with_contacts: list[tuple[Item, str]] = []
        for item, outcome in await self._write_contacts(_not_in(items, outcomes)):
            match item.delivery.action, outcome:
                case "task", Delivered(None):
                    outcomes[item.delivery.delivery_id] = Later("unavailable", "item", detail="a contact without an id")
                case "task", Delivered(str(contact_id)):
                    with_contacts.append((item, contact_id))
                case _:
                    outcomes[item.delivery.delivery_id] = outcome
        outcomes |= await self._tasks.create(with_contacts)
        return [outcomes[item.delivery.delivery_id] for item in items]

    async def check(self) -> Outcome:
        """
        Read the property definitions: whether the key is good, and whether the properties are there that we write.

        Also learns where the account's day ends, for when its daily quota is used up.
        """
        names = {
            "contacts": [self._settings.id_property, *(name for name, path in self._fields.items() if path)],
            "tasks": [self._settings.tasks.id_property] if self._settings.tasks.id_property else [],
        }
        for object_type, wanted in names.items():
            absent = await missing(self._api, object_type, wanted) if wanted else []
            if not isinstance(absent, list):
                return absent
            if absent:
                return Refused("not_found", f"no {object_type} property {', '.join(absent)}: set HubSpot up first")
        details = await self._api.ask("GET", self._api.account_path())
        offset_ms = details.body.get("utcOffsetMilliseconds") if isinstance(details, Reply) else None
        if isinstance(offset_ms, int):
            self._api.utc_offset_s = offset_ms / 1000
        return Delivered()

    async def set_up_properties(self) -> SetUp | Outcome:
        """Make the properties that are missing, and change none; or why that did not work."""
        wanted = {
            "contacts": contact_definitions(self._settings.id_property, self._settings.tiers),
            "tasks": task_definitions(self._settings.tasks.id_property),
        }
        return await set_up(self._api, wanted)

    async def close(self) -> None:
        """As `Sink` says."""
        await self._api.close()

    async def _write_contacts(self, items: Sequence[Item]) -> list[tuple[Item, Outcome]]:
        """Each of *items* with what became of its lead's contact."""
        contacts = contacts_of(items, self._fields)
        outcomes = await self._contacts.write(list(contacts.values()))
        return [(item, outcomes[contacts[item.delivery.lead_id].trace_id]) for item in items]

    def _refused_at_once(self, item: Item) -> Refused | None:
        """What need not be sent to know that it will never be taken."""
        if item.delivery.action not in ACTIONS:
            return Refused("invalid", f"HubSpot has no action {item.delivery.action}")
        if item.profile is None:
            return Refused("no_profile")
        if not (item.profile.email or item.profile.first_name or item.profile.last_name):
            return Refused("no_address", "a contact needs an e-mail address or a name")
        try:
            mapping_for(item, self._fields)
        except InvalidSettings as exc:
            return Refused("invalid", exc.what)
        return None


def _not_in(items: Sequence[Item], outcomes: Outcomes) -> list[Item]:
    return [item for item in items if item.delivery.delivery_id not in outcomes]
