"""Files over HTTP: aiohttp sends them by sendfile, with ranges; how far a machine is, the kernel tells."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

LARGE = 16 << 20
"""Bytes from which on a file is shown with its progress."""
_INTERVAL = 1.0
_TCP_INFO_BYTES, _BYTES_ACKED = 160, 120  # struct tcp_info, linux/tcp.h: tcpi_bytes_acked, Linux 4.1
_TEXT = (".ipxe", ".cfg", ".conf", ".txt")


class OpenFile(web.FileResponse):
    """An answer with a file that is open already, and closed when it is sent.

    By its descriptor: between finding a file by its name and opening it again, somebody could replace it by a link.
    ``progress`` gets the bytes of a large file that have arrived, and all of them.
    """

    def __init__(self, descriptor: int, name: str, progress: Callable[[int, int], None]) -> None:
        super().__init__(f"/proc/self/fd/{descriptor}")
        self.content_type = "text/plain" if name.endswith(_TEXT) else "application/octet-stream"
        self._descriptor, self._progress = descriptor, progress

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it; aiohttp calls this once."""
        size = os.fstat(self._descriptor).st_size
        watching = None
        if size >= LARGE and request.method == "GET":
            watching = asyncio.create_task(_watch(request, size, self._progress))
        try:
            writer = await super().prepare(request)
        finally:
            os.close(self._descriptor)
            if watching is not None:
                watching.cancel()
        if watching is not None and self.status == 200:
            self._progress(size, size)
        return writer


async def _watch(request: web.BaseRequest, size: int, progress: Callable[[int, int], None]) -> None:
    start = 0
    with suppress(ValueError):  # aiohttp answers a bad range
        start = max(request.http_range.start or 0, 0)
    before = acknowledged(request.transport)
    while before is not None:
        await asyncio.sleep(_INTERVAL)
        now = acknowledged(request.transport)
        if now is None:
            return
        progress(start + now - before, size)


def acknowledged(transport: asyncio.BaseTransport | None) -> int | None:
    """Bytes of a connection that the other end has confirmed; None if it is gone, or this kernel does not tell."""
    end = transport.get_extra_info("socket") if transport is not None else None
    if end is None:
        return None
    try:
        info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(info) < _BYTES_ACKED + 8:
        return None
    (acked,) = struct.unpack_from("=Q", info, _BYTES_ACKED)
    return int(acked)
