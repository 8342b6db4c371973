"""Calls of Salesforce's REST API with the token that all of them share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from pql_stream.delivery.outcomes import Later, Outcome, Unknown
from pql_stream.sinks.answers import outcome_of_failure
from pql_stream.sinks.http import Answer, Http, NoAnswer, NotSent
from pql_stream.sinks.salesforce_answers import is_session_over, outcome_of_answer
from pql_stream.sinks.salesforce_auth import Tokens

_USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d{1,12})/(\d{1,12})")
_SOQL_ESCAPES = str.maketrans(
    {"\\": r"\\", "'": r"\'", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}
)
_LIST_CHARS_MAX = 6_000
"""Salesforce takes 16 KiB of URL and headers together; many a proxy takes 8 KiB of URL."""

UNREADABLE = Unknown("an answer that cannot be read")


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of a 2xx answer; None where it is no JSON."""

    body: object


class Api:
    """
    One org. *base_url* without a slash at the end, *version* as in `v66.0`; *key_field* is the external id field of
    leads, *now_s* is the Unix time.
    """

    def __init__(
        self,
        http: Http,
        tokens: Tokens,
        *,
        base_url: str,
        version: str,
        key_field: str,
        now_s: Callable[[], float],
    ) -> None:
        self.root = f"/services/data/{version}"
        """The path before every resource."""
        self._http = http
        self._tokens = tokens
        self._base_url = base_url
        self._key_field = key_field
        self._now_s = now_s
        self.share_left: float | None = None
        """What is left of the org's daily calls, 0 to 1, as the last answer said that did."""

    async def call(
        self,
        method: str,
        resource: str,
        *,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | Outcome:
        """
        The reply of *resource*, or what it means for all of the request that there is none.

        A session that has ended is renewed once, and the call made again: the first one did nothing.
        """
        try:
            answer = await self._answer(method, resource, body, headers or {})
        except (NotSent, NoAnswer) as exc:
            return outcome_of_failure(exc)
        if isinstance(answer, Later):
            return answer
        outcome = outcome_of_answer(answer, now_s=self._now_s(), key_field=self._key_field)
        return Reply(answer.json()) if outcome is None else outcome

    async def query(self, soql: str) -> list[Mapping[str, object]] | Outcome:
        """The records that *soql* finds, all on one page."""
        reply = await self.call("GET", f"/query/?q={quote(soql, safe='')}")
        if isinstance(reply, Unknown):
            # A question changes nothing: unlike a write it surely did nothing.
            return Later("unavailable", "sink", detail=reply.detail)
        if not isinstance(reply, Reply):
            return reply
        page = reply.body
        records = page.get("records") if isinstance(page, dict) and page.get("done") is True else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            return Later("unavailable", "sink", detail=UNREADABLE.detail)
        return records

    async def close(self) -> None:
        """Let go of connections."""
        await self._tokens.close()
        await self._http.close()

    async def _answer(
        self, method: str, resource: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> Answer | Later:
        token = await self._tokens.current()
        if isinstance(token, Later):
            return token
        answer = await self._send(token, method, resource, body, headers)
        if not is_session_over(answer):
            return answer
        token = await self._tokens.current(instead_of=token)
        if isinstance(token, Later):
            return token
        return await self._send(token, method, resource, body, headers)

    async def _send(
        self, token: str, method: str, resource: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> Answer:
        answer = await self._http.request(
            method,
            f"{self._base_url}{self.root}{resource}",
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                **headers,
            },
            body=None if body is None else orjson.dumps(body),
        )
        usage = _USAGE.search(answer.headers.get("Sforce-Limit-Info", ""))
        if usage is not None and (calls_max := int(usage[2])):
            self.share_left = max(0.0, 1 - int(usage[1]) / calls_max)
        return answer


def soql_text(value: str) -> str:
    """*value* as a SOQL literal."""
    return f"'{value.translate(_SOQL_ESCAPES)}'"


def soql_lists(values: Sequence[str]) -> Iterator[str]:
    """*values* as lists for IN, each of them short enough for a URL."""
    literals: list[str] = []
    chars = 0
    for value in values:
        literal = soql_text(value)
        more = len(quote(literal, safe="")) + 3
        if literals and chars + more > _LIST_CHARS_MAX:
            yield f"({','.join(literals)})"
            literals, chars = [], 0
        literals.append(literal)
        chars += more
    if literals:
        yield f"({','.join(literals)})"
