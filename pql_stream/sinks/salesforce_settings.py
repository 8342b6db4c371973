"""What an operator says about a Salesforce org."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pql_stream.core.routes import RecordKind
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.mapping import parse_mapping
from pql_stream.sinks.salesforce_records import LEAD_FIELDS

API_VERSION = "v66.0"
"""Spring '26. An org keeps a version for years."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceSettings:
    """
    One org.

    *base_url*: its My Domain, `https://<name>.my.salesforce.com`. *external_id_field*: of leads; text, "External
    ID", "Unique", and case-sensitive, for our ids are. *delivery_id_field*: of tasks; text. *fields*: field of the
    lead -> path (`sinks.mapping`), added to `LEAD_FIELDS`; an empty path takes one away. *contact_fields*: what the
    contact of a converted lead gets; without any, such a lead's scores are refused. *owner_id*: of tasks, by
    Salesforce's id; empty for the integration user. *task_template*: of a task's text. *auto_assign*: the header
    `Sforce-Auto-Assign`, TRUE, FALSE or a rule's id; empty for none. *duplicate_rule*: the header
    `Sforce-Duplicate-Rule-Header`, such as `allowSave=true`; empty for none.

    Raises:
        InvalidSettings: one of them cannot be.
    """

    base_url: str
    api_version: str = API_VERSION
    external_id_field: str = "PQL_User_Id__c"
    delivery_id_field: str = "PQL_Delivery_Id__c"
    fields: Mapping[str, str] = field(default_factory=dict)
    contact_fields: Mapping[str, str] = field(default_factory=dict)
    owner_id: str = ""
    task_template: str = "task_body.txt"
    auto_assign: str = ""
    duplicate_rule: str = ""

    def __post_init__(self) -> None:
        _check_base_url(self.base_url)
        if re.fullmatch(r"v\d{2,3}\.0", self.api_version) is None:
            raise InvalidSettings(f"Salesforce: {self.api_version} is no API version", what_to_do="it is like v66.0")
        for name in (self.external_id_field, self.delivery_id_field):
            # They become part of paths and of SOQL.
            if _NAME.fullmatch(name) is None:
                raise InvalidSettings(f"Salesforce: {name!r} is no name of a field")
        for mapping in (self.fields, self.contact_fields):
            parse_mapping(mapping)

    def lead_fields(self, kind: RecordKind) -> dict[str, str]:
        """The mapping of records of *kind* as a whole."""
        return {**LEAD_FIELDS[kind], **self.fields}

    def lead_headers(self) -> dict[str, str]:
        """The headers of whatever writes leads."""
        headers = {"Sforce-Auto-Assign": self.auto_assign, "Sforce-Duplicate-Rule-Header": self.duplicate_rule}
        return {name: value for name, value in headers.items() if value}


def _check_base_url(url: str) -> None:
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not is_safe or not parts.hostname or parts.path or parts.query or parts.fragment or parts.username:
        raise InvalidSettings(
            "Salesforce: the base URL is no https://<My Domain>.my.salesforce.com",
            what_to_do="give scheme and host alone, without a slash at the end",
        )
