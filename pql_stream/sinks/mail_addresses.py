"""Mail addresses that can stand in a header and in a command: no room for anything else."""

from __future__ import annotations

import re

import idna

LOCAL_BYTES_MAX, DOMAIN_CHARS_MAX = 64, 253
"""RFC 5321, 4.5.3.1."""

# What an atom may have (RFC 5322, 3.2.3), with everything beyond ASCII (RFC 6531), and dots anywhere: there are
# addresses with two in a row.
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f-\x9f\"(),:;<>@\[\\\]\ud800-\udfff]+")
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]+(?<!-)(?:\.(?!-)[A-Za-z0-9-]+(?<!-))*")


def clean_address(text: str) -> str | None:
    """
    The address in *text*, its domain in ASCII; None if there is none.

    What is before the @ may be beyond ASCII: such a mail needs a relay with SMTPUTF8.
    """
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not local.isprintable():
        return None
    if len(local.encode()) > LOCAL_BYTES_MAX:
        return None
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None
    if len(ascii_domain) > DOMAIN_CHARS_MAX or not _DOMAIN.fullmatch(ascii_domain):
        return None
    return f"{local}@{ascii_domain.lower()}"


def clean_addresses(text: str) -> list[str] | None:
    """The addresses in *text*, with commas between; None if one is none, or there are none."""
    cleaned = [clean_address(part) for part in text.split(",") if part.strip()]
    whole = [address for address in cleaned if address is not None]
    return whole if whole and len(whole) == len(cleaned) else None
