"""When Python's garbage collector is to look for cycles, where events are handled by the million."""

from typing import Final

GC_THRESHOLD: Final = 50_000, 20, 50
"""
Containers that may be made, less those that went, before the collector looks for cycles; then its older generations.

A batch makes tens of thousands of containers and frees them at its end, none of them in a cycle. With Python's 700
the collector ran hundreds of times a batch and took a third of a worker's time, and a fifth of a replay's. The price:
cycles, which exceptions and tasks leave, lie about for longer.
"""
