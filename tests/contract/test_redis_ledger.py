"""The ledger's Redis: away, back, emptied, frozen, full; what is in it, and what is not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from pql_stream.delivery.ledger import Known, Ref, Row, Settlement
from pql_stream.delivery.limits import Rate
from pql_stream.delivery.redis_connection import CALLS_AT_ONCE_MAX, RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.delivery.redis_limits import RedisLimiter
from pql_stream.errors import InvalidState, LedgerAway
from pql_stream.ops.brokers.redis import EmbeddedRedis
from tests.redis_space import connected

REFS = [Ref(f"{number:032x}", f"lead-{number}", number) for number in range(100)]
ONE, TWO = REFS[:2]
SHORT_S = 0.1
"""How long a call waits for a Redis that is frozen on purpose."""


def ledger_on(connection: RedisConnection, prefix: str = "") -> RedisLedger:
    return RedisLedger(connection, prefix=prefix, sink="crm")


async def claim(ledger: RedisLedger, *refs: Ref, owner: str = "a", at_ms: int = 1) -> list[str]:
    return list(await ledger.claim("topic-0", owner, refs, at_ms=at_ms, note_repeats=[True] * len(refs)))


CALLS: dict[str, Callable[[RedisConnection], Awaitable[object]]] = {
    "take_over": lambda connection: ledger_on(connection).take_over("topic-0", "a"),
    "look_up": lambda connection: ledger_on(connection).look_up([ONE]),
    "claim": lambda connection: claim(ledger_on(connection), ONE),
    "settle": lambda connection: ledger_on(connection).settle("topic-0", "a", [Settlement(ONE, "refused")]),
    "park": lambda connection: ledger_on(connection).park("topic-0", "a", [ONE]),
    "repeats": lambda connection: ledger_on(connection).repeats(),
    "disable": lambda connection: ledger_on(connection).disable("url", 1),
    "disabled_at_ms": lambda connection: ledger_on(connection).disabled_at_ms("url"),
    "enable": lambda connection: ledger_on(connection).enable("url"),
    "acquire": lambda connection: RedisLimiter(connection, Rate(1, 1.0), prefix="", sink="crm").acquire("key", 1),
}


@asynccontextmanager
async def server_that_says(answer: bytes) -> AsyncIterator[str]:
    """The URL of a server that answers *answer* to whatever comes, and hangs up where that is not a whole answer."""

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(answer)
            await writer.drain()
            if not answer.endswith(b"\r\n"):
                break
        writer.close()

    server = await asyncio.start_server(answer_all, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_refused_connection_is_the_ledger_away(call, tmp_path):
    """
    Where nobody listens, every method says that the ledger is away.
    """
    async with connected(f"unix://{tmp_path}/nobody") as connection:
        with pytest.raises(LedgerAway):
            await call(connection)


@pytest.mark.parametrize(
    "answer",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on disk.\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-ERR max number of clients reached\r\n",
        b"$100\r\nhalf an ans",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=lambda answer: answer.split()[0].decode(),
)
async def test_a_redis_that_cannot_work_is_the_ledger_away(answer):
    """
    Whatever keeps Redis from doing what it is asked, delivery is to wait for it.
    """
    async with server_that_says(answer) as url, connected(url) as connection:
        with pytest.raises(LedgerAway):
            await claim(ledger_on(connection), ONE)


async def test_a_real_replica_and_a_full_redis_are_the_ledger_away_and_come_back(own_redis):
    """
    A failover and a full memory end by themselves, and so does the pause.
    """
    raw = Redis.from_url(own_redis.url)
    async with connected(own_redis.url) as connection:
        ledger = ledger_on(connection)
        await raw.replicaof("127.0.0.1", "1")
        with pytest.raises(LedgerAway):
            await claim(ledger, ONE)
        await raw.replicaof("NO", "ONE")
        await raw.config_set("maxmemory", 1)
        with pytest.raises(LedgerAway):
            await claim(ledger, ONE)
        await raw.config_set("maxmemory", 0)

        assert ["first"] == await claim(ledger, ONE)
    await raw.aclose()


async def test_redis_killed_in_the_middle_comes_back_with_its_rows(own_redis):
    """
    After kill -9 and a new start the claim that nobody answered is made again, and nothing is forgotten.
    """
    async with connected(own_redis.url) as connection:
        ledger = ledger_on(connection)
        await claim(ledger, ONE, at_ms=1)
        own_redis.kill()
        with pytest.raises(LedgerAway):
            await claim(ledger, ONE, TWO, at_ms=2)
        with pytest.raises(LedgerAway):
            await ledger.look_up([ONE])
        own_redis.start()

        assert ["again", "first"] == await claim(ledger, ONE, TWO, at_ms=2)
        assert (ONE.delivery_id,) == (await ledger.repeats()).delivery_ids


async def test_calls_under_way_while_redis_is_killed_end(own_redis):
    """
    Each of many calls that the kill meets has its answer or says that the ledger is away; doing all of them again
    gives the answers that were lost.
    """
    async with connected(own_redis.url) as connection:
        ledger = ledger_on(connection)
        calls = [asyncio.create_task(claim(ledger, ref)) for ref in REFS]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        own_redis.kill()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        own_redis.start()

        assert {list, LedgerAway} >= {type(one) for one in ended}
        assert [["first"]] * len(REFS) == [await claim(ledger, ref) for ref in REFS]


async def test_an_emptied_redis_costs_a_repeat_and_no_delivery(redis_server):
    """
    A Redis that comes back without rows knows nothing: what was delivered would be sent again, and nothing is stuck.
    """
    with EmbeddedRedis() as emptied:
        async with connected(emptied.url) as connection:
            ledger = ledger_on(connection)
            await ledger.take_over("topic-0", "a")
            await claim(ledger, ONE, TWO)
            await ledger.settle("topic-0", "a", [Settlement(ONE, "delivered")])
            emptied.kill()
            with pytest.raises(LedgerAway):
                await ledger.repeats()
            emptied.start()
            await ledger.settle("topic-0", "a", [Settlement(TWO, "delivered")])

            assert ["first", "none"] == await claim(ledger, ONE, TWO, at_ms=2)


async def test_a_frozen_redis_is_away_and_its_late_answers_are_nobodys(own_redis):
    """
    A call gives up in time; the answer to it, when Redis wakes up, is not taken for that of the next call.
    """
    async with connected(own_redis.url, SHORT_S) as impatient, connected(own_redis.url) as patient:
        ledger = ledger_on(impatient)
        await claim(ledger, ONE)
        os.kill(own_redis.pid, signal.SIGSTOP)
        calls = [claim(ledger, ref, at_ms=2) for ref in REFS[1:]]
        frozen = await asyncio.gather(*calls, return_exceptions=True)
        os.kill(own_redis.pid, signal.SIGCONT)

        assert {LedgerAway} == {type(one) for one in frozen}
        known = await ledger_on(patient).look_up(REFS)
        assert known == await ledger_on(impatient).look_up(REFS)
        assert Known(Row("sending", "a", 1), None) == known[0]


async def test_cancelled_calls_leave_no_trace(own_redis):
    """
    More calls than there are places, cancelled while Redis is frozen: afterwards all places are free, and every
    answer is the right one.
    """
    async with connected(own_redis.url) as connection:
        ledger = ledger_on(connection)
        os.kill(own_redis.pid, signal.SIGSTOP)
        calls = [asyncio.create_task(ledger.repeats()) for _ in range(3 * CALLS_AT_ONCE_MAX)]
        await asyncio.wait(calls, timeout=SHORT_S)
        for call in calls:
            call.cancel()
        cancelled = await asyncio.gather(*calls, return_exceptions=True)
        os.kill(own_redis.pid, signal.SIGCONT)
        answers = await asyncio.gather(*(claim(ledger, ref) for ref in REFS))

        assert {asyncio.CancelledError} == {type(one) for one in cancelled}
        assert [["first"]] * len(REFS) == answers


async def test_a_batch_is_one_round_trip(redis_space):
    """
    However many deliveries: one command a batch, once Redis knows the script.
    """
    ledger = ledger_on(redis_space.connection, redis_space.prefix)

    async def batch(at_ms: int) -> None:
        await ledger.look_up(REFS)
        await claim(ledger, *REFS, at_ms=at_ms)
        await ledger.settle("topic-0", "a", [Settlement(ref, "pending") for ref in REFS])
        await ledger.park("topic-0", "a", REFS)

    async def scripts_run() -> int:
        return (await redis_space.raw.info("commandstats"))["cmdstat_evalsha"]["calls"]

    await batch(1)
    before = await scripts_run()
    await batch(2)

    assert 4 == await scripts_run() - before


async def test_nothing_personal_is_in_redis(redis_space):
    """
    Neither in a key nor in a value is a lead's id, which may be an e-mail address, nor a limit's channel.
    """
    ledger = ledger_on(redis_space.connection, redis_space.prefix)
    ref = Ref("1" * 32, "jane@example.com", 1)
    await claim(ledger, ref)
    await claim(ledger, ref, at_ms=2)
    await ledger.park("topic-0", "a", [ref])
    limiter = RedisLimiter(redis_space.connection, Rate(1, 60.0), prefix=redis_space.prefix, sink="crm")
    await limiter.acquire("jane@example.com", 1)

    keys = await redis_space.keys()
    dumps = [await redis_space.raw.dump(key) for key in keys]
    assert 7 == len(keys)
    assert [] == [text for text in keys + dumps if b"jane" in text or b"example" in text]


async def test_every_key_ends_by_itself(redis_space):
    """
    What the topics have forgotten, Redis forgets as well.
    """
    kept_s = 1_000.0
    ledger = RedisLedger(redis_space.connection, prefix=redis_space.prefix, sink="crm", kept_s=kept_s)
    await ledger.take_over("topic-0", "a")
    await claim(ledger, ONE, TWO)
    await claim(ledger, ONE, TWO, at_ms=2)
    await ledger.settle("topic-0", "a", [Settlement(ONE, "delivered"), Settlement(TWO, "pending")])
    await ledger.park("topic-0", "a", [TWO])

    left_s = [await redis_space.raw.pttl(key) / 1_000 for key in await redis_space.keys()]
    assert [pytest.approx(kept_s, abs=60)] * 7 == left_s


async def test_a_parked_delivery_whose_row_is_gone_holds_nobody_back(redis_space):
    """
    A row that expired or was evicted leaves its place at the head of its lead.
    """
    ledger = ledger_on(redis_space.connection, redis_space.prefix)
    later = Ref(TWO.delivery_id, ONE.lead_id, 5)
    await ledger.park("topic-0", "a", [ONE, later])
    await redis_space.raw.delete(f"pql:{redis_space.prefix}:crm:d".encode() + bytes.fromhex(ONE.delivery_id))

    assert [later.delivery_id] * 2 == [known.head for known in await ledger.look_up([ONE, later])]


@pytest.mark.parametrize("row", [b"\x20" + bytes(19), b"\x10", b""], ids=["version 2", "cut off", "empty"])
async def test_a_row_of_another_version_stops_us_before_anything_is_written(redis_space, row):
    """
    A row that this version cannot read is the operator's to see to; its batch has changed nothing.
    """
    ledger = ledger_on(redis_space.connection, redis_space.prefix)
    await redis_space.raw.set(f"pql:{redis_space.prefix}:crm:d".encode() + bytes.fromhex(TWO.delivery_id), row)

    for call in (
        lambda: claim(ledger, ONE, TWO),
        lambda: ledger.settle("topic-0", "a", [Settlement(ONE, "delivered"), Settlement(TWO, "delivered")]),
        lambda: ledger.park("topic-0", "a", [ONE, TWO]),
        lambda: ledger.look_up([ONE, TWO]),
    ):
        with pytest.raises(InvalidState):
            await call()
    assert 1 == len(await redis_space.keys())


async def test_pipelines_and_sinks_that_share_a_redis_do_not_see_each_other(redis_space):
    """
    The same delivery id is another delivery under another topic prefix, and at another sink.
    """
    connection, prefix = redis_space.connection, redis_space.prefix
    ledgers = [
        RedisLedger(connection, prefix=one, sink=sink)
        for one, sink in ((prefix, "crm"), (prefix, "chat"), (f"{prefix}:b", "crm"))
    ]

    assert [["first"]] * 3 == [await claim(ledger, ONE, at_ms=at_ms) for at_ms, ledger in enumerate(ledgers)]


async def test_a_long_detail_is_cut(redis_space):
    """
    What a sink has to say cannot make a row large, and is not cut within a letter.
    """
    ledger = ledger_on(redis_space.connection, redis_space.prefix)
    await claim(ledger, ONE)
    await ledger.settle("topic-0", "a", [Settlement(ONE, "refused", detail="é" * 200)])

    assert "é" * 50 == (await ledger.look_up([ONE]))[0].row.detail


async def test_a_delivery_takes_little_room(own_redis):
    """
    A finished delivery is 127 bytes of Valkey 9, all told; elsewhere about as many.
    """
    raw = Redis.from_url(own_redis.url)
    async with connected(own_redis.url) as connection:
        ledger = RedisLedger(connection, prefix="", sink="hubspot")
        owner = "worker-7d9f8c6b5-x2x4q:1:6f1d0f9e3a"
        await ledger.claim("delivery-hubspot-0", owner, [ONE], at_ms=1, note_repeats=[False])
        before = (await raw.info("memory"))["used_memory"]
        for start in range(0, 20_000, 1_000):
            refs = [Ref(os.urandom(16).hex(), f"lead-{number}", number) for number in range(start, start + 1_000)]
            await ledger.claim(
                "delivery-hubspot-0", owner, refs, at_ms=1_790_000_000_000, note_repeats=[False] * len(refs)
            )
            await ledger.settle("delivery-hubspot-0", owner, [Settlement(ref, "delivered") for ref in refs])
        after = (await raw.info("memory"))["used_memory"]
    await raw.aclose()

    assert (after - before) / 20_000 < 160
