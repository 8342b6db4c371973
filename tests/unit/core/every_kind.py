"""A pack with every kind of feature and of rule, and events that move all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from pql_stream.core.events import ProductEvent
from pql_stream.core.features import Condition, Feature, PropertyReader, Source
from pql_stream.core.packs import CompiledPack, Group, ModelPack, Tier, compile_pack
from pql_stream.core.rules import (
    AtLeastRule,
    Band,
    BelowRule,
    FlagRule,
    GreatestRule,
    LinearRule,
    SecondsBetween,
    WordsRule,
)
from pql_stream.testing.builders import JAN_5_MS, product_event

DAY_MS = 86_400_000


def source(*events: str, **given) -> Source:
    """A source of *events*; `read={property: how}`, `where={property: words}`."""
    return Source(
        events,
        tuple(Condition(name, frozenset(words)) for name, words in given.get("where", {}).items()),
        tuple(PropertyReader(name, read_as) for name, read_as in given.get("read", {}).items()),
        given.get("or_event_id", False),
    )


FEATURES = (
    Feature("things", "distinct", (source("used", read={"thing": "id"}, or_event_id=True),), at_most=3),
    Feature("days", "distinct_days", (source("used", "seen"),), at_most=3),
    Feature("began_at", "earliest", (source("began"),)),
    Feature("ended_at", "latest_time", (source("ended", where={"status": ["fine", None]}),)),
    Feature("level", "latest", (source("told", read={"level": "word"}),), words=frozenset({"low", "high"})),
    Feature("size", "latest", (source("told", read={"size": "whole"}),)),
    Feature("paid", "flag", (source("paid"),)),
    Feature("peak", "maximum", (source("measured", read={"load": "number"}),)),
    Feature("trough", "minimum", (source("measured", read={"load": "number"}),)),
)

RULES = (
    AtLeastRule(
        "things", "use", 1000, "{input} things", "things", (Band(1, 250), Band(2, 500), Band(3, 1000))
    ),
    LinearRule("days", "use", 1500, "{input} days", (("days", 500),)),
    BelowRule(
        "speed", "use", 1500, "Done {input} later", SecondsBetween("began_at", "ended_at"),
        (Band(3600, 1500, reason="Fast: {input}"), Band(86_400, 500)),
    ),
    WordsRule("level", "told", 1000, "Level {input}", "level", (("low", 333), ("high", 1000))),
    FlagRule("paid", "told", 1000, "Has paid", "paid", 1000),
    GreatestRule(
        "extremes", "told", 2000, "",
        (
            AtLeastRule("peak", "told", 2000, "Peak of {input}", "peak", (Band(10, 2000, above=True),)),
            BelowRule("trough", "told", 1000, "Trough of {input}", "trough", (Band(1.5, 1000),)),
        ),
    ),
    LinearRule("size", "told", 2000, "Team of {input}", (("size", 101),)),
)  # fmt: skip

EVERY_KIND = ModelPack(
    name="every-kind",
    version=3,
    title="Every kind",
    features=FEATURES,
    groups=(Group("use", 4000), Group("told", 6000)),
    rules=RULES,
    tiers=(
        Tier("cold", 0, None, sales_ready=False),
        Tier("warm", 3000, "later", sales_ready=False),
        Tier("hot", 5000, "now", sales_ready=True),
        Tier("blazing", 7500, "now", sales_ready=True),
    ),
    profile=("level", "size"),
)


def every_kind() -> CompiledPack:
    """The pack, compiled afresh."""
    return compile_pack(EVERY_KIND)


_numbers = st.one_of(
    st.integers(0, 12), st.sampled_from([0.5, 1.5, 5.0, 9.75, 12.0]), st.sampled_from(["9", None, -1, True])
)
_properties = st.fixed_dictionaries(
    {},
    optional={
        "thing": st.sampled_from(["a", "b", " a ", "c", "", 7, None, 5.5]),
        "status": st.sampled_from(["fine", "FINE ", "bad", None, 3]),
        "level": st.sampled_from(["low", "High", "other", None, 2]),
        "size": _numbers,
        "load": _numbers,
    },
)
_names = st.sampled_from(["used", "USED", "seen", "began", "ended", "told", "told", "paid", "measured", "else"])


@st.composite
def _event(draw: st.DrawFn, lead_id: str) -> ProductEvent:
    return product_event(
        draw(_names),
        lead_id,
        event_id=draw(st.sampled_from(["e1", "e2", "\uff5e", "\U0001f600"])),
        occurred_at_ms=JAN_5_MS + draw(st.sampled_from([0, 1, 3_599_999, DAY_MS, 2 * DAY_MS, -DAY_MS])),
        account_id=draw(st.sampled_from([None, "acme", "globex"])),
        topic=draw(st.sampled_from(["product-activity", "a-file"])),
        offset=draw(st.integers(0, 5)),
        **draw(_properties),
    )


# Few ids and few times on purpose: events of the same id and time with other content are the hard case.
events = _event("u1")
event_lists = st.lists(events, max_size=25)
