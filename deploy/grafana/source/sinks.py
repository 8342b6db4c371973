"""Each destination: does it take deliveries, how fast, and what does it refuse."""

from __future__ import annotations

from deploy.grafana.source.panels import RATE, Dashboard, Panel, Row

OF_SINK = '{sink=~"$sink"}'

SINKS = Dashboard(
    uid="pql-sinks",
    title="pql-stream: Sinks",
    says="Each destination: does it take deliveries, how fast, and what does it refuse.",
    variable=("sink", "pql_sink_info"),
    rows=(
        Row(
            "State",
            (
                Panel(
                    title="Breaker",
                    says="Open, paused: what is for the sink waits. Disabled (410): it is among the dead letters.",
                    unit="none",
                    kind="stat",
                    bounds=(1, 2),
                    states=("closed", "half-open", "open", "paused", "disabled"),
                    queries=((f"max by (sink) (pql_sink_breaker_state{OF_SINK})", "{{sink}}"),),
                ),
                Panel(
                    title="Oldest delivery waiting",
                    says="Of those in work.",
                    unit="s",
                    kind="stat",
                    bounds=(60, 900),
                    queries=((f"max by (sink) (pql_sink_oldest_pending_seconds{OF_SINK})", "{{sink}}"),),
                ),
                Panel(
                    title="Later than a minute in the last hour",
                    says="The objective allows 1 %.",
                    unit="percentunit",
                    kind="stat",
                    bounds=(0.01, 0.06),
                    queries=((f"pql:delivery_late:ratio_rate1h{OF_SINK}", "{{sink}}"),),
                ),
                Panel(
                    title="Daily calls left",
                    says="Of a Salesforce org, for all who use it.",
                    unit="percentunit",
                    kind="stat",
                    queries=((f"min by (sink) (pql_sink_calls_left_ratio{OF_SINK})", "{{sink}}"),),
                ),
                Panel(
                    title="Types",
                    says="What each sink is.",
                    unit="none",
                    kind="table",
                    queries=((f"max by (sink, type) (pql_sink_info{OF_SINK})", "{{sink}} {{type}}"),),
                ),
            ),
        ),
        Row(
            "Deliveries",
            (
                Panel(
                    title="Attempts by outcome",
                    says="later: will be tried again. unknown: sent, and no answer. duplicate: it was there already.",
                    unit="cps",
                    stacked=True,
                    queries=(
                        (
                            f"sum by (sink, outcome) (rate(pql_sink_deliveries_total{OF_SINK}[{RATE}]))",
                            "{{sink}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    title="Change to delivery, p50 and p99",
                    says="From the published record to the acknowledged request. The objective is a minute.",
                    unit="s",
                    queries=tuple(
                        (
                            (
                                f"histogram_quantile(0.{share}, sum by (sink, le) "
                                f"(rate(pql_sink_delivery_seconds_bucket{OF_SINK}[{RATE}])))"
                            ),
                            f"{{{{sink}}}} p{share}",
                        )
                        for share in ("50", "99")
                    ),
                ),
                Panel(
                    title="Given up, by reason",
                    says="On delivery-<sink>-dlq; pql-stream dlq list shows them.",
                    unit="short",
                    stacked=True,
                    queries=(
                        (
                            f"sum by (sink, reason) (increase(pql_sink_dead_letters_total{OF_SINK}[{RATE}]))",
                            "{{sink}} {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    title="Parked, superseded, repeated",
                    says="Put aside to wait alone; carried by a later one; sent again and perhaps there twice.",
                    unit="cps",
                    queries=(
                        (f"sum by (sink) (rate(pql_sink_parked_total{OF_SINK}[{RATE}]))", "{{sink}} parked"),
                        (f"sum by (sink) (rate(pql_sink_superseded_total{OF_SINK}[{RATE}]))", "{{sink}} superseded"),
                        (f"sum by (sink) (rate(pql_sink_repeats_total{OF_SINK}[{RATE}]))", "{{sink}} repeated"),
                    ),
                ),
            ),
        ),
        Row(
            "Queues",
            (
                Panel(
                    title="Waiting in Kafka",
                    says="Deliveries not done, those that are parked included.",
                    unit="short",
                    queries=(('sum by (topic) (pql_consumer_lag_records{topic=~".*delivery-.+"})', "{{topic}}"),),
                ),
                Panel(
                    title="Partitions that wait on purpose",
                    says="For a destination that is away, a limit, or a delivery that is not due.",
                    unit="short",
                    queries=(('sum by (topic) (pql_consumer_waiting{topic=~".*delivery-.+"})', "{{topic}}"),),
                ),
                Panel(
                    title="Dead letters not redriven",
                    says="PqlDeadLettersOld makes a ticket when one is older than a day.",
                    unit="short",
                    queries=(('max by (topic) (pql_dlq_depth_records{topic=~".*delivery-.+"})', "{{topic}}"),),
                ),
            ),
        ),
    ),
)
