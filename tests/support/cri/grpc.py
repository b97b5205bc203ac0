"""Unary gRPC calls over a unix socket, with the h2 library for HTTP/2 (gRPC's "PROTOCOL-HTTP2.md")."""

from __future__ import annotations

import socket
import struct
import urllib.parse

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived


class GrpcError(Exception):
    """The server answered with a status that isn't OK, or not with gRPC at all."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"gRPC status {code}: {message}")
        self.code = code


UNAVAILABLE = 14
UNIMPLEMENTED = 12
NOT_FOUND = 5


def call(path: str, method: str, request: bytes, *, timeout: float = 60.0) -> bytes:
    """Call ``method`` ("/package.Service/Name") of the server at the socket ``path``: the encoded response.

    One connection a call: simple, and soon enough for a dozen calls. ``timeout`` in seconds is for each read.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(path)
        except OSError as error:
            raise GrpcError(UNAVAILABLE, f"{path}: {error.strerror}") from error
        return _Exchange(connection).run(method, request)


class _Exchange:
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._ended = False

    def run(self, method: str, request: bytes) -> bytes:
        self._h2.initiate_connection()
        stream = self._h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        self._h2.send_headers(stream, headers)
        # Requests here are far smaller than the first window of 64 KiB.
        self._h2.send_data(stream, struct.pack(">BI", 0, len(request)) + request, end_stream=True)
        self._socket.sendall(self._h2.data_to_send())
        while not self._ended:
            data = self._socket.recv(65536)
            if not data:
                raise GrpcError(UNAVAILABLE, "the server closed the connection")
            for event in self._h2.receive_data(data):
                self._take(event)
            self._socket.sendall(self._h2.data_to_send())
        return self._result()

    def _take(self, event: object) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            self._headers.update((str(name), str(value)) for name, value in event.headers or [])
        elif isinstance(event, DataReceived):
            self._body += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, StreamEnded):
            self._ended = True
        elif isinstance(event, StreamReset | ConnectionTerminated):
            raise GrpcError(UNAVAILABLE, f"the server broke off: error {event.error_code}")

    def _result(self) -> bytes:
        status = self._headers.get("grpc-status")
        if status is None:
            raise GrpcError(UNAVAILABLE, f"no gRPC answer (HTTP status {self._headers.get(':status')})")
        if status != "0":
            raise GrpcError(int(status), urllib.parse.unquote(self._headers.get("grpc-message", "")))
        compressed, size = struct.unpack_from(">BI", self._body)
        if compressed or len(self._body) != 5 + size:
            raise GrpcError(UNAVAILABLE, "the answer is not one uncompressed message")
        return bytes(self._body[5:])
