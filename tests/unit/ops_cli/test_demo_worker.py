"""The demo's worker process: what it says when it does not come up, or dies."""

import os
import signal

import pytest

from pql_stream.errors import PqlError
from pql_stream.ops.demo.process import WorkerProcess
from pql_stream.stream.names import TOPICS


def test_a_worker_that_refuses_to_start_says_why(tmp_path, embedded_kafka):
    """Its own error, without the log before it, is the reason that the demo gives."""
    broker = embedded_kafka({"product-activity": 1})
    with pytest.raises(PqlError) as caught, WorkerProcess(broker.bootstrap, tmp_path, {}):
        pytest.fail("it started")

    assert "the worker ended with code 1" == caught.value.what
    assert caught.value.why.startswith("Error: topics are missing: ")
    assert 3 == len(caught.value.why.splitlines())


def test_a_worker_that_is_killed_is_noticed(tmp_path, embedded_kafka):
    """`check` is silent while it runs; afterwards it tells the signal and the end of the log."""
    broker = embedded_kafka(dict.fromkeys(TOPICS, 1))
    with WorkerProcess(broker.bootstrap, tmp_path, {}) as worker:
        worker.check()
        os.kill(worker.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(PqlError) as caught:
            worker.check()

    assert "the worker ended with code -9" == caught.value.what
    assert "worker_starting" in caught.value.why


def test_a_worker_that_is_stopped_ends_well(tmp_path, embedded_kafka, monkeypatch):
    """SIGTERM, as an orchestrator would: no error, and its metrics page was there before, past any proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    broker = embedded_kafka(dict.fromkeys(TOPICS, 1))
    with WorkerProcess(broker.bootstrap, tmp_path, {}) as worker:
        counters = worker.counters()
        worker.stop()

    assert any(name.startswith("pql_") for name in counters)
