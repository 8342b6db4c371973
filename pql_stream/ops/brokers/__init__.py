"""Kafka brokers on this machine: embedded (in memory) and real (Apache Kafka from its Maven artifacts)."""
