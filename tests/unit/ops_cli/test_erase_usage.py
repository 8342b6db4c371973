"""`pql-stream erase`: which leads it refuses before it asks a cluster."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pql_stream.ops.cli import cli

WRONG = {
    "nothing": "",
    "blank": "  ",
    "blanks around": " u1",
    "257 characters": "u" * 257,
    "nobody anonymous": "anon:",
    "no UTF-8": "u\udc80",
}


@pytest.mark.parametrize("lead_id", WRONG.values(), ids=WRONG)
def test_what_cannot_be_a_lead_is_wrong_usage(lead_id):
    """Exit 2, without a look at the cluster."""
    result = CliRunner().invoke(cli, ["erase", "--yes", lead_id])

    assert 2 == result.exit_code
    assert "1 to 256 characters" in result.stderr


@pytest.mark.parametrize("lead_id", ["u1", "anon:d1", "u" * 256, "anon:" + "u" * 256, "a b", "été@acme.example"])
def test_what_can_be_a_lead_is_looked_for(lead_id):
    """The next thing that is missing is the cluster."""
    result = CliRunner().invoke(cli, ["erase", "--yes", lead_id])

    assert "no Kafka brokers are given" in str(result.exception)
