"""When what is new to the garbage collector is looked through."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pql_stream.stream.garbage import RECORDS, Garbage


@pytest.fixture
def collected() -> Iterator[list[int]]:
    """The generations that are looked through, and none of them by itself."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.disable()
    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.enable()


def test_the_young_are_looked_through_every_so_many_records(collected):
    """Small batches add up, a large one counts at once, and older generations are left alone."""
    garbage = Garbage()
    for _ in range(3):
        garbage.handled(RECORDS // 3)
    none_yet = list(collected)
    garbage.handled(RECORDS // 3)
    garbage.handled(RECORDS * 10)
    garbage.handled(1)

    assert [] == none_yet
    assert [0, 0] == collected
