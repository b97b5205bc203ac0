"""What urllib3 and http.client raise, as a ``Failure``."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl

from urllib3 import exceptions

from imgbuild.fetch.failure import AGAIN, Failure, words

BROKEN = (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""What urllib3 and http.client raise for invalid responses."""


def failure(error: Exception) -> Failure:
    """The failure for one of ``BROKEN``."""
    for cause in _causes(error):
        if isinstance(cause, Failure):
            return cause
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "put the authority that signed it into trust.certificates; or renew one that has expired"
            return Failure(f"its certificate is not trusted: {words(cause.verify_message)}", hint=hint)
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
