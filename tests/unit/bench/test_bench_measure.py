"""Rates from samples of committed offsets."""

from tests.bench.measure import Sample, of_samples


def test_the_rate_is_of_the_second_half():
    """A slow first half, a JIT that warms up, does not count, and neither does the wait for the last commit."""
    slow = [Sample(at_s=10.0 * n, committed=100 * n, cpu_s=9.0 * n) for n in range(6)]
    fast = [Sample(at_s=50 + n, committed=500 + 100 * n, cpu_s=45 + 0.5 * n) for n in range(1, 5)]
    last = [Sample(at_s=99, committed=1_000, cpu_s=47.5)]

    found = of_samples([*slow, *fast, *last], events=1_000, memory_peak_mb=7)

    assert (100.0, 5_000.0, False) == (found.events_per_s, found.cpu_s_per_million, found.is_short)
    assert (89, 7) == (found.seconds, found.memory_peak_mb)


def test_too_few_commits_make_a_short_run():
    """A run that is over within a commit or two says nothing about speed, and says so."""
    samples = [Sample(at_s=0, committed=0, cpu_s=0), Sample(at_s=4, committed=1_000, cpu_s=2)]

    found = of_samples(samples, events=1_000, memory_peak_mb=0)

    assert (True, 250.0) == (found.is_short, found.events_per_s)
