"""Numbers as people read them, and bars."""

import pytest

from pql_stream.ops.whatif.charts import _scale
from pql_stream.ops.whatif.terminal import bar
from pql_stream.ops.whatif.words import points, share, signed, signed_points


@pytest.mark.parametrize(
    ("hundredths", "shown"),
    [
        (0, "0"),
        (500, "5"),
        (1498, "14.98"),
        (1490, "14.9"),
        (10_000, "100"),
        (1000, "10"),
        (5, "0.05"),
        (None, "-"),
    ],
)
def test_points(hundredths, shown):
    """As few decimals as there are; a dash where there is no such rule."""

    assert shown == points(hundredths)


def test_signs():
    """More and less are seen, and no change has no sign."""

    assert ["+1,200", "-3", "0"] == [signed(1200), signed(-3), signed(0)]
    assert ["+12", "-0.05", "0"] == [signed_points(1200), signed_points(-5), signed_points(0)]


@pytest.mark.parametrize(
    ("count", "total", "shown"),
    [
        (0, 0, "0%"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (44, 560, "7.86%"),
        (1, 2, "50%"),
        (1, 10_000_000, "0.01%"),
        (9_999_999, 10_000_000, "99.99%"),
    ],
)
def test_share(count, total, shown):
    """What is there is never 0%, what is not all never 100%."""

    assert shown == share(count, total)


@pytest.mark.parametrize(
    ("part", "blocks", "ascii_bar"),
    [
        (0, "", ""),
        (1, "████", "####"),
        (0.5, "██", "##"),
        (0.0001, "▏", "#"),
        (0.28, "█▏", "#"),
        (0.97, "███▉", "####"),
    ],
)
def test_bars(part, blocks, ascii_bar):
    """In eighths of a cell; what is not nothing is seen; without Unicode in whole cells."""

    assert (blocks, ascii_bar) == (bar(part, 4, ascii_only=False), bar(part, 4, ascii_only=True))


@pytest.mark.parametrize(
    ("most", "scale"),
    [
        (0, (1, 1)),
        (1, (1, 1)),
        (5, (5, 1)),
        (6, (6, 2)),
        (23, (25, 5)),
        (412, (500, 100)),
        (1_000_001, (1_500_000, 500_000)),
    ],
)
def test_scale(most, scale):
    """Round numbers, at most five above the zero."""

    assert scale == _scale(most)
