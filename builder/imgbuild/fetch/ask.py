"""A small request to a server, retried if that may help."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from imgbuild.fetch.address import shown
from imgbuild.fetch.failure import AGAIN, Failure, FetchError, retry_after
from imgbuild.fetch.limits import QUESTION, Limits

_HINT = "check the network, and http_proxy, https_proxy and no_proxy"


@dataclass(frozen=True)
class Answer:
    """A server's answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


def ask(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, limits: Limits = QUESTION
) -> Answer:
    """The answer of the server at ``url`` (http or https), after redirects.

    Raises:
        FetchError: there is none; ``str(error)`` is the reason without the address.
    """
    deadline = time.monotonic() + limits.total_seconds
    for failed in range(1, limits.tries + 1):
        try:
            return _once(method, url, headers or {}, limits, deadline)
        except Failure as error:
            wait = max(limits.pause(failed), error.wait or 0)
            if not error.again or failed == limits.tries or time.monotonic() + wait >= deadline:
                raise FetchError(str(error), _HINT) from error
            time.sleep(wait)
    raise FetchError(f"{shown(url)} was not requested", _HINT)


def _once(method: str, url: str, headers: Mapping[str, str], limits: Limits, deadline: float) -> Answer:
    from imgbuild.fetch.exchange import exchange

    with exchange(method, url, headers, limits, deadline) as reply:
        if reply.status in AGAIN:
            wait = retry_after(reply.headers.get("Retry-After"))
            raise Failure(f"the server answers with status {reply.status}", again=True, wait=wait)
        body = bytearray()
        for block in reply.blocks():
            body += block
            if len(body) > limits.max_bytes:
                raise Failure(f"the answer has more than {limits.max_bytes} bytes")
        return Answer(reply.status, reply.headers, bytes(body))
