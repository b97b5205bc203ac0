"""Why a fetch failed, in terms that a user can act on, and whether another try may help."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from email.utils import parsedate_to_datetime
from time import time

from urllib3 import exceptions

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.mask import mask

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524})
"""After these the same request may succeed (RFC 9110, RFC 6585; 52x: a CDN that cannot reach its origin)."""
_LONGEST = 200


class FetchError(HostError):
    """It could not be fetched. Neither the message nor the hint has a login."""


class Failure(Exception):  # noqa: N818 - becomes a FetchError once the tries are used up
    """One try that failed. ``again``: whether another one may succeed, after ``wait`` seconds if the server set it."""

    def __init__(self, reason: str, *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.again = again
        self.wait = wait


BROKEN = (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""What urllib3 and http.client raise for invalid responses."""


def failure(error: Exception) -> Failure:
    """The failure for one of ``BROKEN``."""
    for cause in _causes(error):
        if isinstance(cause, Failure):
            return cause
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(f"its certificate is not trusted: {words(cause.verify_message)}")
        if isinstance(cause, ssl.SSLError):
            plain = cause.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"}
            return Failure(f"no TLS connection: {words(cause.reason or str(cause))}", again=not plain)
        if isinstance(cause, socket.gaierror):
            final = cause.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
            return Failure(f"its name cannot be resolved: {words(str(cause.strerror))}", again=not final)
    proxy = any(isinstance(cause, exceptions.ProxyError) for cause in _causes(error))
    via = "the proxy: " if proxy else ""
    for cause in _causes(error):
        if isinstance(cause, OSError) and not isinstance(cause, (TimeoutError, exceptions.HTTPError)):
            refused = re.search(r"Tunnel connection failed: (\d+)", str(cause))
            again = refused is None or int(refused[1]) in AGAIN
            return Failure(f"{via}{words(os.strerror(cause.errno) if cause.errno else str(cause))}", again=again)
    if any(isinstance(cause, (exceptions.TimeoutError, TimeoutError)) for cause in _causes(error)):
        return Failure(f"{via}no answer in time", again=True)
    if isinstance(error, (exceptions.LocationValueError, UnicodeError)):
        return Failure(f"the address is not valid: {words(str(error))}")
    if any(isinstance(cause, (exceptions.IncompleteRead, http.client.IncompleteRead)) for cause in _causes(error)):
        return Failure("the connection was closed before the end", again=True)
    last = _causes(error)[-1]
    return Failure(f"{via}the answer is not valid HTTP ({type(last).__name__}: {words(str(last))})", again=True)


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


def _causes(error: BaseException) -> list[BaseException]:
    """The error and its causes, the outermost first."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop(0)
        if one is None or one in found or len(found) > 20:
            continue
        found.append(one)
        inner = [a for a in (getattr(one, "original_error", None), *one.args) if isinstance(a, BaseException)]
        todo += [*inner, one.__cause__, one.__context__]
    return found
