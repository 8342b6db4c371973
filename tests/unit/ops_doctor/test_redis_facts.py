"""What doctor learns of a Redis, and what it says of it."""

import asyncio

import pytest

from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.ops.doctor import examine
from pql_stream.ops.redis_facts import SKEW_S_MAX, RedisFacts, read_redis_facts
from pql_stream.ops.settings import load_settings

GOOD = {"product": "Redis 8.0", "eviction": "noeviction", "appends": "1", "skew_s": 0.01}

DOUBTS = {
    "as it should be": ({}, []),
    "it forgets": ({"eviction": "allkeys-lru"}, ["maxmemory-policy is allkeys-lru"]),
    "it keeps nothing": ({"appends": "0"}, ["appendonly is no"]),
    "it tells nothing": (
        {"eviction": "", "appends": ""},
        ["it does not tell its maxmemory-policy", "it does not tell whether it keeps its rows"],
    ),
    "it is ahead": ({"skew_s": SKEW_S_MAX + 1}, ["its clock is 3.0 s ahead of"]),
    "it is behind": ({"skew_s": -SKEW_S_MAX - 1}, ["its clock is 3.0 s behind"]),
    "a slow answer": ({"skew_s": -SKEW_S_MAX}, []),
}


@pytest.mark.parametrize(("facts", "expected"), DOUBTS.values(), ids=DOUBTS.keys())
def test_every_doubt_says_what_to_do(facts, expected):
    """
    Nothing about a Redis that is as a ledger needs it; else each thing, with the next step.
    """
    doubts = list(RedisFacts(**GOOD | facts).doubts())

    assert len(expected) == len(doubts)
    assert all(told.startswith(beginning) for (told, _), beginning in zip(doubts, expected, strict=True))
    assert all(what_to_do for _, what_to_do in doubts)


async def test_a_real_redis_is_read(own_redis):
    """
    Product, eviction and persistence as it was started; its clock is ours, and another is told apart.
    """
    redis = RedisConnection(own_redis.url)
    here = await read_redis_facts(redis)
    elsewhere = await read_redis_facts(redis, clock=lambda: 1000.0)
    await redis.close()

    assert ("noeviction", "1") == (here.eviction, here.appends)
    assert here.product.split()[0] in {"Redis", "Valkey"}
    assert here.product.split()[1][0].isdigit()
    assert [] == list(here.doubts())
    assert elsewhere.skew_s > 1e9


SLACK = '[sinks.team]\ntype = "slack"\nwebhook_url = { env = "HOOK" }\n'


@pytest.fixture
def redis_finding(tmp_path, monkeypatch):
    """A function that gives what doctor finds of a Redis, for who delivers to Slack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/hidden")
    (tmp_path / "pql.toml").write_text(SLACK)

    def find(url):
        found = examine(load_settings({"PQL_HTTP_PORT": "0", "REDIS_URL": url}))
        [finding] = [one for one in found if one.subject == "redis"]
        return finding

    return find


def test_doctor_says_it_of_the_redis_of_the_settings(own_redis, redis_finding):
    """
    One that keeps its rows is fine, and its version is told.
    """
    finding = redis_finding(own_redis.url)

    assert ("ok", True) == (finding.state, "noeviction, appendonly, clock" in finding.text)


async def test_a_redis_that_may_not_be_asked_is_a_warning(own_redis, redis_finding):
    """
    A user without the right to INFO, as a managed service may have it: delivery works, and what to look at is told.
    """
    admin = RedisConnection(own_redis.url)
    await admin._redis.execute_command("ACL", "SETUSER", "ledger", "on", ">hidden", "~*", "+@all", "-info")
    await admin.close()
    finding = await asyncio.to_thread(redis_finding, own_redis.url.replace("unix://", "unix://ledger:hidden@"))

    assert "warning" == finding.state
    assert "it answers, and runs our scripts; how it is set up it does not tell" in finding.text
    assert "maxmemory-policy is noeviction and appendonly is yes" in finding.what_to_do
    assert "hidden" not in finding.text
