"""The end of a process that must not go on: first in good order, and if that hangs, at once."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faust.types import AppT

EXIT_HARD = 70
GRACE_S = 15.0

log = logging.getLogger(__name__)


async def end_process(app: AppT, exc: BaseException, *, grace_s: float = GRACE_S) -> None:
    """
    Crash *app* because of *exc*; after *grace_s* seconds leave with code 70, whatever still hangs.

    An exception that leaves an agent has to come here: Faust would restart the agent, but the batch it had
    taken would never be done, and its partition would stand still. To leave hard is safe: it is the kill -9
    case, and what was not committed is read again.
    """
    log.critical("ending the process: %r", exc, exc_info=exc)
    # A thread and not the loop's timer: the loop may be what hangs.
    timer = threading.Timer(grace_s, os._exit, (EXIT_HARD,))
    timer.daemon = True
    timer.start()
    await app.crash(exc)
