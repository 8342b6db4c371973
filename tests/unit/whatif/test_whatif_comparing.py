"""What holds for every comparison of two packs: the books balance, and a look from the other side sees the same."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pql_stream.core.pack_checks import pack_problems
from pql_stream.core.packs import Group, Tier, compile_pack
from pql_stream.core.refs import NO_REF
from pql_stream.core.routes import CANARY_LEAD_ID
from pql_stream.core.rules import Band
from pql_stream.delivery.dispatching import dispatch
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.replay.source import Recorded
from pql_stream.replay.whatif.comparing import REJECTED_KEPT_MAX
from pql_stream.replay.whatif.leads import ChangedLeads
from pql_stream.replay.whatif.report import Report, Routes, report_of
from pql_stream.replay.whatif.totals import Both
from pql_stream.replay.whatif.verdicts import Move
from pql_stream.testing.builders import Record, native_json
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed
from tests.unit.core.every_kind import EVERY_KIND
from tests.unit.whatif.whatif_world import CANDIDATE, PACKS, ROUTES, compared, recorded, streams

LADDER = (
    Tier("cold", 0, None, sales_ready=False),
    Tier("cool", 300, None, sales_ready=False),
    Tier("mild", 420, None, sales_ready=False),
    Tier("warm", 600, "later", sales_ready=False),
    Tier("hot", 950, "later", sales_ready=True),
)
OTHER_WAY: dict[Move, Move] = {"same": "same", "risen": "fallen", "fallen": "risen", "other": "other"}


def report(records, today=EVERY_KIND, then=CANDIDATE, routes=ROUTES) -> Report:
    return report_of(compared(records, today, then, routes), Routes(routes, None))


def test_the_packs_of_these_tests_are_fine_and_differ():
    """The properties are worth what the packs are: nothing wrong with either, in rules and tiers of their own."""

    assert [[], []] == [pack_problems(pack) for pack in PACKS]
    assert {"days"} == {r.name for r in EVERY_KIND.rules} - {r.name for r in CANDIDATE.rules}
    assert {"peak_load"} == {r.name for r in CANDIDATE.rules} - {r.name for r in EVERY_KIND.rules}


@given(stream=streams)
def test_the_books_balance(stream):
    """The matrix, the bars and the moves add up to the leads, and the rules' differences to those of the scores."""
    records = recorded(stream)
    comparison = compared(records)
    made = report_of(comparison, Routes(ROUTES, None))
    totals, leads = made.totals, len({event.lead_id for event in stream})

    assert leads == totals.leads == sum(map(sum, totals.matrix))
    assert (leads, leads) == (sum(totals.today_bins), sum(totals.then_bins))
    assert [leads] * 3 == [moves.total() for moves in (totals.tier, totals.qualified, totals.told_sales)]
    assert (leads, leads) == tuple(map(sum, totals.tiers()))
    assert totals.changed == len(list(made.leads.all()))
    for lead in made.leads.all():
        assert lead.then.score - lead.today.score == sum(rule.difference for rule in lead.rules)
        assert all(rule.difference for rule in lead.rules)
    gained = sum(sum(pair.then.pack.points) - sum(pair.today.pack.points) for pair in comparison.leads.values())
    assert gained == sum(rule.points for rule in totals.rules)
    # A report of a few leads has those that a full one begins with.
    assert list(made.leads.all())[:2] == made.leads.first(2)


@given(stream=streams)
def test_a_pack_against_itself_changes_nothing(stream):
    """Not a lead, not a point, not a delivery."""
    for pack in PACKS:
        made = report(recorded(stream), pack, pack)
        totals = made.totals

        assert made.no_difference
        assert [] == list(made.leads.all())
        assert (0, 0) == (totals.changed, totals.scores_differ)
        assert (0, 0) == (totals.newly_qualified, totals.no_longer_qualified)
        assert not any(both.difference for one in made.route_totals for both in (one.deliveries, one.leads))


