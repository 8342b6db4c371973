"""
Access tokens of Salesforce: the two grants that need nobody at a keyboard, and one token that all callers share.

Salesforce does not say how long a token lives; a call that is answered with INVALID_SESSION_ID does.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pql_stream.delivery.outcomes import Later
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.answers import outcome_of_status
from pql_stream.sinks.http import Answer, Http, NoAnswer, NotSent
from pql_stream.sinks.salesforce_answers import code_in

AUDIENCE = "https://login.salesforce.com"
"""Of production orgs; sandboxes have https://test.salesforce.com."""
TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path

_ASSERTION_LIVES_S = 180
"""The longest that Salesforce takes."""
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a grant sends to the token endpoint: a form, and headers."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Grant(Protocol):
    """A way to get a token."""

    def token_request(self, now_s: float) -> TokenRequest:
        """The request to make at *now_s*, Unix time."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client credentials flow of an external client app, with its "Run As" user."""

    client_id: str
    client_secret: str = field(repr=False)

    def token_request(self, now_s: float) -> TokenRequest:  # noqa: ARG002 - the grant has no time in it
        """As `Grant` says."""
        basic = b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return TokenRequest({"grant_type": "client_credentials"}, {"Authorization": f"Basic {basic}"})


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """
    The JWT bearer flow: the app's certificate is known to Salesforce, *private_key* (PEM, RSA) belongs to it.

    *username* is the integration user's.

    Raises:
        InvalidSettings: the key cannot be read.
    """

    client_id: str
    username: str = field(repr=False)
    private_key: str = field(repr=False)
    audience: str = AUDIENCE

    def __post_init__(self) -> None:
        try:
            key = load_pem_private_key(self.private_key.encode(), password=None)
        except (ValueError, TypeError) as exc:
            # Not "from exc": the text of some parsers shows what they read.
            raise InvalidSettings(
                "Salesforce: the private key cannot be read",
                why=type(exc).__name__,
                what_to_do="give an RSA key in PEM form, without a pass phrase",
            ) from None
        if not isinstance(key, RSAPrivateKey):
            raise InvalidSettings("Salesforce: the private key is no RSA key", what_to_do="Salesforce signs by RS256")

    def token_request(self, now_s: float) -> TokenRequest:
        """As `Grant` says."""
        claims = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience,
            "exp": int(now_s) + _ASSERTION_LIVES_S,
        }
        return TokenRequest(
            {"grant_type": _JWT_GRANT, "assertion": jwt.encode(claims, self.private_key, algorithm="RS256")}
        )


class Tokens:
    """
    The token of one org and app. Whoever needs a new one at the same time waits for the same request, and gets the
    same token or the same failure.

    *now_s* is the Unix time.
    """

    def __init__(self, http: Http, base_url: str, grant: Grant, *, now_s: Callable[[], float]) -> None:
        self._http = http
        self._url = base_url + TOKEN_PATH
        self._grant = grant
        self._now_s = now_s
        self._token: str | None = None
        self._fetching: asyncio.Task[str | Later] | None = None

    async def current(self, *, instead_of: str | None = None) -> str | Later:
        """
        A token, or why there is none.

        *instead_of* is one that has ended: it is not given again, but one that another caller has got since is.
        """
        if self._token is not None and self._token != instead_of:
            return self._token
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: a caller that is cancelled must not take the token from the others.
        return await asyncio.shield(self._fetching)

    async def close(self) -> None:
        """Give up a request under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _fetch(self) -> str | Later:
        try:
            token = await self._requested()
            self._token = token if isinstance(token, str) else None
            return token
        finally:
            self._fetching = None

    async def _requested(self) -> str | Later:
        request = self._grant.token_request(self._now_s())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            **request.headers,
        }
        try:
            answer = await self._http.request("POST", self._url, headers=headers, body=urlencode(request.form).encode())
        except NotSent as exc:
            return Later("not_connected", "sink", detail=f"no token: {exc}")
        except NoAnswer as exc:
            # Nothing was asked of the org itself, so it is surely not done.
            return Later("unavailable", "sink", detail=f"no token: {exc}")
        return self._token_in(answer)

    def _token_in(self, answer: Answer) -> str | Later:
        said = answer.json()
        if answer.status == 200:
            token = said.get("access_token") if isinstance(said, dict) else None
            if isinstance(token, str) and token.isascii() and token.isprintable() and token:
                return token
            return Later("unavailable", "sink", detail="no token: an answer that cannot be read")
        outcome = outcome_of_status(answer, now_s=self._now_s())
        # A redirect: who has the wrong address of the login has no token, however long it waits.
        if isinstance(outcome, Later) and outcome.reason != "unauthorised" and answer.status >= 400:
            return Later(outcome.reason, "sink", outcome.after_s, f"no token: status {answer.status}")
        code = code_in(said.get("error")) if isinstance(said, dict) else ""
        return Later("unauthorised", "sink", detail=f"no token: {code or f'status {answer.status}'}")
