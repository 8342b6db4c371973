"""Packs that share features with `every_kind`: under other names, with other bounds, and some of their own."""

from __future__ import annotations

from msgspec.structs import replace

from pql_stream.core.features import Feature
from pql_stream.core.packs import Group, ModelPack, Tier
from pql_stream.core.rules import AtLeastRule, Band, FlagRule, LinearRule
from tests.unit.core.every_kind import FEATURES, source

_BY_NAME = {feature.name: feature for feature in FEATURES}

# The same feature under another name; the same with a higher bound, which is another one; one of its own.
OTHER = ModelPack(
    name="other",
    version=1,
    title="Other",
    features=(
        replace(_BY_NAME["paid"], name="has_paid"),
        replace(_BY_NAME["things"], at_most=5),
        _BY_NAME["days"],
        Feature("seen", "flag", (source("seen", "told"),)),
    ),
    groups=(Group("all", 10_000),),
    rules=(
        FlagRule("paid", "all", 4000, "Has paid", "has_paid", 4000),
        AtLeastRule("things", "all", 3000, "{input} things", "things", (Band(2, 1000), Band(5, 3000))),
        LinearRule("days", "all", 1500, "{input} days", (("days", 500),)),
        FlagRule("seen", "all", 1500, "Seen", "seen", 1500),
    ),
    tiers=(
        Tier("cold", 0, None, sales_ready=False),
        Tier("warm", 1500, "later", sales_ready=False),
        Tier("ready", 5000, "now", sales_ready=True),
    ),
)

# The next version of it: the same features, other points.
OTHER_2 = replace(OTHER, version=2, rules=(replace(OTHER.rules[0], points=1000), *OTHER.rules[1:]))
