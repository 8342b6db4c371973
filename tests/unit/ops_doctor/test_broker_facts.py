"""What doctor can tell of brokers, and what of the clocks of those who write to them."""

import pytest

from pql_stream.errors import BrokerError
from pql_stream.ops.broker_facts import AHEAD_S_MAX, read_release, records_ahead, release_of
from pql_stream.stream.connection import Connection

RELEASES = {
    (4, 18): "4.1",
    (4, 25): "4.1",
    (4, 17): "4.0",
    (0, 17): "3.9",
    (0, 16): "3.7",
    (0, 15): "3.5",
    (0, 14): "3.1",
    (0, 12): "2.7",
    (0, 11): "0.11",
    (0, 0): "0.11",
}


@pytest.mark.parametrize(("fetch", "release"), RELEASES.items(), ids=str)
def test_how_new_a_broker_is(fetch, release):
    """
    The versions of its fetch request tell, as far as they do.
    """
    assert release == release_of(fetch)


async def test_a_broker_is_asked(embedded_kafka):
    """
    The first that answers; its own word for what it can do.
    """
    bootstrap = embedded_kafka({"t": 1}).bootstrap

    assert await read_release(Connection(bootstrap=f"127.0.0.1:1,{bootstrap}"))


async def test_brokers_that_do_not_answer_are_told():
    """
    By the kind of error, which has no credentials in it.
    """
    with pytest.raises(BrokerError) as caught:
        await read_release(Connection(bootstrap="127.0.0.1:1,[::1]:1"))

    assert "ConnectionRefusedError" == caught.value.why


def test_records_of_the_future():
    """
    What is ahead by more than clocks differ names a topic and how far; what lies in the past, or is just written, none.
    """
    newest_ms = {"past": 1_000, "now": 100_000, "near": int(100_000 + AHEAD_S_MAX * 1000), "ahead": 160_000}

    assert [("ahead", 60.0)] == list(records_ahead(newest_ms, clock=lambda: 100.0))
