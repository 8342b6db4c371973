"""Files that hold one secret, as Docker and Kubernetes mount them."""

from __future__ import annotations

from pathlib import Path

SECRET_FILE_BYTES_MAX = 64 * 1024
"""A mistaken path (a log, a device) must not be read whole; no password or key phrase is near it."""


def secret_in(path: Path) -> str:
    """
    The text of the file, without line ends behind it.

    Raises:
        OSError: it cannot be read.
        ValueError: what is in it can be no secret. The text does not show it.
    """
    with path.open("rb") as file:
        content = file.read(SECRET_FILE_BYTES_MAX + 1)
    if len(content) > SECRET_FILE_BYTES_MAX:
        raise ValueError("the file is too large for a secret")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None  # the cause would print the secret
    if not text:
        raise ValueError("the file is empty")
    return text


def why_unreadable(exc: OSError | ValueError) -> str:
    """What `secret_in` failed on, in words without the path."""
    return getattr(exc, "strerror", None) or str(exc)
