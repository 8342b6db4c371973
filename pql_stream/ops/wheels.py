"""Whether the packages with compiled parts can be loaded on this machine."""

from __future__ import annotations

import importlib
from importlib.metadata import version

from pql_stream.errors import PqlError

_MODULES = {
    "confluent_kafka.cimpl": "confluent-kafka",
    "aiokafka.record._crecords": "aiokafka",
    "rocksdict.rocksdict": "rocksdict",
    "cramjam": "cramjam",
    "cryptography.hazmat.bindings._rust": "cryptography",
    "css_inline": "css-inline",
    "msgspec._core": "msgspec",
    "orjson": "orjson",
    "pydantic_core": "pydantic-core",
    "xxhash": "xxhash",
}
"""Compiled module -> its package. Without aiokafka's the worker would run, at a fraction of its speed."""


def check_wheels() -> str:
    """
    The packages that were loaded.

    Raises:
        PqlError: some cannot be loaded.
    """
    broken = []
    for module, package in _MODULES.items():
        try:
            importlib.import_module(module)
        except ImportError as exc:
            broken.append(f"{package}: {exc}")
    if broken:
        raise PqlError(
            f"{len(broken)} compiled packages cannot be loaded",
            why="; ".join(broken),
            what_to_do="install pql-stream anew with pip and wheels for this machine: CPython, glibc 2.28 or newer",
        )
    return ", ".join(f"{package} {version(package)}" for package in _MODULES.values())
