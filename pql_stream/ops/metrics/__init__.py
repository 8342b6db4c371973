"""
The worker's numbers for Prometheus.

Every label comes from a closed set: topics, partitions, stages, reasons, tiers, packs, sinks, outcomes, and the event
names that the pack knows. Never a lead, an account, an event id or a text that came from outside.
"""
