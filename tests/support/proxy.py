"""A site for tests: a web server, and tinyproxy with a login, which alone resolves the site's names."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.deadline import HUNG, Deadline

LOGIN = "bob:s3cret-of-bob"


@dataclass(frozen=True)
class Site:
    """``url`` is the proxy's address with its login, ``port`` the web server's, ``file`` what it serves as /file."""

    url: str
    port: int
    file: Path
    _log: Path

    def log(self) -> str:
        """What the proxy has been asked."""
        return self._log.read_text(errors="replace")

    @staticmethod
    @contextmanager
    def running(folder: Path) -> Iterator[Site]:
        """Both servers, for the time of a test."""
        served = folder / "served"
        (served / "repo").mkdir(parents=True)
        (served / "file").write_text("the file\n")
        (served / "repo/Packages").write_text(
            "Package: pet\nVersion: 1\nArchitecture: all\nFilename: pet.deb\nSize: 1\n"
        )
        handler = partial(_Quiet, directory=str(served))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            port = _free_port()
            log = folder / "proxy.log"
            proxy = _tinyproxy(folder, port, log, server.server_address[1])
            try:
                yield Site(f"http://{LOGIN}@127.0.0.1:{port}", server.server_address[1], served / "file", log)
            finally:
                proxy.terminate()
                proxy.wait(timeout=HUNG)
                server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that a proxy can ask like another proxy."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def do_CONNECT(self) -> None:
        """The tunnel ends here: requests in it are the server's."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = False  # tinyproxy asks in HTTP/1.0

    def translate_path(self, path: str) -> str:
        """Also of a whole address."""
        return super().translate_path(urlsplit(path).path)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _tinyproxy(folder: Path, port: int, log: Path, upstream: int) -> subprocess.Popen[bytes]:
    user, password = LOGIN.split(":")
    # Nobody resolves names below .invalid. tinyproxy hands them on to the web server as to another proxy, so whatever
    # arrives there has come through tinyproxy.
    (folder / "tinyproxy.conf").write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 60\nLogFile "{log}"\nLogLevel Info\nMaxClients 20\n'
        f'BasicAuth {user} {password}\nUpstream http 127.0.0.1:{upstream} ".corp.invalid"\n'
    )
    process = subprocess.Popen(
        ["tinyproxy", "-d", "-c", str(folder / "tinyproxy.conf")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = Deadline(60)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        assert process.poll() is None and not deadline.passed(), "tinyproxy does not start"
        time.sleep(0.05)
