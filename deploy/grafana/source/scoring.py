"""For RevOps: who qualifies, by which pack, and whether that is as usual."""

from __future__ import annotations

from deploy.grafana.source.panels import RATE, Dashboard, Panel, Row

SCORING = Dashboard(
    uid="pql-scoring",
    title="pql-stream: Scoring",
    says="For RevOps: who qualifies, by which pack, and whether that is as usual.",
    rows=(
        Row(
            "Qualified leads",
            (
                Panel(
                    title="First time in a tier, 24 h",
                    says="A lead counts in the highest tier that it reached at once.",
                    unit="short",
                    kind="stat",
                    queries=(('sum by (tier) (increase(pql_qualifications_total{mode="live"}[24h]))', "{{tier}}"),),
                ),
                Panel(
                    title="Share of evaluated leads that qualify",
                    says="By the hour, beside the mean of the same hour in the last four weeks.",
                    unit="percentunit",
                    queries=(
                        ("pql:qualification:ratio1h", "now"),
                        ("pql:qualification:ratio1h_mean4w", "usual"),
                    ),
                ),
                Panel(
                    title="How unusual that is",
                    says="Standard deviations from the usual share. PqlQualificationRateOdd makes a ticket beyond 3.",
                    unit="none",
                    queries=(("pql:qualification:zscore1h", "standard deviations"),),
                ),
            ),
        ),
        Row(
            "Scores",
            (
                Panel(
                    title="Score changes by the tier after them",
                    says="A lead may change often within its tier.",
                    unit="cps",
                    stacked=True,
                    queries=((f'sum by (tier) (rate(pql_scores_changed_total{{mode="live"}}[{RATE}]))', "{{tier}}"),),
                ),
                Panel(
                    title="Leads evaluated in an hour",
                    says="A lead counts once in each batch that has events of it.",
                    unit="short",
                    queries=(("pql:leads_evaluated:increase1h", "leads"),),
                ),
                Panel(
                    title="Events that the pack does not know",
                    says="They count as activity and earn nothing. Growing: a new event that rules could use?",
                    unit="percentunit",
                    queries=(
                        (
                            (
                                f'sum(rate(pql_events_consumed_total{{event="other"}}[{RATE}])) '
                                f"/ sum(rate(pql_events_consumed_total[{RATE}]))"
                            ),
                            "other",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Shadow packs",
            (
                Panel(
                    title="Partitions by role",
                    says="Which pack is live on how many partitions. Two live ones: a cut-over is under way.",
                    unit="none",
                    kind="table",
                    queries=(("count by (role, pack, version) (pql_pack_role)", "{{role}}: {{pack}} {{version}}"),),
                ),
                Panel(
                    title="Leads for whom a shadow comes to differ",
                    says="A record on pql-shadow-diff each: the difference came, grew, shrank or went.",
                    unit="cps",
                    queries=(
                        (
                            f"sum by (pack, version) (rate(pql_shadow_differences_total[{RATE}]))",
                            "{{pack}} {{version}}",
                        ),
                    ),
                ),
                Panel(
                    title="Leads in another tier than the live pack's, 24 h",
                    says="Those whose tiers parted, less those whose tiers met again.",
                    unit="short",
                    kind="stat",
                    queries=(
                        (
                            (
                                "sum by (pack, version) (increase(pql_shadow_tiers_parted_total[24h])) "
                                "- sum by (pack, version) (increase(pql_shadow_tiers_met_total[24h]))"
                            ),
                            "{{pack}} {{version}}",
                        ),
                    ),
                ),
                Panel(
                    title="Records that a shadow is still filled from",
                    says="0, or nothing: it is not being filled. Else it lags by so many; the live events are scored.",
                    unit="short",
                    queries=(("sum by (pack, version) (pql_shadow_fill_left_records)", "{{pack}} {{version}}"),),
                ),
            ),
        ),
        Row(
            "Model pack",
            (
                Panel(
                    title="Packs in use",
                    says="All workers should have the same, PqlPacksDiffer makes a ticket when not.",
                    unit="none",
                    kind="table",
                    queries=(("count by (pack, version, sha256) (pql_pack_info)", "{{pack}} {{version}}"),),
                ),
                Panel(
                    title="For how long",
                    says="Since the worker that started last began to score by it.",
                    unit="dtdurations",
                    kind="stat",
                    queries=(
                        (
                            "time() - max by (pack, version) (pql_pack_loaded_timestamp_seconds)",
                            "{{pack}} {{version}}",
                        ),
                    ),
                ),
                Panel(
                    title="Event time against arrival",
                    says="Median and p99 of some events: late events still count, by their own time.",
                    unit="s",
                    queries=tuple(
                        (
                            (
                                f"histogram_quantile(0.{share}, "
                                f'sum by (le) (rate(pql_event_time_skew_seconds_bucket{{direction="past"}}[{RATE}])))'
                            ),
                            f"p{share}",
                        )
                        for share in ("50", "99")
                    ),
                ),
            ),
        ),
    ),
)