@given(stream=streams)
def test_the_other_way_round_is_the_mirror_image(stream):
    """B against A says of every lead what A against B says, with today and then exchanged."""
    there, back = report(recorded(stream)), report(recorded(stream), CANDIDATE, EVERY_KIND)

    assert there.totals.matrix == [list(row) for row in zip(*back.totals.matrix, strict=True)]
    assert (there.totals.newly_qualified, there.totals.no_longer_qualified) == (
        back.totals.no_longer_qualified,
        back.totals.newly_qualified,
    )
    for moves, mirrored in (
        (there.totals.tier, back.totals.tier),
        (there.totals.qualified, back.totals.qualified),
        (there.totals.told_sales, back.totals.told_sales),
    ):
        assert moves == Counter({OTHER_WAY[move]: count for move, count in mirrored.items()})
    assert there.totals.changes == back.totals.changes
    assert [both for one in there.route_totals for both in (one.deliveries, one.leads)] == [
        Both(both.then, both.today) for one in back.route_totals for both in (one.deliveries, one.leads)
    ]
    assert list(map(facts_of, there.leads.all())) == list(map(mirrored_facts_of, back.leads.all()))


def facts_of(lead):
    rules = {rule.rule: (rule.today, rule.then, rule.reason) for rule in lead.rules}
    return lead.lead_id, lead.account_id, lead.today, lead.then, lead.verdict.changes, rules


def mirrored_facts_of(lead):
    rules = {rule.rule: (rule.then, rule.today, rule.reason) for rule in lead.rules}
    return lead.lead_id, lead.account_id, lead.then, lead.today, lead.verdict.changes, rules


class Alone:
    """One pack in a replay of its own."""

    def __init__(self, pack, records) -> None:
        self.pack = compile_pack(pack)
        self.replayer = Replayer(self.pack)
        self.announced = {}
        self.changes, self.qualifications = [], []
        for record in records:
            step = self.replayer.handle(record)
            assert not isinstance(step, Rejected)
            if step.change is not None:
                self.changes.append(encode_score_changed(step.change))
            if step.qualification is not None:
                lead_id = step.qualification.lead_id
                self.announced.setdefault(lead_id, []).append(step.qualification.tier)
                self.qualifications.append(encode_pql_qualified(step.qualification))

    def outcome(self, lead_id):
        score = sum(self.replayer.states[lead_id].pack.points)
        tier = self.pack.tier_of(score)
        return score, tier, tuple(self.announced.get(lead_id, ()))

    def said(self, lead_id):
        tiers = {tier.name: tier for tier in self.pack.tiers}
        return {(name, tiers[name].handoff, tiers[name].sales_ready) for name in self.announced.get(lead_id, ())}

    def deliveries(self):
        """What the dispatcher itself makes of the records, by route."""
        found = Counter()
        for kind, values in (("score-changed", self.changes), ("pql-qualified", self.qualifications)):
            records = [Record(kind, 0, place, 0, None, value) for place, value in enumerate(values)]
            for of_sink in dispatch(kind, records, ROUTES).deliveries.values():
                found.update((one["route"], one["lead_id"]) for one in (orjson.loads(out.value) for out in of_sink))
        return found


TOP_ONLY = tuple(route for route in ROUTES if not any("." in asked.path for asked in route.where))


@given(stream=streams, routes=st.sampled_from([ROUTES, TOP_ONLY]))
def test_two_separate_replays_say_the_same(stream, routes):
    """Scores, tiers, qualifications and deliveries are those of a replay under each pack alone; so is who changes."""
    records = recorded(stream)
    made = report(records, routes=routes)
    alone = Alone(EVERY_KIND, records), Alone(CANDIDATE, records)
    found = {lead.lead_id: lead for lead in made.leads.all()}

    assert (len(alone[0].changes), len(alone[1].changes)) == made.changes
    assert (len(alone[0].qualifications), len(alone[1].qualifications)) == made.qualifications
    for lead_id in alone[0].replayer.states:
        outcomes = [one.outcome(lead_id) for one in alone]
        (_, before, _), (_, after, _) = outcomes
        treated = [(tier.name, tier.handoff, tier.sales_ready) for tier in (before, after)]
        changes = treated[0] != treated[1] or alone[0].said(lead_id) != alone[1].said(lead_id)
        assert changes == (lead_id in found)
        if changes:
            assert outcomes == [found[lead_id].today, found[lead_id].then]
    sent = [one.deliveries() for one in alone]
    for one in made.route_totals:
        of_route = [{lead: count for (route, lead), count in each.items() if route == one.route.name} for each in sent]
        assert tuple(sum(leads.values()) for leads in of_route) == one.deliveries
        assert tuple(map(len, of_route)) == one.leads


