"""A package mirror for tests: a real HTTP server on the loopback interface."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Mirror:
    """A real HTTP server on the loopback interface."""

    folder: Path
    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[Mirror]:
    """A mirror of ``folder``, which is made, until the end of the block; on ``port`` if that is free.

    The address is part of what a root file system is made from: the cache has one only for a mirror of the same port.
    """
    folder.mkdir()
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            asked.append(self.path)

        def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class has
            pass

    with listening(functools.partial(Handler, directory=str(folder)), port) as found:
        yield Mirror(folder, f"http://127.0.0.1:{found}", asked)


@contextmanager
def listening(handler: Callable[..., http.server.BaseHTTPRequestHandler], port: int = 0) -> Iterator[int]:
    """An HTTP server on the loopback interface until the end of the block; gives its port, ``port`` if that is free."""
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
