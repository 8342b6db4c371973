"""
A fake Salesforce: tokens, collection upserts, composite requests, SOQL and the daily limit, over HTTP.

Written from Salesforce's documentation, not from our sink: they share no code.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from aiohttp import web

from pql_stream.testing.destinations.faults import FaultScript
from pql_stream.testing.destinations.journal import Journal
from pql_stream.testing.destinations.salesforce_org import EXTERNAL_ID, FIELDS, Org, OrgMalformed, OrgRefusal, Record
from pql_stream.testing.destinations.salesforce_soql import MalformedQuery, parse_query
from pql_stream.testing.destinations.server import FakeServer, serve

_TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_COLLECTION_MAX = 200
_COMPOSITE_MAX = 25
_REFERENCE = re.compile(r"@\{(\w+)\.(\w+)\}")
_HALTED = {
    "errorCode": "PROCESSING_HALTED",
    "message": "The transaction was rolled back since another operation in the same transaction failed.",
}

_Reply = tuple[int, Any]  # status and JSON body
_NOT_FOUND: _Reply = (404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came. *body* is parsed where it is JSON, else text."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = field(repr=False)  # JSON


class FakeSalesforce:
    """
    One org with one external client app, that knows both grants.

    *public_key*: PEM, of the app's certificate. *calls_max*: the day's limit. *calls*: how many were made.
    """

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        client_id: str = "fake-client",
        client_secret: str = "fake-secret",  # noqa: S107 - of a fake
        username: str = "integration@example.com",
        public_key: str | None = None,
        audience: str = "https://login.salesforce.com",
        calls_max: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.journal = journal or Journal()
        self.faults = FaultScript()
        self.org = Org()
        self.received: list[Received] = []
        self.calls = 0
        self.calls_max = calls_max
        self.tokens_given = 0
        self.refuses_tokens = False
        self._valid_token: str | None = None
        self._app = (client_id, client_secret, username, public_key, audience)
        self._clock = clock
        self._url = ""
        self._server: FakeServer | None = None

    async def start(self) -> str:
        """Listen on loopback; returns the base URL."""
        self._server = await serve(self.handle, self.faults, journal=self.journal, without_faults=(_TOKEN_PATH,))
        self._url = self._server.url
        return self._url

    async def close(self) -> None:
        """Stop at once."""
        if self._server is not None:
            await self._server.close()

    def expire_token(self) -> None:
        """The session has ended: the next call is 401."""
        self._valid_token = None

    async def handle(self, request: web.Request, body: bytes) -> web.Response:
        """Answer *request*."""
        path = request.rel_url.raw_path
        content_type = request.content_type
        text = body.decode()
        parsed = json.loads(text) if text and content_type == "application/json" else text
        self.received.append(Received(request.method, path, dict(request.query), dict(request.headers), parsed))
        if path == _TOKEN_PATH:
            return self._token(request, text)
        status, reply = self._authorised(request, path, parsed)
        headers = {"Sforce-Limit-Info": f"api-usage={self.calls}/{self.calls_max}"}
        if reply is None:
            return web.Response(status=status, headers=headers)
        return web.json_response(reply, status=status, headers=headers)

    def _token(self, request: web.Request, text: str) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(text).items()}
        error = "invalid_client" if self.refuses_tokens else self._grant_error(form, request.headers)
        if error is not None:
            return web.json_response({"error": error, "error_description": "refused"}, status=400)
        self.tokens_given += 1
        self._valid_token = f"00Dfake!{self.tokens_given}"
        given = {"access_token": self._valid_token, "instance_url": self._url, "token_type": "Bearer"}
        return web.json_response({**given, "id": f"{self._url}/id/00D/005", "issued_at": "0", "signature": "x"})

    def _grant_error(self, form: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
        client_id, client_secret, _, _, _ = self._app
        match form.get("grant_type"):
            case "client_credentials":
                given = (form.get("client_id"), form.get("client_secret"))
                kind, _, basic = headers.get("Authorization", "").partition(" ")
                if kind == "Basic":
                    name, _, secret = base64.b64decode(basic).decode().partition(":")
                    given = (name, secret)
                return None if given == (client_id, client_secret) else "invalid_client"
            case grant if grant == _JWT_GRANT:
                return self._assertion_error(form.get("assertion", ""))
            case _:
                return "unsupported_grant_type"

    def _assertion_error(self, assertion: str) -> str | None:
        client_id, _, username, public_key, audience = self._app
        if public_key is None:
            return "invalid_client"
        try:
            claims = jwt.decode(
                assertion,
                public_key,
                algorithms=["RS256"],
                audience=audience,
                issuer=client_id,
                options={"require": ["iss", "sub", "aud", "exp"], "verify_exp": False},
            )
        except jwt.InvalidTokenError:
            return "invalid_grant"
        lives_s = int(claims["exp"]) - self._clock()
        return None if claims["sub"] == username and 0 < lives_s <= 300 else "invalid_grant"

    def _authorised(self, request: web.Request, path: str, body: Any) -> _Reply:  # noqa: ANN401 - JSON
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            return 401, [{"errorCode": "INVALID_AUTH_HEADER", "message": "INVALID_HEADER_TYPE"}]
        if token != self._valid_token:
            return 401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
        if self.calls >= self.calls_max:
            return 403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
        self.calls += 1
        status, reply = self._resource(request.method, path, dict(request.query), request.headers, body)
        for effect in self.org.effects:
            self.journal.accept(effect)
        self.org.effects.clear()
        return status, reply

    def _resource(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Any,  # noqa: ANN401 - JSON
    ) -> _Reply:
        """One resource, whether called alone or within a composite request."""
        version, *rest = [unquote(part) for part in path.removeprefix("/services/data/").rstrip("/").split("/")]
        if not path.startswith("/services/data/") or re.fullmatch(r"v\d\d\.0", version) is None:
            return _NOT_FOUND
        try:
            if method == "PATCH":
                return self._patched(rest, headers, body)
            return self._read_or_made(method, rest, query, body)
        except OrgRefusal as refusal:
            status = 404 if refusal.code == "NOT_FOUND" else 400
            shown = {"errorCode": refusal.code, "message": refusal.message}
            return status, [{**shown, "fields": list(refusal.fields)} if refusal.fields else shown]

    def _patched(self, path: list[str], headers: Mapping[str, str], body: Record) -> _Reply:
        allow = headers.get("Sforce-Duplicate-Rule-Header", "").replace(" ", "").lower() == "allowsave=true"
        match path:
            case ["composite", "sobjects", "Lead", field_name] if field_name == EXTERNAL_ID:
                return self._upsert_many(body, allow=allow)
            case ["composite", "sobjects"]:
                return self._update_many(body)
            case ["sobjects", "Lead", field_name, external_id] if field_name == EXTERNAL_ID:
                return self._upsert_one(external_id, body, allow=allow)
            case ["sobjects", name, id_] if name in FIELDS:
                self.org.check_fields(name, body)
                self.org.update(name, id_, body)
                return 204, None
            case _:
                return _NOT_FOUND

    def _read_or_made(self, method: str, path: list[str], query: Mapping[str, str], body: Record) -> _Reply:
        match (method, *path):
            case ("GET", "query"):
                return self._query(query.get("q", ""))
            case ("POST", "composite"):
                return self._composite(body)
            case ("POST", "sobjects", name) if name in FIELDS:
                self.org.check_fields(name, body)
                return 201, _saved(self.org.insert(name, body), created=None)
            case _:
                return _NOT_FOUND

    def _query(self, text: str) -> _Reply:
        try:
            query = parse_query(text)
        except MalformedQuery as exc:
            return 400, [{"errorCode": "MALFORMED_QUERY", "message": str(exc)}]
        known = {*FIELDS.get(query.object_name, ()), "Id", "IsConverted", "ConvertedContactId"}
        if query.object_name not in FIELDS or not known.issuperset((*query.fields, *query.where)):
            return 400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}]
        found = [record for record in self.org.records[query.object_name].values() if query.takes(record)]
        records = [
            {"attributes": {"type": query.object_name}, **{name: record.get(name) for name in query.fields}}
            for record in found[: query.limit]
        ]
        return 200, {"totalSize": len(records), "done": True, "records": records}

    def _upsert_one(self, external_id: str, body: Record, *, allow: bool) -> _Reply:
        if EXTERNAL_ID in body:
            raise OrgMalformed("INVALID_FIELD", f"The {EXTERNAL_ID} field should not be specified in the sobject data.")
        self.org.check_fields("Lead", body)
        several = self.org.leads(external_id)
        if len(several) > 1:
            return 300, [f"/services/data/v66.0/sobjects/Lead/{lead['Id']}" for lead in several]
        id_, created = self.org.upsert_lead(external_id, body, allow_duplicates=allow)
        return 201 if created else 200, _saved(id_, created=created)

    def _upsert_many(self, body: Record, *, allow: bool) -> _Reply:
        records = _collection(body, "Lead")
        for record in records:
            self.org.check_fields("Lead", record)
        ids = [record.get(EXTERNAL_ID) for record in records]

        def upsert(record: Record) -> Record:
            id_ = record.pop(EXTERNAL_ID, None)
            if not id_:
                raise OrgRefusal("MISSING_ARGUMENT", f"{EXTERNAL_ID} not specified")
            if ids.count(id_) > 1:
                raise OrgRefusal("DUPLICATE_VALUE", f"Duplicate external id specified: {id_}", (EXTERNAL_ID,))
            return _saved(*self.org.upsert_lead(id_, record, allow_duplicates=allow))

        return 200, self._each(records, upsert, all_or_none=body.get("allOrNone") is True)

    def _update_many(self, body: Record) -> _Reply:
        records = _collection(body, "Contact")
        for record in records:
            self.org.check_fields("Contact", {name: value for name, value in record.items() if name != "id"})

        def update(record: Record) -> Record:
            id_ = str(record.pop("id", ""))
            self.org.update("Contact", id_, record)
            return _saved(id_, created=None)

        return 200, self._each(records, update, all_or_none=body.get("allOrNone") is True)

    def _each(self, records: list[Record], write: Callable[[Record], Record], *, all_or_none: bool) -> list[Record]:
        before = self.org.snapshot()
        results: list[Record] = []
        for record in records:
            try:
                results.append(write(record))
            except OrgRefusal as refusal:
                error = {"statusCode": refusal.code, "message": refusal.message, "fields": list(refusal.fields)}
                results.append({"success": False, "errors": [error]})
        if all_or_none and not all(result["success"] for result in results):
            self.org.restore(before)
            rolled_back = {"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": "", "fields": []}
            return [{"success": False, "errors": r["errors"] or [rolled_back]} for r in results]
        return results

    def _composite(self, body: Record) -> _Reply:
        requests = body["compositeRequest"]
        if len(requests) > _COMPOSITE_MAX:
            return 400, [{"errorCode": "LIMIT_EXCEEDED", "message": "more than 25 subrequests"}]
        before = self.org.snapshot()
        replies: dict[str, _Reply] = {}
        for one in requests:
            replies[one["referenceId"]] = self._subrequest(one, replies)
        failed = [name for name, (status, _) in replies.items() if not 200 <= status < 300]
        if failed and body.get("allOrNone"):
            self.org.restore(before)
            replies = {name: reply if name == failed[0] else (400, [_HALTED]) for name, reply in replies.items()}
        return 200, {
            "compositeResponse": [
                {"body": reply, "httpHeaders": {}, "httpStatusCode": status, "referenceId": name}
                for name, (status, reply) in replies.items()
            ]
        }

    def _subrequest(self, one: Record, replies: Mapping[str, _Reply]) -> _Reply:
        unresolved: list[str] = []

        def resolved(match: re.Match[str]) -> str:
            status, reply = replies.get(match[1], (404, None))
            if not 200 <= status < 300 or not isinstance(reply, dict) or match[2] not in reply:
                unresolved.append(match[0])
                return ""
            return str(reply[match[2]])

        url = _REFERENCE.sub(resolved, one["url"])
        fields = {
            name: _REFERENCE.sub(resolved, value) if isinstance(value, str) else value
            for name, value in one.get("body", {}).items()
        }
        if unresolved:
            return 400, [{"errorCode": "PROCESSING_HALTED", "message": f"Invalid reference specified. {unresolved[0]}"}]
        path, _, query = url.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        return self._resource(one["method"], path, asked, one.get("httpHeaders", {}), fields)


def _collection(body: Record, name: str) -> list[Record]:
    """The records of a collection request, without their attributes."""
    records = [dict(record) for record in body["records"]]
    if len(records) > _COLLECTION_MAX:
        raise OrgMalformed("EXCEEDED_ID_LIMIT", f"record limit reached: cannot submit more than {_COLLECTION_MAX}")
    if any(record.pop("attributes", {}).get("type") != name for record in records):
        raise OrgMalformed("INVALID_TYPE", f"not of type {name}")
    return records


def _saved(id_: str, created: bool | None) -> Record:  # noqa: FBT001 - the name of the field
    saved = {"id": id_, "success": True, "errors": []}
    return saved if created is None else {**saved, "created": created}
