"""
How a shadow pack comes to know what happened before it was there: old events are folded into what is incomplete.

Folds depend on neither order nor repetition, so old events may come beside new ones, and more than once. Features that
the live pack reads are left alone: nothing that is published changes.
"""

from __future__ import annotations

from msgspec.structs import replace

from pql_stream.core.changes import ShadowDifference, Standing
from pql_stream.core.events import ProductEvent
from pql_stream.core.lineups import Lineup
from pql_stream.core.packs import PackId
from pql_stream.core.refs import EventRef, encode_ref
from pql_stream.core.shadows import SwitchCause, difference_id, folded_features, gap_between, plain, rescored
from pql_stream.core.states import LeadState


def slots_to_fill(lineup: Lineup, shadow: PackId) -> int:
    """The slots that *shadow* reads, and the live pack does not, as bits."""
    place = [pack.id for pack in lineup.packs].index(shadow)
    return lineup.needs[place] & ~lineup.needs[0]


def fill(state: LeadState, event: ProductEvent, lineup: Lineup, slots: int) -> LeadState:
    """*state* with *event* in those of *slots* that are incomplete; the very object that went in if it says nothing."""
    wanted = slots & state.incomplete
    plan = tuple(step for step in lineup.plan(event.name) if wanted >> step[0] & 1)
    features, touched = folded_features(state.features, event, plan)
    if touched is None:
        return state
    ref = encode_ref(EventRef(event.event_id, event.topic, event.partition, event.offset))
    shadows = tuple(
        rescored(before, features, rules, ref) for before, rules in zip(state.shadows, touched[1:], strict=True)
    )
    return replace(plain(state), features=tuple(features), shadows=shadows)


def filled(
    lead_id: str, state: LeadState, lineup: Lineup, slots: int, cause: SwitchCause
) -> tuple[LeadState, tuple[ShadowDifference, ...]]:
    """
    *state* when all of its events are in *slots*; and where its packs stand now, if it was not complete before.

    While it was filled nothing was told: who follows the differences would have seen every step of it.
    """
    if not state.incomplete & slots:
        return state, ()
    after = replace(plain(state), incomplete=state.incomplete & ~slots)
    live = Standing(lineup.live, after.pack.points)
    told = []
    for place, (pack, own) in enumerate(zip(lineup.shadows, after.shadows, strict=True), 1):
        shadow = Standing(pack, own.points)
        # Where they agree on nothing at all there was never anything to tell.
        if lineup.needs[place] & slots and (gap_between(live, shadow) is not None or shadow.score):
            told.append(
                ShadowDifference(
                    difference_id(lead_id, cause.ref.event_id, live.pack.id, pack.id),
                    lead_id,
                    after.account_id,
                    live,
                    shadow,
                    not after.incomplete & lineup.needs[place],
                    live.tier != shadow.tier,
                    cause.asked_at_ms,
                    cause.ref,
                    cause.event,
                )
            )
    return after, tuple(told)
