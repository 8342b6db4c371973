"""
How the cost of an event grows, as one SVG: JSON of a benchmark on stdin, the file to write as the argument.

Runs in the benchmark's own environment, which has matplotlib, and so imports nothing of the project.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PANELS = (
    ("partitions", "partitions", {"workers": 1}),
    ("workers", "workers, 12 partitions", {"partitions": 12}),
    ("leads", "leads", {"partitions": 4, "workers": 1}),
    ("event_bytes", "bytes an event", {"partitions": 4, "workers": 1}),
)
"""What varies, how it is called, and what stays."""
LOGARITHMIC_FROM = 100
USUAL = {"leads": 10_000, "event_bytes": 300}

Runs = list[dict[str, Any]]


def curve(runs: Runs, varied: str, fixed: dict[str, int]) -> dict[int, list[float]]:
    """Value of *varied* -> CPU microseconds an event of its repetitions, where all else is as usual."""
    wanted = {name: value for name, value in (USUAL | fixed).items() if name != varied}
    found: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        case = run["case"]
        if run["throughput"] is not None and all(case[name] == value for name, value in wanted.items()):
            # Seconds a million events are microseconds an event.
            found[case[varied]].append(run["throughput"]["cpu_s_per_million"])
    return dict(sorted(found.items()))


def draw(axes: Axes, points: dict[int, list[float]], label: str) -> None:
    """The medians, with a bar from the least to the greatest."""
    at = list(points)
    medians = [statistics.median(points[x]) for x in at]
    below = [median - min(points[x]) for x, median in zip(at, medians, strict=True)]
    above = [max(points[x]) - median for x, median in zip(at, medians, strict=True)]
    axes.errorbar(at, medians, yerr=[below, above], marker="o", capsize=3, color="#1f5fa8")
    if at and at[-1] >= LOGARITHMIC_FROM * at[0]:
        axes.set_xscale("log")
    axes.set_xticks(at, [f"{x:,}" for x in at])
    axes.minorticks_off()
    axes.set_xlabel(label)
    axes.grid(visible=True, alpha=0.3)


def main() -> None:
    """Draw the four panels."""
    runs: Runs = json.load(sys.stdin)["growth"]
    mpl.rcParams["svg.hashsalt"] = "pql-stream"  # equal input, equal bytes
    figure, panels = plt.subplots(1, len(PANELS), figsize=(12, 3), sharey=True, layout="constrained")
    for axes, (varied, label, fixed) in zip(panels, PANELS, strict=True):
        draw(axes, curve(runs, varied, fixed), label)
    panels[0].set_ylim(bottom=0, top=1.1 * max(axes.dataLim.ymax for axes in panels))  # one scale for all
    panels[0].set_ylabel("CPU, µs an event")
    figure.savefig(sys.argv[1], format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
