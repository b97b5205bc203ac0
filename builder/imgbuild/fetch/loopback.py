"""A server on the loopback interface for the time of a block: what forward.py and relay.py have in common."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Loopback(socketserver.ThreadingTCPServer):
    """At a free port of 127.0.0.1, each connection in a thread of its own. The end of the block waits for none."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that goes away is not an error, and it sees what the server answers."""


@contextmanager
def serving(server: Loopback) -> Iterator[str]:
    """The address at which ``server`` answers."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
