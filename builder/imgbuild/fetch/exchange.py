"""One request: through the environment's proxy, following redirects, with the body in blocks.

Import it only where a request follows: importing urllib3 opens a socket, to learn whether the host has IPv6.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from imgbuild import __version__
from imgbuild.fetch.address import basic, redirected, same_origin, shown, split
from imgbuild.fetch.broken import BROKEN, failure
from imgbuild.fetch.failure import Failure
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.logins import login_at
from imgbuild.fetch.watch import Watch

_BLOCK = 1 << 18  # a socket has no more at once; memory for a whole MiB would be fresh, and empty, for each read
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET = frozenset({"authorization", "cookie"})


class Reply:
    """The answer of the last address of the redirects; the body is still to be read."""

    def __init__(self, response: BaseHTTPResponse, watch: Watch) -> None:
        self._response = response
        self._watch = watch
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.length = _length(response)
        self.ends = self.length is not None or "Transfer-Encoding" in response.headers
        """Whether the body's end is marked; else it is where the connection closes, cut or not."""

    def blocks(self) -> Iterator[bytes]:
        """The body as it is sent, never decoded: a sha256 is that of the file on the server.

        Raises:
            Failure: it broke, stalled or ended early.
        """
        while True:
            try:
                block = self._response.read1(_BLOCK, decode_content=False)
            except BROKEN as error:
                self._watch.check()
                raise failure(error) from error
            self._watch.check()
            if not block:
                return
            self._watch.got(len(block))
            yield block


@contextmanager
def exchange(
    method: str, url: str, headers: Mapping[str, str], limits: Limits, deadline: float | None = None
) -> Iterator[Reply]:
    """Send the request, follow redirects, and return the answer. Each host gets its own login (fetch/logins.py).

    Raises:
        Failure: there is none.
    """
    here, login = split(url)
    sent = {"User-Agent": f"imgbuild/{__version__}", "Accept-Encoding": "identity", **headers, **login}
    seen = {here}
    until = time.monotonic() + limits.total_seconds if deadline is None else deadline
    with Watch(limits, until) as watch:
        while True:
            with _sent(method, here, {**login_at(here).header, **sent}, limits, watch) as response:
                if response.status not in _REDIRECTS:
                    yield Reply(response, watch)
                    return
                target = redirected(here, response.headers.get("Location"))
            if target in seen:
                raise Failure(f"the server redirects in a loop, back to {shown(target)}")
            seen.add(target)
            if len(seen) > limits.redirects + 1:
                raise Failure(f"the server redirects more than {limits.redirects} times")
            if not same_origin(here, target):
                sent = {name: value for name, value in sent.items() if name.lower() not in _SECRET}
            here, _ = split(target)


@contextmanager
def _sent(
    method: str, url: str, headers: Mapping[str, str], limits: Limits, watch: Watch
) -> Iterator[BaseHTTPResponse]:
    timeout = urllib3.Timeout(connect=limits.connect_seconds, read=limits.stall_seconds)
    manager = _manager(url, watch)
    try:
        try:
            response = manager.urlopen(
                method, url, headers=headers, timeout=timeout,
                retries=False, redirect=False, preload_content=False, decode_content=False,
            )  # fmt: skip
        except BROKEN as error:
            watch.check()
            raise failure(error) from error
        watch.check()
        if response.status == 407:
            raise Failure("the proxy requires a login: set it in http_proxy or https_proxy")
        coding = response.headers.get("Transfer-Encoding", "chunked")
        if coding.strip().lower() != "chunked":
            raise Failure("the answer is not valid HTTP: its transfer encoding was not requested", again=True)
        try:
            yield response
        finally:
            response.close()
    finally:
        manager.clear()


def _length(response: BaseHTTPResponse) -> int | None:
    """Content-Length, which urllib3 and http.client ignore if it is not a number."""
    text = response.headers.get("Content-Length")
    if text is None or "Transfer-Encoding" in response.headers:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        raise Failure("the answer is not valid HTTP: its Content-Length is not a number", again=True)
    return int(text)


def _manager(url: str, watch: Watch) -> urllib3.PoolManager:
    """urllib3's own, whose connections are watched from their first byte."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            watch.hold(made)
            return made

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            watch.hold(made)
            return made

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    proxy, own = proxy_of(url), login_at(url)
    files: dict[str, Any] = {}
    if own.certificate is not None:
        files = {"cert_file": str(own.certificate), "key_file": str(own.key)}
    if proxy is None:
        manager = urllib3.PoolManager(num_pools=1, **files)
    else:
        place, login = proxy
        manager = urllib3.ProxyManager(place, num_pools=1, proxy_headers=login, **files)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return manager


def proxy_of(url: str) -> tuple[str, dict[str, str]] | None:
    """The proxy for this address and the header with its login, from the environment; None for a direct connection.

    Raises:
        Failure: the environment names one that cannot be used. Its login is not shown.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    name = next((n for n in (parts.scheme, "all") if proxies.get(n)), None)
    try:
        if name is None or proxy_bypass(parts.netloc):
            return None
        text = proxies[name]
        proxy = urlsplit(text if "://" in text else f"http://{text}")
        if proxy.scheme not in {"http", "https"}:
            raise Failure(f"the proxy in {name}_proxy is of a kind that is not supported: {proxy.scheme}")
        login, _, place = proxy.netloc.rpartition("@")
        if not proxy.hostname or proxy.port == 0:
            raise ValueError
        headers = {"proxy-authorization": basic(login)} if login else {}
    except (ValueError, UnicodeError):
        raise Failure(f"the proxy in {name}_proxy is not an address: set it to http://HOST:PORT") from None
    return f"{proxy.scheme}://{place}", headers
