"""Mail addresses: what passes can stand in a header and in a command."""

from __future__ import annotations

from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.sinks.mail_addresses import clean_address, clean_addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@customer.example", "ada@customer.example"),
        ("  Ada.L+pql@Customer.Example ", "Ada.L+pql@customer.example"),
        ("o'neil/x=y@x.example", "o'neil/x=y@x.example"),
        ("a..b@docomo.example", "a..b@docomo.example"),
        ("sales@localhost", "sales@localhost"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("用户@例え.example", "用户@xn--r8jz45g.example"),
    ],
)
def test_an_address_is_kept_and_its_domain_is_ascii(text, address):
    """Also those that look strange and are none the less used."""
    assert address == clean_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@customer.example",
        "ada@",
        "ada@ex ample",
        "ada@exam_ple.example",
        "ada@-x.example",
        "ada@x..example",
        "ada@x.example\r\nRCPT TO:<evil@x.example>",
        "ada\r\n@x.example",
        "ada\u2028@x.example",
        "ada\x00@x.example",
        "ada>@x.example",
        "<ada@x.example>",
        "Ada <ada@x.example>",
        '"ada"@x.example',
        "a,b@x.example",
        "ada@[127.0.0.1]",
        "\ud800@x.example",
        "ada@\ud800.example",
        f"{'a' * 65}@x.example",
        f"{'é' * 33}@x.example",
        f"ada@{'x' * 64}.example.{'y' * 250}",
    ],
)
def test_what_is_no_address_is_none(text):
    """Nothing that ends a line, an angle or an address, and nothing too long."""
    assert None is clean_address(text)


@given(text=st.one_of(st.text(max_size=60), st.from_regex(r"[^@\n]{0,10}@[^@\n]{0,20}", fullmatch=True)))
def test_what_passes_is_one_address(text):
    """Python's own parser, as a judge, reads the same, and it holds in one line and between angles."""
    address = clean_address(text)

    if address is not None:
        local, _, domain = address.rpartition("@")
        judged = Address(username=local, domain=domain)
        assert (local, domain) == (judged.username, judged.domain)
        assert address == clean_address(address)
        assert not set(address) & set("\r\n\x00<>, \t")
        assert domain.isascii()


def test_a_list_is_whole_or_none():
    """One wrong address among good ones is a mistake to be told of."""
    assert ["a@x.example", "b@x.example"] == clean_addresses("a@x.example, b@x.example,")
    assert None is clean_addresses("a@x.example, b")
    assert None is clean_addresses(" , ")