def test_what_matters_most_comes_first():
    """Whoever sales hear of otherwise, then hand-off class, then tiers, then points; the id decides among equals."""
    today = replace(EVERY_KIND, rules=EVERY_KIND.rules[:1], groups=(Group("use", 1000),), tiers=LADDER)
    then = replace(today, rules=(replace(EVERY_KIND.rules[0], bands=(Band(1, 500), Band(2, 400), Band(3, 900))),))
    lines = [
        native_json("used", lead_id, event_id=str(number), thing=str(number))
        for lead_id, count in (("b", 2), ("to sales", 3), ("one step", 1), ("a", 2), ("none", 0))
        for number in range(count)
    ]
    records = [Recorded("f", 0, number, line) for number, line in enumerate(lines)]
    leads = list(ChangedLeads(compared(records, today, then, ())).all())

    assert ["to sales", "one step", "a", "b"] == [lead.lead_id for lead in leads]


@pytest.mark.parametrize(
    ("floor", "points", "bounds"),
    [
        pytest.param(200, 250, [("cool", 300, 200)], id="only where the tier begins differs"),
        pytest.param(250, 500, [("cool", 300, 250)], id="the bounds alone would do, and so would the points"),
        pytest.param(260, 400, [], id="the points alone would do"),
        pytest.param(300, 500, [], id="it begins where it did"),
    ],
)
def test_tiers_that_begin_elsewhere_are_a_cause(floor, points, bounds):
    """Named where the lead would not be in that tier by its points under the bounds of the other pack."""
    rule = replace(EVERY_KIND.rules[0], bands=(Band(1, 250),))
    today = replace(EVERY_KIND, rules=(rule,), tiers=LADDER)
    then = replace(
        EVERY_KIND,
        rules=(replace(rule, bands=(Band(1, points),)),),
        tiers=(LADDER[0], Tier("cool", floor, None, sales_ready=False), Tier("hot", 950, None, sales_ready=True)),
    )
    (lead,) = ChangedLeads(compared([Recorded("f", 0, 1, native_json("used", thing="a"))], today, then, ())).all()

    assert ("cold", "cool") == (lead.today.tier.name, lead.then.tier.name)
    assert bounds == list(lead.bounds)
    assert [points - 250] * (points != 250) == [one.difference for one in lead.rules]


def test_a_refused_record_counts_on_neither_side():
    """Bad lines are counted by their reasons, the first of them kept with place and detail; tombstones are skipped."""
    records = [Recorded("f", 0, number, b"no json") for number in range(1, 31)]
    records += [Recorded("f", 0, 31, b'{"event_id": "e"}'), Recorded("f", 0, 32, b""), *recorded([])]
    comparison = compared(records)

    assert {"not_json": 30, "missing_field": 1} == comparison.tally.rejected
    assert (0, 1, {}) == (comparison.tally.accepted, comparison.tally.skipped, comparison.leads)
    assert REJECTED_KEPT_MAX == len(comparison.tally.first_rejected)
    assert ("f", 1, "not_json") == comparison.tally.first_rejected[0][:3]


def test_a_bug_under_one_pack_counts_on_neither_side():
    """Where our own code fails under the candidate, the event is not scored under today's pack either."""
    comparison = compared([], replace(EVERY_KIND), replace(CANDIDATE))
    broken = comparison.then.pack.plan("used")
    assert broken

    def fail(value, event):
        raise ZeroDivisionError

    comparison.then.pack.plans["used"] = ((broken[0][0], fail, broken[0][2]),)
    comparison.take(Recorded("f", 0, 1, native_json("used", thing="a")))

    assert {"internal_error": 1} == comparison.tally.rejected
    assert ({}, 0, [0] * len(ROUTES)) == (comparison.leads, comparison.today.changes, comparison.today.deliveries)


def test_the_canary_is_no_lead():
    """What only watches whether scoring works is in the topic, and in no number but that of the events."""
    comparison = compared([Recorded("f", 0, 1, native_json("paid", CANARY_LEAD_ID))])

    assert 1 == comparison.tally.accepted
    assert ({}, 0, 0) == (comparison.leads, comparison.today.changes, comparison.then.changes)
    assert [0] * len(ROUTES) == comparison.then.deliveries


def test_a_lead_keeps_no_reference_to_the_events_that_moved_it():
    """They would be the most of what a lead costs, and nothing here asks for them."""
    (pair,) = compared([Recorded("f", 0, 1, native_json("paid"))]).leads.values()

    assert {NO_REF} == set(pair.today.pack.moved_by) | set(pair.then.pack.moved_by)
    assert pair.then.pack.points != (0,) * 7
