"""
Contact data of a lead, folded from its events: for each field the latest known value, by time and event id.

The only personal data that the pipeline keeps, and the only use of it is to deliver.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ProfileField = Literal["email", "first_name", "last_name", "title", "company", "phone", "timezone", "locale", "consent"]


class LeadProfile(msgspec.Struct, frozen=True):
    """
    What is known of how to reach a lead; None for what is not.

    *consent* is whether the lead agreed to mails: None is not known, and is no yes.
    """

    lead_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    company: str | None = None
    phone: str | None = None
    timezone: str | None = None
    locale: str | None = None
    consent: bool | None = None
