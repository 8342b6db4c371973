"""The states of leads in front of their table: what is kept, for how long, and when it is not believed any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidState
from pql_stream.stream.leads import Leads
from pql_stream.stream.roles import Roles
from pql_stream.testing.builders import product_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import dump_state

PACK = compile_pack(load_pack("pql-100"))


class Table:
    """Rows, and which of them were asked for; `acknowledged` lets writes end."""

    def __init__(self) -> None:
        self.term = 1
        self.rows: dict[tuple[int, bytes], bytes] = {}
        self.asked: list[bytes] = []
        self.looks = 0
        self.acknowledged = asyncio.Event()
        self.acknowledged.set()

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        wanted = list(keys)
        self.asked += wanted
        self.looks += 1
        return {key: self.rows[partition, key] for key in wanted if (partition, key) in self.rows}

    async def write_many(self, partition: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        await self.acknowledged.wait()
        self.rows |= {(partition, key): row for key, row in items if row is not None}


def state(posts: int = 1) -> LeadState:
    """A lead with so many posts, all made in the same moment."""
    made = None
    for number in range(posts):
        made = advance(made, product_event("community_post", post_id=f"p{number}"), PACK).state
    assert made is not None
    return made


@pytest.fixture
async def table() -> Table:
    return Table()


async def test_what_was_stored_is_known_without_its_row(table):
    """A lead that is seen again costs no look into the table."""
    leads = Leads(table, Roles.alone(PACK), 10)
    await leads.store(0, {"u1": state()})

    assert state() == leads.of(0)("u1")
    assert [] == table.asked


async def test_a_row_is_read_once(table):
    """What was read stays known, also when the lead did not change."""
    table.rows[0, b"u1"] = dump_state(state(), PACK)
    leads = Leads(table, Roles.alone(PACK), 10)

    assert [state(), state(), None] == [leads.of(0)("u1"), leads.of(0)("u1"), leads.of(0)("u2")]
    assert [b"u1", b"u2"] == table.asked


async def test_rows_of_a_batch_are_read_together(table):
    """What is expected next is read with a row that is missing, each once, but not what is known already."""
    table.rows |= {(0, b"u%d" % number): dump_state(state(), PACK) for number in range(1_000)}
    leads = Leads(table, Roles.alone(PACK), 2_000)
    await leads.store(0, {"u7": state(2)})
    ids = [number % 1_000 for number in range(2_000)]
    known = leads.of(0, [b"u%d" % number for number in ids])

    assert [state(2 if number == 7 else 1) for number in ids] == [known(f"u{number}") for number in ids]
    assert [b"u%d" % number for number in range(1_000) if number != 7] == table.asked
    assert 4 == table.looks


async def test_what_is_expected_may_be_wrong(table):
    """Records without a key, under a key that is no text, or of another lead than their key says."""
    table.rows |= {(0, b"u1"): dump_state(state(1), PACK), (0, b"u2"): dump_state(state(2), PACK)}
    known = Leads(table, Roles.alone(PACK), 10).of(0, [None, b"\xff", b"u3", b"u2"])

    assert [state(1), None, state(2), None] == [known("u1"), known("u4"), known("u2"), known("u3")]


async def test_partitions_do_not_share_their_leads(table):
    """A lead may have a row on two partitions, where a record was forwarded to a wrong one."""
    leads = Leads(table, Roles.alone(PACK), 10)
    await leads.store(0, {"u1": state()})

    assert None is leads.of(1)("u1")


async def test_nothing_is_known_before_it_is_durable(table):
    """A state whose changelog record is not acknowledged yet is not given out."""
    leads = Leads(table, Roles.alone(PACK), 10)
    table.acknowledged.clear()
    storing = asyncio.ensure_future(leads.store(0, {"u1": state()}))
    await asyncio.sleep(0)

    assert None is leads.of(0)("u1")

    table.acknowledged.set()
    await storing

    assert state() == leads.of(0)("u1")


async def test_in_a_new_term_nothing_is_believed(table):
    """After a rebalance another worker may have written the rows: they are read again."""
    leads = Leads(table, Roles.alone(PACK), 10)
    await leads.store(0, {"u1": state(1)})
    table.rows[0, b"u1"] = dump_state(state(2), PACK)
    table.term += 1

    assert state(2) == leads.of(0)("u1")


async def test_a_write_of_an_old_term_is_not_believed_in_the_new_one(table):
    """A write that was under way while partitions were dealt anew says nothing of their rows."""
    leads = Leads(table, Roles.alone(PACK), 10)
    table.acknowledged.clear()
    storing = asyncio.ensure_future(leads.store(0, {"u1": state(1)}))
    await asyncio.sleep(0)
    table.term += 1
    leads.of(0)
    table.acknowledged.set()
    await storing
    table.rows[0, b"u1"] = dump_state(state(2), PACK)

    assert state(2) == leads.of(0)("u1")


async def test_what_is_kept_is_bounded(table):
    """A stream of ever new leads keeps the last ones, at most twice the least and a batch; over all partitions."""
    leads = Leads(table, Roles.alone(PACK), 10)
    for number in range(100):
        await leads.store(number % 4, {f"u{number}": state()})
    table.asked.clear()
    for number in reversed(range(100)):
        leads.of(number % 4)(f"u{number}")

    assert 100 - 22 <= len(table.asked) <= 100 - 10


async def test_leads_that_are_only_read_are_bounded_too(table):
    """Batches that change nothing, as when a stream is read again, keep no more than others."""
    table.rows |= {(0, b"u%d" % number): dump_state(state(), PACK) for number in range(100)}
    leads = Leads(table, Roles.alone(PACK), 10)
    for number in range(100):
        leads.of(0)(f"u{number}")
    table.asked.clear()
    for number in range(100):
        leads.of(0)(f"u{number}")

    assert 100 == len(table.asked)


async def test_a_lead_that_is_needed_stays(table):
    """New leads push out those that are not asked for, and no others."""
    leads = Leads(table, Roles.alone(PACK), 10)
    await leads.store(0, {"regular": state()})
    for number in range(100):
        await leads.store(0, {f"u{number}": state()})
        leads.of(0)("regular")

    assert [] == table.asked


async def test_a_row_of_a_later_version_is_refused(table):
    """A row that this program cannot read stops the worker: going on would score wrongly."""
    table.rows[0, b"u1"] = b"\x91\x63"  # [99]

    with pytest.raises(InvalidState, match="version 99"):
        Leads(table, Roles.alone(PACK), 10).of(0)("u1")
