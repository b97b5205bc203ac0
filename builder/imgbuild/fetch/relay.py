"""A server on the loopback interface in place of a mirror that asks for a login or is signed by the site's authority.

mmdebstrap fetches with the build host's apt, whose configuration imgbuild does not change, and which knows the host's
authorities alone.
"""

from __future__ import annotations

import http.server
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from imgbuild.fetch.failure import Failure
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.loopback import Loopback, serving

_PASSED = ("Content-Type", "Last-Modified")


@contextmanager
def relayed(base: str) -> Iterator[str]:
    """The address at which everything below ``base`` is served, on 127.0.0.1."""
    with serving(_Server(base)) as address:
        yield address


class _Server(Loopback):
    def __init__(self, base: str) -> None:
        super().__init__(_Handler)
        self.base = base.rstrip("/")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """The file of the mirror."""
        self._answer()

    def do_HEAD(self) -> None:
        """Whether the mirror has it."""
        self._answer()

    def _answer(self) -> None:
        from imgbuild.fetch.exchange import exchange

        if not self.path.startswith("/"):  # behind a base without a path, @HOST would be another host
            self.send_error(400)
            return
        sent = False
        try:
            with exchange(self.command, self.server.base + self.path, {}, Limits()) as reply:
                self.send_response(reply.status)
                for name in _PASSED:
                    if name in reply.headers:
                        self.send_header(name, reply.headers[name])
                if reply.length is not None:
                    self.send_header("Content-Length", str(reply.length))
                self.end_headers()
                sent = True
                for block in reply.blocks() if self.command == "GET" else ():
                    self.wfile.write(block)
        except Failure as error:
            # After the head the connection just ends: the length tells that something is missing.
            if not sent:
                with suppress(OSError):
                    self.send_error(502, str(error))

    def log_message(self, *args: object) -> None:
        """Nothing."""
