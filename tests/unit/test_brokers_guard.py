"""The tests' own guard: no test meets the user's cluster, or the user's Redis."""

import os

from tests.conftest import pytest_configure


def test_the_users_cluster_and_settings_are_out_of_reach(monkeypatch, pytestconfig):
    """
    Whatever KAFKA_*, PQL_* and REDIS_* the session was started with is gone, but for the test servers and the cache.
    """
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SASL_PASSWORD", "PQL_PACK", "REDIS_URL"):
        monkeypatch.setenv(name, "theirs")
    for name in ("PQL_TEST_BOOTSTRAP_SERVERS", "PQL_TEST_REDIS_URL", "PQL_KAFKA_CACHE"):
        monkeypatch.setenv(name, "ours")

    pytest_configure(pytestconfig)

    assert {"PQL_TEST_BOOTSTRAP_SERVERS", "PQL_TEST_REDIS_URL", "PQL_KAFKA_CACHE"} == {
        name for name in os.environ if name.startswith(("KAFKA_", "PQL_", "REDIS_"))
    }
