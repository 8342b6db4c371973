"""The look through the logs of the suite finds what it is for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.nothing_personal import found_in, found_in_logs


@pytest.mark.parametrize(
    "text",
    [
        b'{"event": "sent", "to": "ada@acme.example"}',
        b"ada%40example.com",
        b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        b"Authorization: Bearer abcdefgh12",
        b"token=xoxb-1234567890-abc",
        b"password hunter2",
    ],
)
def test_what_fixtures_have_is_found(text):
    """
    An address, plain or in a URL, and each kind of secret.
    """
    assert found_in(text) is not None


@pytest.mark.parametrize("text", [b"b:9092", b"https://app.example.com/contacts/u1", b"[redacted]@", b"pql-score-a@1"])
def test_what_logs_may_have_is_not(text):
    """
    Hosts, URLs and ids.
    """
    assert found_in(text) is None


@pytest.mark.shows_personal_data
def test_captured_logs_and_the_files_of_workers_are_looked_at(tmp_path):
    """
    Not what a test printed, nor what a broker or a store keeps below.
    """
    said = "to ada@acme.example"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "000001.log").write_text(said)
    quiet = SimpleNamespace(sections=[("Captured stdout call", said), ("Captured log call", "fine")])
    loud = SimpleNamespace(sections=[("Captured stderr teardown", said)])
    before = found_in_logs(quiet, tmp_path), found_in_logs(loud, None)
    (tmp_path / "a.log").write_text(said)

    assert (None, "Captured stderr teardown: ada@acme.example") == before
    assert "a.log: ada@acme.example" == found_in_logs(quiet, tmp_path)
