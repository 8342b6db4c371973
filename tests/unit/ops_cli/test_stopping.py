"""Long work that is asked to stop: the first time in good order, the second at once."""

import os
import signal

import pytest

from pql_stream.ops.stopping import stop_asked_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_time_it_is_asked(number):
    """Ctrl-C, or the system, is heard; what was done with the signals before is done again afterwards."""
    before = signal.getsignal(number)
    with stop_asked_for() as asked:
        heard_before = asked()
        os.kill(os.getpid(), number)

        assert (False, True) == (heard_before, asked())

    assert before is signal.getsignal(number)


def test_the_second_time_it_is_ended():
    """Who does not want to wait for a checkpoint presses Ctrl-C again."""
    with stop_asked_for():
        os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
