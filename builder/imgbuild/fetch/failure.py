"""Why a fetch failed, in terms that a user can act on, and whether another try may help."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import time

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.mask import mask

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524})
"""After these the same request may succeed (RFC 9110, RFC 6585; 52x: a CDN that cannot reach its origin)."""
SPACE = "free some space, or use a folder on a larger disk: --store DIR"
"""What to do about a disk that is full."""
_LONGEST = 200


class FetchError(HostError):
    """It could not be fetched. Neither the message nor the hint has a login."""


class Failure(Exception):  # noqa: N818 - becomes a FetchError once the tries are used up
    """One try that failed. ``again``: whether another one may succeed, after ``wait`` seconds if the server set it.

    ``hint``: what to do about it, if that is not the network.
    """

    def __init__(self, reason: str, *, again: bool = False, wait: float | None = None, hint: str = "") -> None:
        super().__init__(reason)
        self.again = again
        self.wait = wait
        self.hint = hint


class Stopped(Exception):  # noqa: N818 - nobody waits for the transfer any longer
    """A transfer that was ended from outside."""


def retry_after(header: str | None) -> float | None:
    """The seconds that a Retry-After header requests; None if it is missing or cannot be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None


def words(text: str) -> str:
    """A server's text as it may be printed: one short line, without control characters and logins."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST]).split())
    return mask(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}...")
