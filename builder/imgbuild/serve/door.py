"""The door in front of the HTTP server: how many connections there may be, in all and from one address.

aiohttp bounds lines, headers and bodies; it ends a connection that sends no whole request in time. What is left is
their number, and a client that stops reading: the kernel ends that one (TCP_USER_TIMEOUT, tcp(7)).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import cast

from aiohttp import web

MOST, MOST_EACH = 2048, 64
"""Connections in all, and from one address."""
_STALLED_MS = 120_000


class _Door(asyncio.Protocol):
    """Hands a new connection to the server, or ends it."""

    def __init__(self, server: web.Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)
        there = self._server.connections
        address = peer(plain)
        same = sum(1 for other in there if other.transport is not None and peer(other.transport) == address)
        if len(there) >= MOST or same >= MOST_EACH:
            plain.abort()
            return
        plain.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)
        handler = self._server()
        plain.set_protocol(handler)
        handler.connection_made(plain)


def peer(transport: asyncio.BaseTransport) -> str:
    """The address at the other end; empty if the connection is gone."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if name else ""


async def listen(server: web.Server, where: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
    """Serve on a bound socket."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Door(server), sock=where, ssl=tls, backlog=512)
