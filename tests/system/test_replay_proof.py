"""The small form of `make replay-proof`, for `make proof`."""

import pytest

from tests.replay_proof.proving import Input, Proof

pytestmark = [pytest.mark.system, pytest.mark.proof]


def test_stream_and_replays_are_the_same_and_call_nobody(kafka, redis_url, topic_prefix, tmp_path):
    """
    Scores of all leads, and all changes of leads on one route, by stream, topic and file; no destination hears of it.
    """
    given = Input(events=6_000)
    proof = Proof(kafka.bootstrap, redis_url, prefix=topic_prefix, directory=tmp_path, given=given, wait_s=90)
    found = proof.run(print)

    assert [] == found.wrong
    assert found.several_routes
    assert all(found.requests.values())
