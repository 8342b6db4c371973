"""Rows of the lead table: states there and back, and everything that is no row."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pql_stream.core.packs import CompiledPack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidState
from pql_stream.testing.builders import product_event
from pql_stream.wire.rows import dump_state, load_state, row_identity
from tests.unit.core.every_kind import DAY_MS, EVERY_KIND, JAN_5_MS, event_lists, every_kind

PACK = every_kind()
_encode = msgspec.msgpack.encode


def state_after(stream) -> LeadState | None:
    state = None
    for event in stream:
        state = advance(state, event, PACK).state
    return state


FULL = (
    *(
        product_event("used", thing=thing, occurred_at_ms=JAN_5_MS + n * DAY_MS, event_id=thing, account_id="acme")
        for n, thing in enumerate("abc")
    ),
    product_event("used", thing="z", event_id="ü", topic="another-topic", partition=3),
    product_event("paid", event_id="e9", topic="another-topic"),
    product_event("told", level="high", size=12),
    product_event("measured", load=3.5),
)
FULL_ROW = dump_state(state_after(FULL), PACK)
FEATURES = msgspec.msgpack.decode(FULL_ROW)[6]


def row_with(place: int, value) -> bytes:
    """A good row with one field replaced."""
    fields = msgspec.msgpack.decode(FULL_ROW)
    fields[place] = value
    return _encode(fields)


@given(event_lists.filter(bool))
@example(list(FULL))
def test_a_state_survives_its_row(stream):
    """Whatever state events can lead to, it comes back equal, and its row byte for byte."""
    state = state_after(stream)
    row = dump_state(state, PACK)

    assert state == load_state(row, PACK)
    assert row == dump_state(load_state(row, PACK), PACK)


@given(stream=event_lists.filter(bool), data=st.data())
def test_scoring_goes_on_from_a_row(stream, data):
    """Through a row at any point the stream makes the same states and changes as without."""
    split = data.draw(st.integers(1, len(stream)))
    kept = state_after(stream[:split])
    loaded = load_state(dump_state(kept, PACK), PACK)
    for event in stream[split:]:
        with_row, without = advance(loaded, event, PACK), advance(kept, event, PACK)
        assert (without.change, without.qualification) == (with_row.change, with_row.qualification)
        loaded, kept = with_row.state, without.state

    assert dump_state(kept, PACK) == dump_state(loaded, PACK)


def test_the_layout_of_version_3():
    """The bytes of a row are a contract with the changelog topic: this layout, or another version."""
    state = state_after(
        [product_event("told", level="low", size=7, account_id="acme", event_id="é", partition=2, offset=5)]
    )

    cause = '{"event_id":"é","topic":"product-activity","partition":2,"offset":5}'.encode()
    assert [
        3, "every-kind", 3, JAN_5_MS, JAN_5_MS, [JAN_5_MS, "é", "acme"],
        [b"", b"", None, None, [JAN_5_MS, "é", "low"], [JAN_5_MS, "é", 7], None, None, None],
        [0, 0, 0, 333, 0, 0, 707],
        [b"null", b"null", b"null", cause, b"null", b"null", cause],
        1, 0,
    ] == msgspec.msgpack.decode(dump_state(state, PACK))  # fmt: skip


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x91" * 100_000)
@example(b"\x81\x01" * 100_000)
@example(b"\x91\xa1\xff")
@example(b"\x81\x90\x01")
@example(b"\x90")
@example(b"\x80")
@example(b"\xc0")
@example(b"\x01")
@example(b"\xc7\x0c\xff" + b"\xff" * 12)
@example(row_with(6, [b"\x91" * 100_000] * 9))
def test_any_bytes_are_a_state_or_an_invalid_state(row):
    """Whatever lies in the table, loading gives a state or InvalidState, and nothing else."""
    try:
        state = load_state(row, PACK)
    except InvalidState:
        return
    assert isinstance(state, LeadState)


@given(data=st.data())
def test_a_damaged_row_is_a_state_or_an_invalid_state(data):
    """A good row with any of its bytes changed, or its end missing, gives a state or InvalidState."""
    damaged = bytearray(FULL_ROW)
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        state = load_state(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]), PACK)
    except InvalidState:
        return
    assert isinstance(state, LeadState)


@pytest.mark.parametrize(
    "row",
    [
        row_with(0, value=True),
        row_with(0, "1"),
        row_with(1, 5),
        row_with(3, "2026"),
        row_with(5, "acme"),
        row_with(5, [1, "e1"]),
        row_with(6, []),
        row_with(6, [b""] * len(EVERY_KIND.features)),
        row_with(6, FEATURES[:-1]),
        row_with(6, [["e1"], *FEATURES[1:]]),
        row_with(7, [0] * (len(EVERY_KIND.rules) + 1)),
        row_with(7, [0.5] * len(EVERY_KIND.rules)),
        row_with(8, []),
        row_with(8, [b"null"] * (len(EVERY_KIND.rules) - 1)),
        row_with(8, [["e1", "t", 0, 0]] * len(EVERY_KIND.rules)),
        row_with(9, None),
        _encode([3]),
        FULL_ROW[:-1],
        FULL_ROW + b"\x00",
    ],
    ids=[
        "version true", "version text", "pack", "time", "account", "account cut", "no features",
        "features of another kind", "features cut", "a set of texts", "too many points", "half points", "no refs",
        "refs cut", "refs as arrays", "sequence", "one field", "cut", "longer",
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused(row):
    """Fields that do not fit are found at the row, not later in the scoring."""
    with pytest.raises(InvalidState, match="cannot be read") as caught:
        load_state(row, PACK)

    assert caught.value.why
    assert caught.value.what_to_do


@pytest.mark.parametrize(
    "row",
    [row_with(0, 5), _encode([5, {"another": "layout"}]), _encode([5])],
    ids=["same layout", "another layout", "nothing else"],
)
def test_a_row_of_a_later_version_is_refused(row):
    """Whatever a later version looks like, its number is named."""
    with pytest.raises(InvalidState, match="version 5; this program reads 3 and 4") as caught:
        load_state(row, PACK)

    assert "newer" in caught.value.why


@pytest.mark.parametrize("version", [1, 2])
def test_a_row_of_an_earlier_version_is_refused(version):
    """Nothing is guessed of it, and it is said which way is out."""
    with pytest.raises(InvalidState, match=f"version {version}; this program reads 3 and 4") as caught:
        load_state(row_with(0, version), PACK)

    assert "older" in caught.value.why
    assert "replay" in caught.value.what_to_do


@pytest.mark.parametrize(
    "changes",
    [{"name": "every-other"}, {"version": 4}, {"name": "shorter", "rules": EVERY_KIND.rules[:1]}],
    ids=["name", "version", "other rules too"],
)
def test_a_row_of_another_pack_is_refused(changes):
    """A row made by another pack, or another version of it, is refused with both named."""
    pack = CompiledPack(msgspec.structs.replace(EVERY_KIND, **changes))

    with pytest.raises(InvalidState, match=f"pack every-kind version 3, not {pack.name} version {pack.version}"):
        load_state(FULL_ROW, pack)


def test_a_pack_edited_under_its_version_is_refused():
    """Features that were added without a new version do not fit the rows, and that is said."""
    pack = CompiledPack(msgspec.structs.replace(EVERY_KIND, features=(*EVERY_KIND.features, EVERY_KIND.features[0])))

    with pytest.raises(InvalidState, match="cannot be read"):
        load_state(FULL_ROW, pack)


def test_a_row_says_which_pack_made_it():
    """Name and version are read without the pack, so that whoever has another one can be told."""

    assert ("every-kind", 3) == row_identity(FULL_ROW)


@pytest.mark.parametrize("row", [b"", row_with(0, 5)], ids=["no row", "a later version"])
def test_what_is_no_row_says_nothing(row):
    """What load_state would refuse for its form has no identity either."""
    with pytest.raises(InvalidState):
        row_identity(row)
