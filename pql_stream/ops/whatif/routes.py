"""The routes that a comparison asks: those of the settings file, or examples where there is none."""

from __future__ import annotations

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import Condition, Route
from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.files import config_file
from pql_stream.ops.delivery.routes_only import read_routes
from pql_stream.ops.settings import Settings
from pql_stream.replay.whatif.report import Routes

_READY = Condition("sales_ready", one_of=(True,))

# By points and readiness for sales, which every pack has; names of tiers are each pack's own.
EXAMPLES = (
    Route("example-contacts", "score-changed", "crm", "upsert", (Condition("score_after", at_least=60),)),
    Route("example-tasks", "pql-qualified", "crm", "task", (_READY,)),
    Route("example-messages", "pql-qualified", "chat", "message", (Condition("score", at_least=95),)),
    Route("example-mails", "pql-qualified", "mail", "mail", (Condition("score", at_least=85),)),
    Route("example-posts", "pql-qualified", "hook", "post"),
)


def find_routes(settings: Settings, today: ModelPack, then: ModelPack) -> Routes:
    """
    The routes of the settings file, read for *today*'s records; it needs none of its sinks' secrets.

    Raises:
        InvalidSettings: the file cannot be used with *today*.
    """
    path = config_file(settings)
    if path is None:
        return Routes(EXAMPLES, None)
    routes, problems = read_routes(path, today)
    if problems:
        raise InvalidSettings(
            f"the routes in {path} cannot be used with {today.name} version {today.version}",
            why="\n".join(problems),
            what_to_do="mend the file, or leave the routes out: --no-routes",
        )
    _, problems_then = read_routes(path, then)
    return Routes(routes, path, tuple(problems_then))
