"""Salesforce in the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pql_stream.core.routes import Action, Route
from pql_stream.ops.delivery.forms import SinkForm, Tools
from pql_stream.ops.delivery.secrets import Secret
from pql_stream.sinks.mapping import OPTION
from pql_stream.sinks.salesforce import SalesforceSink, open_salesforce
from pql_stream.sinks.salesforce_auth import AUDIENCE, ClientCredentials, Grant, JwtBearer
from pql_stream.sinks.salesforce_records import CONTACT_OPTION, OWNER_OPTION
from pql_stream.sinks.salesforce_settings import API_VERSION, SalesforceSettings
from pql_stream.sinks.salesforce_tasks import TEMPLATE_OPTION


class SalesforceForm(SinkForm):
    """
    One org.

    Either *client_secret* (the client credentials flow), or *username* and *private_key* (the JWT bearer flow).
    """

    OPTIONS: ClassVar[Mapping[Action, frozenset[str]]] = {
        "upsert": frozenset({OPTION, CONTACT_OPTION}),
        "task": frozenset({OPTION, CONTACT_OPTION, OWNER_OPTION, TEMPLATE_OPTION}),
    }
    MAPPING_OPTIONS: ClassVar[frozenset[str]] = frozenset({OPTION, CONTACT_OPTION})

    type: Literal["salesforce"]
    base_url: str
    client_id: str
    client_secret: Secret | None = None
    username: str | None = None
    private_key: Secret | None = None
    audience: str = AUDIENCE
    api_version: str = API_VERSION
    external_id_field: str = "PQL_User_Id__c"
    delivery_id_field: str = "PQL_Delivery_Id__c"
    fields: dict[str, str] = Field(default_factory=dict)
    contact_fields: dict[str, str] = Field(default_factory=dict)
    owner_id: str = ""
    task_template: str = "task_body.txt"
    auto_assign: str = ""
    duplicate_rule: str = ""

    @model_validator(mode="after")
    def _one_grant(self) -> Self:
        by_key = self.username is not None and self.private_key is not None
        if (self.client_secret is not None) == by_key or (self.username is None) != (self.private_key is None):
            raise ValueError("give either client_secret, or username and private_key")
        return self

    def open(self, tools: Tools) -> SalesforceSink:
        """As `SinkForm` says."""
        settings = SalesforceSettings(
            base_url=self.base_url,
            api_version=self.api_version,
            external_id_field=self.external_id_field,
            delivery_id_field=self.delivery_id_field,
            fields=self.fields,
            contact_fields=self.contact_fields,
            owner_id=self.owner_id,
            task_template=self.task_template,
            auto_assign=self.auto_assign,
            duplicate_rule=self.duplicate_rule,
        )
        return open_salesforce(
            settings, self._grant(), tools.templates, now_s=tools.now_s, total_timeout_s=self.timeout_s
        )

    def check_route(self, route: Route, tools: Tools) -> None:
        """As `SinkForm` says."""
        self.open(tools).check_route(route)

    def mappings(self) -> Mapping[str, Mapping[str, str]]:
        """As `SinkForm` says."""
        return {"fields": self.fields, "contact_fields": self.contact_fields}

    def _grant(self) -> Grant:
        if self.client_secret is not None:
            return ClientCredentials(self.client_id, self.client_secret.reveal())
        assert self.username is not None and self.private_key is not None, "checked above"  # noqa: S101, PT018 - our own mistake
        return JwtBearer(self.client_id, self.username, self.private_key.reveal(), self.audience)
