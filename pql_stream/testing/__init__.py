"""Builders and simulated events for other people's tests."""
