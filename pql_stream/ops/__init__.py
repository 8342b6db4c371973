"""The composition root: settings, command line, metrics, logging, health, local brokers, demo."""
