"""The page that all numbers of a process are on, and those that belong to no app alone."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

import pql_stream
from pql_stream.ops.metrics.partitions import AppPartitions, GroupNumbers, PartitionsCollector
from pql_stream.ops.metrics.watching import AppDepths, DepthsCollector


class MetricsPage:
    """
    Numbers of one process as Prometheus reads them. *clock* gives seconds since 1970.

    Each page has its own registry, so two of them in one process do not meet.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        # Process-wide, and before any counter: `_created` doubles the series of a page and nothing reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type here
        self.registry = CollectorRegistry(auto_describe=True)
        self.clock = clock
        self._group = GroupNumbers(self.registry)
        self._partitions = PartitionsCollector(clock)
        self.registry.register(self._partitions)
        self._depths = DepthsCollector(clock)
        self.registry.register(self._depths)
        self._stalls = Gauge(
            "pql_worker_stalls",
            "What stands still, as /healthz says: above 0 the worker is to be restarted",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        build = Gauge("pql_build_info", "What runs: always 1", ["version", "python", "faust"], registry=self.registry)
        build.labels(
            version=pql_stream.__version__,
            python=platform.python_version(),
            faust=importlib.metadata.version("faust-streaming"),  # importing faust would parse sys.argv
        ).set(1)

    def partitions(self) -> AppPartitions:
        """Takes where the partitions of one more app are."""
        return AppPartitions(self._partitions, self._group)

    def depths(self) -> AppDepths:
        """Takes what lies on the dead-letter topics of one more app."""
        return AppDepths(self._depths)

    def stalls(self, count: Callable[[], int]) -> None:
        """Show how many stalls there are whenever the page is asked for."""
        self._stalls.set_function(count)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type: OpenMetrics if *accept* (an HTTP header) asks for it, else text."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
