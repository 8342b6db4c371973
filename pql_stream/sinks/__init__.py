"""Destinations, one a file: one attempt, then one outcome per item. No retry, no sleep, no queue."""
