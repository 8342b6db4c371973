"""That compiled packages are there is seen by loading them."""

import pytest

from pql_stream.errors import PqlError
from pql_stream.ops import wheels


def test_those_of_this_machine_are_fine():
    """
    All are loaded, and told with their versions.
    """
    assert "rocksdict 0.3.29" in wheels.check_wheels()


def test_one_that_cannot_be_loaded_is_named(monkeypatch):
    """
    By its package, with the loader's reason and what to do.
    """
    monkeypatch.setitem(wheels._MODULES, "rocksdict.nothing", "rocksdict")
    with pytest.raises(PqlError) as caught:
        wheels.check_wheels()

    assert "1 compiled packages cannot be loaded" == caught.value.what
    assert caught.value.why.startswith("rocksdict: ")
    assert "wheels for this machine" in caught.value.what_to_do
