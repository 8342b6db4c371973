"""What is told of a bug of ours."""

from __future__ import annotations

import sys
import traceback


def traceback_without_text() -> str:
    """
    Where the exception that is being handled came from, and its class.

    Without its own text: that may quote the record, and so somebody's e-mail address.
    """
    kind, _, trace = sys.exc_info()
    return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind else "")
