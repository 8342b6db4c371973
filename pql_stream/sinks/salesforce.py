"""
Salesforce: leads by external id, and tasks for them.

An upsert may be repeated freely. A task may not: before a repeat the sink looks for one with the delivery's id.

Never made against a real org: every call of this sink. Its rules come from Salesforce's documentation and from what
other connectors do; the fake beside the tests was written from the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pql_stream.core.routes import Route
from pql_stream.delivery.outcomes import Delivered, Later, Outcome, Refused, Unknown
from pql_stream.delivery.sink import Item, Traits
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.http import TOTAL_TIMEOUT_S, AioHttp, Http
from pql_stream.sinks.mapping import OPTION, parse_mapping
from pql_stream.sinks.salesforce_api import Api
from pql_stream.sinks.salesforce_auth import Grant, Tokens
from pql_stream.sinks.salesforce_leads import LeadWriter, sink_wide
from pql_stream.sinks.salesforce_records import CONTACT_OPTION
from pql_stream.sinks.salesforce_settings import SalesforceSettings
from pql_stream.sinks.salesforce_tasks import HELD, TaskWriter
from pql_stream.sinks.templates import Templates

ACTIONS = frozenset({"upsert", "task"})
TRAITS = Traits(
    batch_max=200,
    repeatable=frozenset({"upsert"}),
    needs_profile=True,
    rate=100_000,
    rate_period_s=86_400.0,
)
"""The rate is that of the smallest edition with an API, for all who use the org."""


def open_salesforce(
    settings: SalesforceSettings,
    grant: Grant,
    templates: Templates,
    *,
    now_s: Callable[[], float],
    total_timeout_s: float = TOTAL_TIMEOUT_S,
) -> SalesforceSink:
    """A sink that calls Salesforce."""
    http = AioHttp(total_timeout_s=total_timeout_s)
    return SalesforceSink(settings, grant, templates, http, now_s=now_s)


class SalesforceSink:
    """`Sink` for one org. *templates* are those of tasks, *now_s* is the Unix time."""

    def __init__(
        self,
        settings: SalesforceSettings,
        grant: Grant,
        templates: Templates,
        http: Http,
        *,
        now_s: Callable[[], float],
    ) -> None:
        self._api = Api(
            http,
            Tokens(http, settings.base_url, grant, now_s=now_s),
            base_url=settings.base_url,
            version=settings.api_version,
            key_field=settings.external_id_field,
            now_s=now_s,
        )
        self._leads = LeadWriter(self._api, settings)
        self._tasks = TaskWriter(self._api, self._leads, settings, templates=templates, now_s=now_s)
        self._check_query = f"SELECT {settings.external_id_field} FROM Lead LIMIT 1"  # noqa: S608 - a checked name

    @property
    def calls_left(self) -> float | None:
        """The share of the org's daily calls that is left, 0 to 1, for all who use it; None until an answer said so."""
        return self._api.share_left

    @property
    def traits(self) -> Traits:
        """As `Sink` says."""
        return TRAITS

    def calls_of(self, items: Sequence[Item]) -> int:
        """One for all leads, and one for each task."""
        tasks = sum(item.delivery.action == "task" for item in items)
        return tasks + (tasks < len(items))

    def channel_of(self, item: Item) -> str:  # noqa: ARG002 - there are none
        """As `Sink` says."""
        return ""

    def check_route(self, route: Route) -> None:
        """
        Look at a route to this sink before anything is sent by it.

        Raises:
            InvalidSettings: it asks for what this sink cannot do.
        """
        if route.action not in ACTIONS:
            raise InvalidSettings(f"route {route.name}: Salesforce has no action {route.action}")
        for option in (OPTION, CONTACT_OPTION):
            own = route.options.get(option, {})
            if not isinstance(own, Mapping):
                raise InvalidSettings(f'route {route.name}: the option "{option}" is no mapping of field to path')
            parse_mapping(own)
        if route.action == "task":
            self._tasks.check_options(route.options, route.of)

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        """
        As `Sink` says.

        All leads go in one call, and each task in one of its own. A lead's items keep their order, also between the
        two: they wait where an earlier one of the same lead has to.
        """
        outcomes: dict[int, Outcome] = {
            place: refusal for place, item in enumerate(items) if (refusal := _refusal(item)) is not None
        }
        held: set[str] = set()
        stop: Later | None = None
        for places in _phases([(place, item) for place, item in enumerate(items) if place not in outcomes]):
            free = [place for place in places if stop is None and items[place].delivery.lead_id not in held]
            outcomes |= {place: stop or HELD for place in places if place not in free}
            done = await self._attempt([items[place] for place in free])
            outcomes |= dict(zip(free, done, strict=True))
            stop = stop or sink_wide(done)
            held |= {items[place].delivery.lead_id for place in free if isinstance(outcomes[place], Later | Unknown)}
        return [outcomes[place] for place in range(len(items))]

    async def check(self) -> Outcome:
        """As `Sink` says: with the credentials and the version, it shows that leads have the external id field."""
        found = await self._api.query(self._check_query)
        return Delivered() if isinstance(found, list) else found

    async def close(self) -> None:
        """As `Sink` says."""
        await self._api.close()

    async def _attempt(self, items: Sequence[Item]) -> list[Outcome]:
        """*items* all have the same action."""
        if not items:
            return []
        return await (self._leads.upsert(items) if items[0].delivery.action == "upsert" else self._tasks.create(items))


def _refusal(item: Item) -> Refused | None:
    if item.delivery.action not in ACTIONS:
        return Refused("invalid", f"Salesforce has no action {item.delivery.action}")
    # Nobody can be called who has no name and no address; an erased lead must not come back.
    return Refused("no_profile") if item.profile is None else None


def _phases(items: Sequence[tuple[int, Item]]) -> list[list[int]]:
    """The places of *items* in groups of one action each, such that going through the groups keeps a lead's order."""
    reached: dict[str, int] = {}
    phases: dict[int, list[int]] = {}
    for place, item in items:
        is_task = item.delivery.action == "task"
        phase = reached.get(item.delivery.lead_id, 0)
        phase += phase % 2 != is_task  # upserts in even phases, tasks in odd ones
        reached[item.delivery.lead_id] = phase
        phases.setdefault(phase, []).append(place)
    return [places for _, places in sorted(phases.items())]
