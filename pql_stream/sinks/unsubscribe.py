"""
Tokens of unsubscribe links: they name a lead and a list, and nobody but us can make one.

The lead is named by its id, not by its address: links end up in the logs of proxies.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pql_stream.errors import InvalidSettings

SECRET_CHARS_MIN = 32
_MAC_BYTES = 16
"""128 bits: a link is short, and guessing one is out of reach."""
_TOKEN_CHARS_MAX = 2_000
# Keeps this use of the secret apart from any other.
_PURPOSE = b"pql-stream unsubscribe 1\n"


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """What a token names."""

    lead_id: str
    list_name: str


class UnsubscribeTokens:
    """
    Makes tokens by the first of *secrets*, and knows those made by any: old mails keep working after a change.

    Raises:
        InvalidSettings: there is none, or one is short.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        if not secrets or any(len(secret) < SECRET_CHARS_MIN for secret in secrets):
            raise InvalidSettings(
                "the secret of unsubscribe links is missing or too short",
                why=f"with fewer than {SECRET_CHARS_MIN} characters somebody may guess it and unsubscribe others",
                what_to_do="make one: openssl rand -hex 32",
            )
        self._keys = [secret.encode() for secret in secrets]

    def token(self, named: Unsubscription) -> str:
        """The token of *named*: the same each time, of letters, digits, `-`, `_` and a dot."""
        payload = f"{len(named.list_name)}:{named.list_name}{named.lead_id}".encode(errors="surrogatepass")
        return f"{_text(payload)}.{_text(_mac(self._keys[0], payload))}"

    def verify(self, token: str) -> Unsubscription | None:
        """What *token* names; None if it is none of ours, whatever it is."""
        if len(token) > _TOKEN_CHARS_MAX:
            return None
        head, _, tail = token.partition(".")
        payload, mac = _bytes(head), _bytes(tail)
        if not any(hmac.compare_digest(_mac(key, payload), mac) for key in self._keys):
            return None
        count, _, names = payload.decode(errors="surrogatepass").partition(":")
        size = int(count)  # we wrote it
        return Unsubscription(lead_id=names[size:], list_name=names[:size])


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscribeLinks:
    """
    Where links lead. *base_url* is https, and short; *mailto* is an address for mail programs that send a mail
    instead, empty for none.
    """

    base_url: str
    tokens: UnsubscribeTokens = field(repr=False)
    mailto: str = ""

    def __post_init__(self) -> None:
        try:
            address = urlsplit(self.base_url)
            is_good = address.scheme == "https" and bool(address.hostname) and not address.query
        except ValueError:
            is_good = False
        if not is_good or not self.base_url.isascii() or set(self.base_url) & set(" <>,\"'\r\n\t"):
            raise InvalidSettings(
                "the address of unsubscribe links cannot be used",
                why="RFC 8058 wants an https address, and the token is put behind it",
                what_to_do="write it like https://example.com/u",
            )

    def url(self, named: Unsubscription) -> str:
        """The link of *named*."""
        return f"{self.base_url.rstrip('/')}/{self.tokens.token(named)}"


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + payload, "sha256")[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The bytes of base64 as we write it; none for anything else."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
    # The decoder skips what is not of its alphabet: then there would be many tokens for one.
    return raw if _text(raw) == text else b""
