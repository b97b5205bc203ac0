"""The server on the loopback interface that mmdebstrap asks in place of a mirror with a login."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from imgbuild.fetch.relay import relayed
from tests.support.fetch_server import CONTENT, Server, cut, right, status


def ask(base: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def origin(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_what_is_below_the_base_and_nothing_else() -> None:
    with Server(right) as server, Server(right) as other, relayed(origin(server)) as base:
        assert ask(base, "/dists/bookworm/InRelease") == (200, CONTENT)
        assert ask(base, "/x", "HEAD") == (200, b"")
        # Without a slash the base's host would be a user name, and this the host.
        assert ask(base, f"@127.0.0.1:{other.port}/x")[0] == 400
        assert other.ranges() == []


def test_what_the_mirror_lacks_and_a_transfer_that_ends_early() -> None:
    with Server(status("404 Not Found")) as server, relayed(origin(server)) as base:
        assert ask(base, "/x")[0] == 404
    with Server(cut(1000)) as server, relayed(origin(server)) as base, pytest.raises(http.client.IncompleteRead):
        ask(base, "/x")
    with relayed("http://127.0.0.1:9") as base:
        assert ask(base, "/x")[0] == 502
