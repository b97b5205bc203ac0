"""A proxy on the loopback interface that adds the login of the site's proxy.

So tools get a proxy without a login: diskimage-builder puts http_proxy into command lines, which every account can
read, and into a file of the image while it is built.
"""

from __future__ import annotations

import base64
import selectors
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

from imgbuild.fetch.loopback import Loopback, serving

_HEAD_BYTES = 64 << 10
_IDLE_SECONDS = 300
_DROPPED = frozenset({b"proxy-authorization", b"proxy-connection"})


@contextmanager
def forwarded(url: str) -> Iterator[str]:
    """The address of a proxy on 127.0.0.1 that hands requests on to ``url``, with the login in it."""
    with serving(_Server(url)) as address:
        yield address


class _Server(Loopback):
    def __init__(self, url: str) -> None:
        super().__init__(_Handler)
        parts = urlsplit(url)
        self.upstream = (parts.hostname or "", parts.port or 0)
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self.header = b"Proxy-Authorization: Basic " + base64.b64encode(login.encode())


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """One request, or one tunnel."""
        head, rest = _head(self.request)
        if not head:
            return
        first, *lines = head.split(b"\r\n")
        kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in _DROPPED]
        if not first.startswith(b"CONNECT "):
            # A next request on this connection would lack the login.
            kept = [line for line in kept if line.partition(b":")[0].strip().lower() != b"connection"]
            kept.append(b"Connection: close")
        try:
            upstream = socket.create_connection(self.server.upstream, timeout=30)
        except OSError:
            self.request.sendall(b"HTTP/1.1 502 The proxy does not answer\r\nContent-Length: 0\r\n\r\n")
            return
        with upstream:
            upstream.sendall(b"\r\n".join([first, *kept, self.server.header, b"", b""]) + rest)
            _splice(self.request, upstream)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """The request without the empty line at its end, and what has come after it; nothing if there is no request."""
    client.settimeout(_IDLE_SECONDS)
    data = b""
    while b"\r\n\r\n" not in data:
        block = client.recv(65536) if len(data) < _HEAD_BYTES else b""
        if not block:
            return b"", b""
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Copy in both directions until both have ended, or nothing has come for a while."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            ready = selector.select(_IDLE_SECONDS)
            if not ready:
                return
            for key, _ in ready:
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)  # noqa: S101 - registered above
                block = source.recv(65536)
                if block:
                    target.sendall(block)
                    continue
                selector.unregister(source)
                with suppress(OSError):
                    target.shutdown(socket.SHUT_WR)
