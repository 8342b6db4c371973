"""
The names on the wire: topics, app id, consumer group (CONTRACT.md 1 and 8).

A name here is without its prefix; `prefixed` puts it before. No Faust: everybody may import this module.
"""

from __future__ import annotations

from dataclasses import dataclass

from pql_stream.delivery.ports import SinkTopics

APP_ID = "pql-score"
"""Id of the Faust app that scores, and its consumer group."""
DELIVER_APP_ID = "pql-deliver"
"""Id of the Faust app that delivers, and its consumer group."""

PRODUCT_ACTIVITY = "product-activity"
PRODUCT_ACTIVITY_REKEYED = "product-activity-rekeyed"
PRODUCT_ACTIVITY_BACKFILL = "product-activity-backfill"
PRODUCT_ACTIVITY_DLQ = "product-activity-dlq"
SCORE_CHANGED = "score-changed"
PQL_QUALIFIED = "pql-qualified"
LEAD_PROFILES = "lead-profiles"
"""Contact data, and the changelog of the table that has it: a topic of its own name, for others read it too."""

SHADOW_DIFF = "pql-shadow-diff"
CONTROL = "pql-control"
"""Which pack is live on which partition, and what is asked of the workers. All of it lies on its partition 0."""

LEADS_TABLE = "leads"
PROFILES_TABLE = "profiles"
LEADS_CHANGELOG = f"{APP_ID}-{LEADS_TABLE}-changelog"
"""Faust's rule for a table's changelog: `<app id>-<table>-changelog`."""

TOPICS = (
    PRODUCT_ACTIVITY,
    PRODUCT_ACTIVITY_REKEYED,
    PRODUCT_ACTIVITY_BACKFILL,
    PRODUCT_ACTIVITY_DLQ,
    SCORE_CHANGED,
    PQL_QUALIFIED,
    LEADS_CHANGELOG,
    LEAD_PROFILES,
    SHADOW_DIFF,
    CONTROL,
)
"""Every topic that scoring reads or writes."""

CO_PARTITIONED = frozenset(TOPICS) - {PRODUCT_ACTIVITY_DLQ, CONTROL}
"""
Topics keyed by lead: partition N of each has the same leads, so all have the same number of partitions.

The dead-letter topic is not among them: its key is whatever was received. Nor is the control topic.
"""


def prefixed(name: str, prefix: str) -> str:
    """The name of a topic, app or group on a cluster that is shared under *prefix* ("" for none)."""
    return f"{prefix}{name}"


def sink_topics(sink: str, prefix: str) -> SinkTopics:
    """The full names of the topics of *sink* under *prefix*; all of them are keyed by lead."""
    name = prefixed(f"delivery-{sink}", prefix)
    return SinkTopics(deliveries=name, parked=f"{name}-parked", dead_letters=f"{name}-dlq")


@dataclass(frozen=True, slots=True)
class Topics:
    """The full names of the topics under *prefix*."""

    activity: str
    activity_rekeyed: str
    activity_backfill: str
    activity_dlq: str
    score_changed: str
    qualified: str
    leads_changelog: str
    lead_profiles: str
    shadow_diff: str
    control: str

    @property
    def sources(self) -> tuple[str, str, str]:
        """Where events come from."""
        return self.activity, self.activity_rekeyed, self.activity_backfill

    @classmethod
    def under(cls, prefix: str) -> Topics:
        """All names with *prefix* before them ("" for none)."""
        return cls(*(prefixed(name, prefix) for name in TOPICS))
