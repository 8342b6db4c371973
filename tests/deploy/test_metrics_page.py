"""The page of a worker as Prometheus' own tool sees it, and that nothing from outside makes series."""

from __future__ import annotations

import random
import string

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.whole_page import report, whole_page

SERIES_MAX = 2_000
"""Of one worker."""

CATALOGUE = [
    "pql_events_consumed",
    "pql_events_rejected",
    "pql_event_to_score_seconds",
    "pql_event_time_skew_seconds",
    "pql_consumer_lag_records",
    "pql_consumer_lag_seconds",
    "pql_consumer_progress_timestamp_seconds",
    "pql_scores_changed",
    "pql_qualifications",
    "pql_leads_evaluated",
    "pql_pack_role",
    "pql_shadow_differences",
    "pql_shadow_tiers_parted",
    "pql_shadow_tiers_met",
    "pql_shadow_fill_left_records",
    "pql_sink_deliveries",
    "pql_sink_delivery_seconds",
    "pql_sink_oldest_pending_seconds",
    "pql_sink_breaker_state",
    "pql_dlq_records",
    "pql_dlq_depth_records",
    "pql_dlq_oldest_seconds",
    "pql_rebalances",
    "pql_rebalance_seconds",
    "pql_table_recovery_seconds",
    "pql_table_recovering",
    "pql_pack_info",
    "pql_pack_loaded_timestamp_seconds",
    "pql_batch_records",
    "pql_batch_seconds",
    "pql_canary_roundtrip_seconds",
    "pql_canary_failures",
    "pql_build_info",
]

LABELS = frozenset(
    [
        "topic",
        "partition",
        "stage",
        "reason",
        "sink",
        "type",
        "outcome",
        "tier",
        "pack",
        "role",
        "version",
        "sha256",
        "mode",
        "event",
        "direction",
        "le",
        "python",
        "faust",
    ]
)
"""Each has a closed set of values, or one that the operator sets."""

HOSTILE = (
    'a"} 1\n# HELP pql_x',
    "feature_used\n",
    "{}",
    "\\",
    "\x00",
    "\u2028",
    "é" * 256,
    "ada@acme.example",
    "' OR 1=1 --",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "\U0001f9a9",
    "\u202egnp",
)


def series(page) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    text, _ = page.render("")
    return [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]


def test_the_page_has_the_whole_catalogue():
    """
    Every metric that OPERATIONS.md names is on the page of a worker that scores, delivers and sends canaries.
    """
    page, _ = whole_page()

    assert [] == sorted(set(CATALOGUE) - {family.name for family in page.registry.collect()})


def test_promtool_finds_nothing_to_say(promtool):
    """
    Names, units, help texts and types are as Prometheus wants them.
    """
    page, _ = whole_page()
    text, _ = page.render("")
    done = promtool("check", "metrics", stdin=text.decode())

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_openmetrics_parses():
    """
    The form that Prometheus asks for is well-formed as a whole.
    """
    page, _ = whole_page()
    text, _ = page.render("application/openmetrics-text; version=1.0.0")

    assert 40 < len(list(openmetrics_parser.text_string_to_metric_families(text.decode())))


def test_labels_are_a_closed_set():
    """
    No label is of a lead, an account, an address or an error's text.
    """
    page, _ = whole_page()
    used = {name for _, labels in series(page) for name, _ in labels}

    assert set() == used - LABELS


def test_names_from_outside_make_no_series():
    """
    10,000 random event names and 1,000 hostile ones add one series at most, none of them can be read on the page, and
    a worker with twelve partitions and five sinks stays within its budget.
    """
    page, meter = whole_page()
    chance = random.Random(7)
    names = ["".join(chance.choices(string.printable, k=chance.randint(1, 60))) for _ in range(10_000)]
    hostile = [f"{chance.choice(HOSTILE)}{number}" for number in range(1_000)]
    before = series(page)
    meter.records_done(report(accepted=dict.fromkeys([*names, *hostile, *HOSTILE[2:]], 1)))
    after = series(page)

    assert set(before) == set(after)
    assert SERIES_MAX > len(after)
    assert "acme" not in page.render("")[0].decode()
