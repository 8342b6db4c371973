"""The life cycle of workers under Kubernetes, played once: what does not hang on speed; `make rehearsal` tells that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rehearsal.play import rehearse
from tests.rehearsal.result import Plan


@pytest.mark.system
@pytest.mark.proof
def test_workers_come_and_go(kafka, tmp_path: Path):
    """
    Three workers are restarted in turn, a fourth comes and goes, and two are told to end in a rebalance: nothing is
    missing or wrong, nothing comes twice, whoever says that it is ready is, and all end with 0 in the time they have.
    """
    plan = Plan(rate=200, leads=500, session_timeout_s=6, settle_s=0.5)

    result = rehearse(plan, kafka.bootstrap, tmp_path / "rehearsal")

    assert [] == result.all_faults()
    assert 0 == result.repeats
    assert [0] * 7 == [code for phase in result.phases for _, code, _ in phase.exits]
    assert all(seconds < 60 for phase in result.phases for _, _, seconds in phase.exits)
