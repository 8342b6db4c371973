"""Recorded events to changes by the same core as the stream. Cannot import a sink."""
