"""What the tests of Slack share: items and templates."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from pql_stream.core.profiles import LeadProfile
from pql_stream.delivery.sink import Item
from pql_stream.sinks.template_context import TemplateSettings
from pql_stream.sinks.template_samples import KNOWN, sample_items
from pql_stream.sinks.templates import Templates

NOW_S = 1_800_000_000.0
TEMPLATES = Templates(TemplateSettings(crm_url="https://crm.example/leads/{lead_id}?a=1&b=2"))


def item(
    number: int = 1, profile: LeadProfile | None = KNOWN, *, is_repeat: bool = False, channel: str = "C-sales", **record
) -> Item:
    [known, *_] = sample_items(("pql-qualified",))
    delivery = msgspec.structs.replace(
        known.delivery,
        delivery_id=f"{number:032x}",
        options={"channel": channel},
        record=known.delivery.record | record,
        decided_at_ms=int(NOW_S * 1000),
    )
    return Item(delivery, profile, is_repeat)


def with_options(base: Item, **options: str) -> Item:
    return replace(base, delivery=msgspec.structs.replace(base.delivery, options=options))
