"""
Takes routes and templates of the settings file anew while a worker delivers (SIGHUP).

Everything else in the file is made into connections, topics and ledgers at the start. So a file that changes more than
routes and templates is refused as a whole, and so is one with a problem: what was in use stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import Route
from pql_stream.errors import InvalidSettings, PqlError
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.metrics.reloading import ReloadMeter
from pql_stream.ops.settings import Settings, load_settings

_T = TypeVar("_T")

log = structlog.stdlib.get_logger(__name__)


class Router(Protocol):
    """Whoever routes: the app that delivers."""

    def take_routes(self, routes: tuple[Route, ...]) -> None:
        """Use *routes* from the next batch on."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one reading of environment and file gave."""

    settings: Settings
    config: DeliveryConfig


def loading(settings: Settings, config: DeliveryConfig, pack: ModelPack) -> tuple[Loaded, Callable[[], Loaded]]:
    """What a worker with *pack* was started with, and how to read again what environment and file say."""

    def load() -> Loaded:
        now = load_settings()
        return Loaded(now, load_config(now, pack))

    return Loaded(settings, config), load


class Reloader:
    """
    Keeps *router*, and the templates of *running*, as the file was when it was last asked for.

    *read* reads everything anew, in a thread: a slow disk must not hold up deliveries.
    """

    def __init__(self, running: Loaded, read: Callable[[], Loaded], router: Router, meter: ReloadMeter) -> None:
        self._running = running
        self._routes = running.config.routes
        self._read = read
        self._router = router
        self._meter = meter

    async def run(self, asked: asyncio.Event) -> None:
        """Reload whenever *asked* is set, for ever; who asks while that is done is answered by one more."""
        while True:
            await asked.wait()
            asked.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read, and take it or refuse it; either is logged and counted. Whatever goes wrong, delivery goes on."""
        try:
            loaded = await asyncio.to_thread(self._read)
            check_unchanged(self._running, loaded)
        except PqlError as exc:
            self._refuse(exc.what, exc.why.splitlines(), exc.what_to_do)
        except Exception as exc:  # noqa: BLE001 - a bug of ours must not end a worker whose routes are good
            # Only the kind: the text may hold what is in the file.
            self._refuse("internal_error", [type(exc).__name__], "please report it")
        else:
            self._take(loaded.config)

    def _take(self, config: DeliveryConfig) -> None:
        # Nothing is awaited in here: no batch sees new routes with old templates.
        if config.tools is not None and self._running.config.tools is not None:
            self._running.config.tools.templates.take_over(config.tools.templates)
        self._router.take_routes(config.routes)
        differences = _differences(_by_name(self._routes), _by_name(config.routes))
        self._routes = config.routes
        self._meter.taken()
        log.info("config_reloaded", file=str(config.path), routes=len(config.routes), changed=list(differences))
        for warning in config.warnings:
            log.warning("settings_file", warning=warning)

    def _refuse(self, what: str, problems: list[str], what_to_do: str) -> None:
        self._meter.refused()
        log.error("config_reload_refused", reason=what, problems=problems, what_to_do=what_to_do)


def check_unchanged(running: Loaded, loaded: Loaded) -> None:
    """
    See that *loaded* differs from *running* in nothing but routes and templates.

    Raises:
        InvalidSettings: it does. The text names what has changed, and no value.
    """
    changed = [
        f"{name} is another"
        for name, key in Settings.names().items()
        if getattr(running.settings, key) != getattr(loaded.settings, key)
    ]
    changed += [f"sinks.{told}" for told in _differences(running.config.sinks, loaded.config.sinks)]
    if changed:
        raise InvalidSettings(
            "settings and sinks, with their credentials, are read at the start only",
            why="\n".join(changed),
            what_to_do="restart the worker to take these changes, or take them back: "
            "only routes and templates can be reloaded",
        )


def _by_name(routes: tuple[Route, ...]) -> dict[str, Route]:
    return {route.name: route for route in routes}


def _differences(old: Mapping[str, _T], new: Mapping[str, _T]) -> Iterator[str]:
    """`crm: added`, `crm: removed`, `crm: changed`, by name."""
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"{name}: added"
        elif name not in new:
            yield f"{name}: removed"
        elif old[name] != new[name]:
            yield f"{name}: changed"
