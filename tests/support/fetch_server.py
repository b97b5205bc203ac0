"""A server on the loopback device that sends exactly what a test tells it to, byte by byte if need be."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

CONTENT = bytes(range(256)) * 1200  # 300 KiB, more than one block
Act = Callable[["Talk"], None]


class Talk:
    """One request and the connection it came on."""

    def __init__(self, connection: socket.socket, request: str, number: int, server: Server) -> None:
        self.connection = connection
        self.request = request
        self.number = number
        self.server = server

    def header(self, name: str) -> str | None:
        found = re.search(rf"(?im)^{name}: *(.*?)\r?$", self.request)
        return found[1] if found else None

    @property
    def start(self) -> int:
        wanted = self.header("Range")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def head(self, status: str, *headers: str) -> None:
        self.send("\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode("latin-1"))

    def drip(self, data: bytes, seconds: float = 0.02) -> None:
        """A byte at a time, until the other side has had enough."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if self.server.closing.wait(seconds):
                return

    def flood(self, data: bytes) -> None:
        """The same over and over, until the other side has had enough."""
        while not self.server.closing.is_set():
            self.send(data)

    def hang(self) -> None:
        self.server.closing.wait(30)


class Server:
    """``acts`` answer one request each; the last one answers all that follow."""

    def __init__(self, *acts: Act, tls: ssl.SSLContext | None = None, greet: bool = False) -> None:
        """``greet``: act at once, whatever comes."""
        self._tls, self._greet = tls, greet
        self.connections = 0
        self._acts: Sequence[Act] = acts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.requests: list[str] = []
        self.closing = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/base.qcow2"

    def ranges(self) -> list[str | None]:
        return [Talk(self._listener, r, 0, self).header("Range") for r in self.requests]

    def __enter__(self) -> Server:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        connection.settimeout(10)
        with connection, suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                request = b""
                while b"\r\n\r\n" not in request and not self._greet:
                    block = connection.recv(4096)
                    if not block:
                        return
                    request += block
                self.requests.append(request.decode("latin-1"))
                number = len(self.requests)
                act = self._acts[min(number, len(self._acts)) - 1]
                act(Talk(connection, self.requests[-1], number, self))
                # Let the other side read what was sent before it sees the end.
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(2)
                while connection.recv(4096):
                    pass


def right(talk: Talk) -> None:
    """As a good server: ranges, a strong ETag."""
    start = talk.start
    tag = '"one"'
    if talk.header("If-Range") not in (None, tag):
        start = 0
    if start >= len(CONTENT):
        talk.head("416 Range Not Satisfiable", f"Content-Range: bytes */{len(CONTENT)}", "Content-Length: 0")
        return
    headers = [f"Content-Length: {len(CONTENT) - start}", f"ETag: {tag}"]
    if start:
        headers.append(f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    talk.head("206 Partial Content" if start else "200 OK", *headers)
    talk.send(CONTENT[start:])


def cut(end: int, *headers: str) -> Act:
    """The first ``end`` bytes of the right answer, then the end of the connection."""

    def act(talk: Talk) -> None:
        talk.head("200 OK", f"Content-Length: {len(CONTENT)}", *headers)
        talk.send(CONTENT[:end])

    return act


def status(line: str, *headers: str, body: bytes = b"") -> Act:
    def act(talk: Talk) -> None:
        talk.head(line, *headers, f"Content-Length: {len(body)}")
        talk.send(body)

    return act


def raw(data: bytes) -> Act:
    """These bytes and no more."""
    return lambda talk: talk.send(data)


def slow(seconds: float) -> Act:
    def act(talk: Talk) -> None:
        time.sleep(seconds)
        right(talk)

    return act
