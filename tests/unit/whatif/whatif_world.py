"""Two packs that differ in all that packs can differ in, streams of several leads, and comparisons of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson
from hypothesis import strategies as st
from msgspec.structs import replace

from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack, ModelPack, Tier, compile_pack
from pql_stream.core.routes import Condition, Route
from pql_stream.core.rules import Band, FlagRule, LinearRule
from pql_stream.replay.source import Recorded
from pql_stream.replay.whatif.comparing import Comparison
from pql_stream.testing.builders import native_json
from tests.unit.core.every_kind import EVERY_KIND, _event

_RULES = {rule.name: rule for rule in EVERY_KIND.rules}

# Other bands, a rule less, a rule more and a rule whose feature nobody asked for, in another order.
CANDIDATE = replace(
    EVERY_KIND,
    name="candidate",
    version=1,
    rules=(
        LinearRule("peak_load", "use", 1500, "Load of {input}", (("peak", 150),)),
        replace(_RULES["things"], bands=(Band(1, 100), Band(2, 1000))),
        _RULES["speed"],
        replace(_RULES["level"], points=(("low", 1000), ("high", 333))),
        FlagRule("paid", "told", 2000, "Has paid", "paid", 2000),
        _RULES["extremes"],
        LinearRule("size", "told", 1000, "Team of {input}", (("size", 101),)),
    ),
    # "hot" begins elsewhere and is handed off otherwise; "boiling" is not in the other pack, "blazing" not in this.
    tiers=(
        Tier("cold", 0, None, sales_ready=False),
        Tier("warm", 2500, "later", sales_ready=True),
        Tier("hot", 4000, "soon", sales_ready=True),
        Tier("boiling", 6000, "now", sales_ready=True),
    ),
)
PACKS = (EVERY_KIND, CANDIDATE)

ROUTES = (
    Route("changes", "score-changed", "crm", "upsert"),
    Route("hot-changes", "score-changed", "crm", "upsert", (Condition("tier_after", one_of=("hot",)),)),
    Route("tasks", "pql-qualified", "crm", "task", (Condition("sales_ready", one_of=(True,)),)),
    Route("things", "score-changed", "hook", "post", (Condition("points.things", at_least=5),)),
    Route("all-qualified", "pql-qualified", "hook", "post"),
)

streams = st.lists(st.one_of(*(_event(lead) for lead in ("u1", "u2", "u3"))), max_size=30)


def recorded(events: Iterable[ProductEvent]) -> list[Recorded]:
    """*events* as lines of a file."""
    return [Recorded("events.jsonl", 0, number, _line(event)) for number, event in enumerate(events, start=1)]


def _line(event: ProductEvent) -> bytes:
    given = {"event_id": event.event_id, "account_id": event.account_id, "occurred_at_ms": event.occurred_at_ms}
    fields = orjson.loads(native_json(event.name, event.lead_id, **given))
    return orjson.dumps(fields | {"properties": event.properties})


_kept: dict[int, tuple[ModelPack, CompiledPack]] = {}


def _compiled(pack: ModelPack) -> CompiledPack:
    """*pack*, compiled once: most of what an example would cost."""
    if id(pack) not in _kept:
        _kept[id(pack)] = pack, compile_pack(pack)
    return _kept[id(pack)][1]


def compared(
    records: Iterable[Recorded],
    today: ModelPack = EVERY_KIND,
    then: ModelPack = CANDIDATE,
    routes: Sequence[Route] = ROUTES,
) -> Comparison:
    """The comparison of *today* and *then* over *records*."""
    comparison = Comparison(_compiled(today), _compiled(then), routes)
    comparison.take_all(records)
    return comparison
