"""End a transfer that has stalled, wherever it hangs.

A socket's timeout counts from the last byte: a server that sends one byte a second, a header without an end or one
"100 Continue" after the other never reaches it. So a thread counts the bytes of the body, and shuts the
connection down. It has its own descriptor, because TLS takes over the first one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

from imgbuild.fetch.failure import Failure
from imgbuild.fetch.limits import Limits


class Watch:
    """One request and its redirects. Use it as a context manager; ``got`` counts bytes of the body."""

    def __init__(self, limits: Limits, deadline: float) -> None:
        """``deadline``: a second of time.monotonic() at which everything must have ended."""
        self._limits = limits
        self._deadline = deadline
        self._sockets: list[socket.socket] = []
        self._bytes = 0
        self._why = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="imgbuild-fetch-watch")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for held in self._sockets:
            held.close()

    def hold(self, connection: socket.socket) -> None:
        """Watch this connection too."""
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))
            late = bool(self._why)
        if late:
            self._shut()

    def got(self, count: int) -> None:
        """Count received bytes of the body."""
        self._bytes += count

    def check(self) -> None:
        """Find out whether the watch has ended the transfer: the reader only sees the end of the data.

        Raises:
            Failure: it has.
        """
        if self._why:
            raise Failure(self._why, again=True)

    def _look(self) -> None:
        limits = self._limits
        since, seen = time.monotonic(), 0
        while not self._ended.wait(min(1.0, limits.stall_seconds / 10)):
            now = time.monotonic()
            if self._bytes - seen >= limits.stall_bytes:
                since, seen = now, self._bytes
            if now >= self._deadline:
                self._why = "it took too long in total"
            elif now - since >= limits.stall_seconds:
                self._why = f"the server has stalled: {self._bytes - seen} bytes in {limits.stall_seconds:g} s"
            else:
                continue
            self._shut()
            return

    def _shut(self) -> None:
        with self._lock:
            for held in self._sockets:
                with suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
