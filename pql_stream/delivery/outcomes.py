"""
What became of one attempt to deliver one item. A destination's "no" is a value, never an exception: batches fail in
part, and whoever retries must know the case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LaterReason = Literal["rate_limited", "quota_used_up", "unavailable", "unauthorised", "busy", "not_connected"]
"""
Why it did not work now, and may later. *quota_used_up*: not before a time, often midnight. *unauthorised*: 401 or
403, somebody must act. *busy*: this item alone (a locked row, a greylisted recipient). *not_connected*: nothing was
sent.
"""

Scope = Literal["item", "channel", "sink"]
"""What has to wait: this item, all items of its channel (a Slack channel, a mail domain), or everything of the sink."""

RefusalReason = Literal[
    "invalid",
    "not_found",
    "conflict",
    "gone",
    "no_profile",
    "no_address",
    "no_consent",
    "too_large",
    "forbidden_address",
    "gave_up",
    "superseded",
    "unwanted",
    "internal_error",
]
"""
Why it will never work as it is. *gone*: the destination says never again (410). *gave_up*: it failed alone for too
long. *forbidden_address*: an address that we must not call. *internal_error*: a bug of ours.
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    The destination has it. *remote_id* is its name for what it made, if it says.

    *was_there*: the sink looked, the destination had it already, and nothing was sent. *detail*, as in `Later`: what
    went less than well, as when one of several recipients was refused.
    """

    remote_id: str | None = None
    was_there: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """
    Surely not done; to be tried again.

    *after_s* is what the destination asked for, None if it did not say. *detail* is for the log and the ledger:
    no personal data, no secret, no text of the answer beyond its error code.
    """

    reason: LaterReason
    scope: Scope = "sink"
    after_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be taken as it is: to the dead letters. *detail* as in `Later`."""

    reason: RefusalReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was sent and nobody answered: it may be done, or not. *detail* as in `Later`."""

    detail: str = ""


Outcome = Delivered | Later | Refused | Unknown
