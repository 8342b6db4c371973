"""For whoever keeps it running: from the product's events to the deliveries, left to right."""

from __future__ import annotations

from deploy.grafana.source.panels import RATE, Dashboard, Panel, Row


def late(window: str, quantile: str) -> str:
    """A quantile of the time from an event to its score."""
    return (
        f"histogram_quantile({quantile}, "
        f'sum by (le) (rate(pql_event_to_score_seconds_bucket{{mode="live"}}[{window}])))'
    )


PIPELINE = Dashboard(
    uid="pql-pipeline",
    title="pql-stream: Pipeline",
    says="From the product's events to the deliveries, left to right. Red means somebody should look.",
    rows=(
        Row(
            "At a glance: in, decoded, scored, out, delivered",
            (
                Panel(
                    title="Events in",
                    says="Events accepted a second, by all workers.",
                    unit="cps",
                    kind="stat",
                    queries=((f"sum(rate(pql_events_consumed_total[{RATE}]))", "events"),),
                ),
                Panel(
                    title="Refused",
                    says="Share of records that are no events; they lie on product-activity-dlq.",
                    unit="percentunit",
                    kind="stat",
                    bounds=(0.01, 0.05),
                    queries=(
                        (
                            (
                                f"sum(rate(pql_events_rejected_total[{RATE}])) / (sum(rate(pql_events_rejected_total"
                                f"[{RATE}])) + sum(rate(pql_events_consumed_total[{RATE}])))"
                            ),
                            "refused",
                        ),
                    ),
                ),
                Panel(
                    title="Event to score, p99",
                    says="The objective is 5 s for 99 % of the events.",
                    unit="s",
                    kind="stat",
                    bounds=(2.5, 5),
                    queries=((late(RATE, "0.99"), "p99"),),
                ),
                Panel(
                    title="Qualified leads in 24 h",
                    says="Leads that reached a tier for the first time.",
                    unit="short",
                    kind="stat",
                    queries=(('sum(increase(pql_qualifications_total{mode="live"}[24h]))', "qualified"),),
                ),
                Panel(
                    title="Oldest delivery waiting",
                    says="Of all sinks; a sink that is away makes it grow, and loses nothing.",
                    unit="s",
                    kind="stat",
                    bounds=(60, 900),
                    queries=(("max(pql_sink_oldest_pending_seconds)", "oldest"),),
                ),
                Panel(
                    title="Canary",
                    says="How long the canary took on average; nothing when none is sent, or none comes back.",
                    unit="s",
                    kind="stat",
                    bounds=(2.5, 5),
                    queries=(
                        (
                            (
                                "sum(increase(pql_canary_roundtrip_seconds_sum[10m])) "
                                "/ sum(increase(pql_canary_roundtrip_seconds_count[10m]))"
                            ),
                            "round trip",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Events in",
            (
                Panel(
                    title="Events by name",
                    says="Names that the model pack does not know are other.",
                    unit="cps",
                    stacked=True,
                    queries=((f"sum by (event) (rate(pql_events_consumed_total[{RATE}]))", "{{event}}"),),
                ),
                Panel(
                    title="Lag in seconds",
                    says="How old the last record done is, where more wait. PqlLag pages above 60 s.",
                    unit="s",
                    queries=(("max by (topic) (pql_consumer_lag_seconds)", "{{topic}}"),),
                ),
                Panel(
                    title="Lag in records",
                    says="Records not done yet, of all partitions.",
                    unit="short",
                    queries=(("sum by (topic) (pql_consumer_lag_records)", "{{topic}}"),),
                ),
                Panel(
                    title="Since the last commit, where records wait",
                    says="PqlPartitionStalled pages above 10 min. Partitions that wait on purpose are left out.",
                    unit="s",
                    queries=(
                        (
                            (
                                "max by (topic, partition) ((time() - pql_consumer_progress_timestamp_seconds) "
                                "and on (job, instance, topic, partition) pql_consumer_lag_records > 0 "
                                "unless on (job, instance, topic, partition) pql_consumer_waiting == 1)"
                            ),
                            "{{topic}} {{partition}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Decode and score",
            (
                Panel(
                    title="Event to score",
                    says="From the record's Kafka timestamp to its score.",
                    unit="s",
                    queries=tuple((late(RATE, f"0.{share}"), f"p{share}") for share in ("50", "95", "99")),
                ),
                Panel(
                    title="Refused by reason",
                    says="Records on product-activity-dlq.",
                    unit="cps",
                    stacked=True,
                    queries=(
                        (f"sum by (stage, reason) (rate(pql_events_rejected_total[{RATE}]))", "{{stage}} {{reason}}"),
                    ),
                ),
                Panel(
                    title="Re-keyed and skipped",
                    says="Records that came on another partition than their lead's, and records without a value.",
                    unit="cps",
                    queries=(
                        (f"sum(rate(pql_events_rekeyed_total[{RATE}]))", "re-keyed"),
                        (f"sum(rate(pql_events_skipped_total[{RATE}]))", "skipped"),
                    ),
                ),
                Panel(
                    title="Time of a batch, by step",
                    says="Mean seconds: the pure part, outputs until acknowledged, rows until acknowledged.",
                    unit="s",
                    stacked=True,
                    queries=(
                        (
                            (
                                f"sum by (stage) (rate(pql_batch_seconds_sum[{RATE}])) "
                                f"/ sum by (stage) (rate(pql_batch_seconds_count[{RATE}]))"
                            ),
                            "{{stage}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Out",
            (
                Panel(
                    title="Score changes and qualifications",
                    says="Records written to score-changed and pql-qualified.",
                    unit="cps",
                    queries=(
                        (f"sum by (mode) (rate(pql_scores_changed_total[{RATE}]))", "changes, {{mode}}"),
                        (f"sum by (mode) (rate(pql_qualifications_total[{RATE}]))", "qualifications, {{mode}}"),
                    ),
                ),
                Panel(
                    title="Published records by what became of them",
                    says="routed: made deliveries. unrouted: no route takes them. failed: a bug of ours.",
                    unit="cps",
                    stacked=True,
                    queries=(
                        (
                            f"sum by (topic, outcome) (rate(pql_records_dispatched_total[{RATE}]))",
                            "{{topic}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    title="Dead letters lying there",
                    says="Of sinks those that nobody has redriven.",
                    unit="short",
                    queries=(("max by (topic) (pql_dlq_depth_records)", "{{topic}}"),),
                ),
                Panel(
                    title="Age of the oldest dead letter",
                    says="PqlDeadLettersOld makes a ticket after a day.",
                    unit="s",
                    queries=(("max by (topic) (pql_dlq_oldest_seconds)", "{{topic}}"),),
                ),
            ),
        ),
        Row(
            "Workers",
            (
                Panel(
                    title="What runs",
                    says="Version, Python and Faust of each worker.",
                    unit="none",
                    kind="table",
                    queries=(("max by (instance, version, python, faust) (pql_build_info)", "{{instance}}"),),
                ),
                Panel(
                    title="Rebalances and their mean time",
                    says="While one goes on, the partitions concerned stand still.",
                    unit="s",
                    queries=(
                        (f"sum(increase(pql_rebalances_total[{RATE}]))", "rebalances"),
                        (
                            (
                                f"sum(rate(pql_rebalance_seconds_sum[{RATE}])) "
                                f"/ sum(rate(pql_rebalance_seconds_count[{RATE}]))"
                            ),
                            "mean seconds",
                        ),
                    ),
                ),
                Panel(
                    title="Rows still to be read back",
                    says="Workers that start, or take partitions over. PqlRecoveryStuck pages when it does not fall.",
                    unit="short",
                    queries=(
                        ("max by (instance) (pql_table_recovery_left_records)", "{{instance}}"),
                        ("max by (instance) (pql_table_recovering)", "{{instance}} recovering"),
                    ),
                ),
                Panel(
                    title="CPU and memory",
                    says="Cores in use, and GiB resident.",
                    unit="short",
                    queries=(
                        (f'rate(process_cpu_seconds_total{{job="pql-stream"}}[{RATE}])', "{{instance}} cores"),
                        ('process_resident_memory_bytes{job="pql-stream"} / 2 ^ 30', "{{instance}} GiB"),
                    ),
                ),
            ),
        ),
    ),
)
