"""Who changes, who rises and who falls, where tiers are the same and where they are not."""

import pytest

from pql_stream.core.packs import Tier
from pql_stream.replay.whatif.verdicts import Judge, Standing


def tier(name, handoff=None, *, ready=False):
    return Tier(name, 0, handoff, sales_ready=ready)


COLD, WARM, HOT = tier("cold"), tier("warm", "later"), tier("hot", "now", ready=True)
NONE, TO_WARM, TO_HOT, TO_BOTH = 0, 0b10, 0b100, 0b110


def judge(today=(COLD, WARM, HOT), then=(COLD, WARM, HOT)):
    return Judge(today, then)


@pytest.mark.parametrize(
    ("today", "then", "changes", "moves"),
    [
        pytest.param((2, TO_HOT), (2, TO_HOT), (), ("same", "same", "same"), id="the same"),
        pytest.param(
            (0, NONE), (1, TO_WARM), ("tier", "handoff", "qualifications"), ("risen", "risen", "same"), id="up"
        ),
        pytest.param(
            (1, TO_WARM), (2, TO_BOTH), ("tier", "handoff", "sales_ready", "qualifications"),
            ("risen", "risen", "risen"), id="up to sales",
        ),
        pytest.param(
            (2, TO_HOT), (0, NONE), ("tier", "handoff", "sales_ready", "qualifications"),
            ("fallen", "fallen", "fallen"), id="down",
        ),
        pytest.param((2, TO_HOT), (2, TO_BOTH), ("qualifications",), ("same", "same", "same"), id="one step more"),
        pytest.param((0, TO_WARM), (0, NONE), ("qualifications",), ("same", "fallen", "same"), id="only on the way"),
    ],
)  # fmt: skip
def test_moves_and_changes(today, then, changes, moves):
    """What changes, and how the tier, the highest tier announced and the word to sales move."""
    verdict = judge().verdict(Standing(*today), Standing(*then))

    assert changes == verdict.changes
    assert moves == (verdict.tier, verdict.qualified, verdict.told_sales)


def test_a_tier_that_is_handed_off_otherwise_changes_its_leads():
    """The same name with another hand-off class, and what was announced under it was announced otherwise."""
    verdict = judge(then=(COLD, tier("warm", "soon"), HOT)).verdict(Standing(1, TO_WARM), Standing(1, TO_WARM))

    assert ("handoff", "qualifications") == verdict.changes
    assert ("same", "same") == (verdict.tier, verdict.qualified)


@pytest.mark.parametrize(
    ("then", "today_place", "then_place", "move"),
    [
        pytest.param((COLD, tier("new"), HOT), 1, 1, "other", id="each has a name that the other lacks"),
        pytest.param((COLD, HOT, WARM), 1, 1, "other", id="they do not agree on the order"),
        pytest.param((COLD, HOT), 1, 1, "risen", id="only today's pack has both"),
        pytest.param((COLD, WARM, tier("new"), HOT), 1, 2, "risen", id="only the candidate has both"),
        pytest.param((COLD, WARM, tier("new"), HOT), 2, 2, "fallen", id="down to one that is new"),
        pytest.param((COLD, HOT), 2, 1, "same", id="the same name at another place"),
    ],
)
def test_tiers_of_packs_that_differ(then, today_place, then_place, move):
    """Up or down is what the pack says that has both names; what neither, or each otherwise, says is other."""

    assert move == judge(then=then).verdict(Standing(today_place, 0), Standing(then_place, 0)).tier


def test_a_tier_without_counterpart_is_new_and_what_it_replaces_is_gone():
    """A renamed tier is announced to everybody anew: the gate must hear of it."""
    verdict = judge(then=(COLD, tier("tepid", "later"), HOT)).verdict(Standing(1, TO_WARM), Standing(1, TO_WARM))

    assert ("other", "other") == (verdict.tier, verdict.qualified)
    assert (True, True) == (verdict.newly_qualified, verdict.no_longer_qualified)
