"""
Simulated trial users of a product, for tests, demos and first tries.

The same arguments give the same bytes, on every machine: no clock is read, and all chance comes from
the seed. Whatever the seed, 40 leads are enough for every tier of the default pack.
"""

from __future__ import annotations

from pql_stream.testing.simulation.forms import FORMS, Activity, Form, encode, lead_id_of
from pql_stream.testing.simulation.schedule import SimulatedEvent, simulate
from pql_stream.testing.simulation.trials import DAYS_MAX, DEFAULT_START_MS

__all__ = [
    "DAYS_MAX",
    "DEFAULT_START_MS",
    "FORMS",
    "Activity",
    "Form",
    "SimulatedEvent",
    "encode",
    "lead_id_of",
    "simulate",
]
