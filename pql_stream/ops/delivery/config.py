"""
The settings file `pql.toml`: which sinks there are, and which records go to which of them.

    [sinks.crm]
    type = "hubspot"
    service_key = { env = "HUBSPOT_SERVICE_KEY" }

    [[routes]]
    name = "crm-scores"
    of = "score-changed"
    sink = "crm"
    action = "upsert"

All that can be known before the first delivery is looked at here, and everything that is wrong is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import Route
from pql_stream.ops.delivery.files import config_file
from pql_stream.ops.settings import Settings
from pql_stream.wire.packs import load_pack

if TYPE_CHECKING:
    from pql_stream.ops.delivery.config_reader import TemplatesForm
    from pql_stream.ops.delivery.forms import SinkForm, Tools


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """
    What the settings file says; nothing where there is none.

    *warnings*: what may be meant so, and yet is told.
    """

    path: Path | None = None
    sinks: Mapping[str, SinkForm] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    templates: TemplatesForm | None = None
    tools: Tools | None = None
    warnings: tuple[str, ...] = ()


def load_config(settings: Settings, pack: ModelPack, environ: Mapping[str, str] | None = None) -> DeliveryConfig:
    """
    The settings file of *settings*, held against *pack*, the live one; secrets come from *environ* (the process's).

    Raises:
        InvalidSettings: `why` has every problem, one a line, and no secret.
    """
    path = config_file(settings)
    if path is None:
        return DeliveryConfig()
    from pql_stream.ops.delivery.config_reader import read_config  # noqa: PLC0415 - brings every destination's client

    return read_config(path, pack, os.environ if environ is None else environ)


def load_live_config(settings: Settings) -> DeliveryConfig:
    """
    The settings file against the pack of PQL_PACK, with the process's environment; reads no pack where there is none.

    Raises:
        InvalidPack: the pack cannot be used.
        InvalidSettings: as `load_config`.
    """
    return DeliveryConfig() if config_file(settings) is None else load_config(settings, load_pack(settings.pack))
