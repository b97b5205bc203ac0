"""The server itself: paths, methods, watches. The kubelet stand-in starts it when the manifest is there."""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from tests.support.cluster.standins import place
from tests.support.cluster.standins.api import access, controllers, gateway, objects
from tests.support.cluster.standins.api.members import PORT, Members, NoQuorum
from tests.support.cluster.standins.api.resources import discovery, known, openapi
from tests.support.cluster.standins.api.store import Store


class Server(ThreadingHTTPServer):
    """TLS is spoken in each connection's own thread: a client that says nothing holds up nobody."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, tls: ssl.SSLContext, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6
        self._tls = tls
        super().__init__(("::", port), handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(600)
        try:
            with self._tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except (OSError, ssl.SSLError):
            return

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request after the other of one client."""

    protocol_version = "HTTP/1.1"
    store: ClassVar[Store]
    members: ClassVar[Members]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class has
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self.user.name} {format % args}\n")

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Date" and place.DATE.exists():
            ahead = place.DATE.read_text()
            if ahead == "none":
                return
            value = self.date_time_string(time.time() + float(ahead))
        super().send_header(keyword, value)

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as above

    user: access.User = access.ANONYMOUS

    def _answer(self) -> None:
        split = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(split.query))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        try:
            if not split.path.startswith(("/standin/", "/version")):
                self.members.need_quorum()
            self.user = self._who()
            if not access.may(self.store, self.user, self.command, split.path):
                raise objects.Answer(
                    403, "Forbidden", f'{split.path}: User "{self.user.name}" cannot {self.command.lower()} it'
                )
            self._route(split.path.rstrip("/") or "/", query, body)
        except objects.Answer as error:
            self._send(error.code, error.status())
        except NoQuorum as error:
            self._send(500, objects.Answer(500, "InternalError", str(error)).status())

    def _who(self) -> access.User:
        header = self.headers.get("Authorization", "")
        if header:
            user = access.of_token(self.store, header.removeprefix("Bearer "))
            if user is None:
                raise objects.Answer(401, "Unauthorized", "Unauthorized")
            return user
        assert isinstance(self.connection, ssl.SSLSocket)
        return access.of_certificate(dict(self.connection.getpeercert() or {})) or access.ANONYMOUS

    def _route(self, path: str, query: dict[str, str], body: bytes) -> None:
        if path.split("/")[1] in ("livez", "readyz", "healthz"):
            self._send(200, "ok")
        elif path == "/version":
            number = place.version()
            major, minor, _ = number.split(".")
            self._send(
                200,
                {
                    "major": major,
                    "minor": minor,
                    "gitVersion": f"v{number}",
                    "platform": "linux/amd64",
                    "gitCommit": "standin",
                    "gitTreeState": "clean",
                    "buildDate": "1970-01-01T00:00:00Z",
                    "goVersion": "none",
                    "compiler": "none",
                },
            )
        elif path == "/openapi/v2":
            self._send(200, "")  # in protobuf, a document without a schema: nothing is validated by the client
        elif path == "/standin/etcd":
            try:
                self._send(200, self.members.take(json.loads(body) if body else None))
            except ValueError as error:
                raise objects.Answer(500, "InternalError", str(error)) from error
        elif (document := discovery(path, known(self.store)) or openapi(path, known(self.store))) is not None:
            self._send(200, document)
        else:
            target = objects.target_of(path, known(self.store))
            if self.command == "GET" and query.get("watch") in ("true", "1"):
                self._watch(target, query)
            else:
                kind = self.headers.get("Content-Type", "")
                self._send(*objects.handle(self.store, self.command, target, query, body, kind))

    def _send(self, code: int, document: Any) -> None:
        text = isinstance(document, str)
        data = document.encode() if text else json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self, target: objects.Target, query: dict[str, str]) -> None:
        """Changes from ``resourceVersion`` on; without one, all that is there first."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        until = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        after = int(query.get("resourceVersion") or 0)
        if not after:
            with self.store.changed:
                after = self.store.revision
                there = objects.listed(self.store, target, query)
            for found in there:
                self._chunk({"type": "ADDED", "object": found})
        while (left := until - time.monotonic()) > 0:
            with self.store.changed:
                events = self.store.since(after)
                if not events:
                    self.store.changed.wait(min(left, 5))
                    events = self.store.since(after)
            for revision, what, key, found in events:
                after = revision
                if objects.chosen(target, query, key, found):
                    self._chunk({"type": what, "object": found})
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, document: Any) -> None:
        data = json.dumps(document).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def main(arguments: list[str]) -> int:
    """Serve until killed. The arguments are those of the manifest that mean something here."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("advertise-address", "tls-cert-file", "tls-private-key-file", "client-ca-file", "etcd-data-dir"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--secure-port", type=int, default=6443)
    parser.add_argument("--service-cluster-ip-range", required=True)
    told = parser.parse_args(arguments)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(told.tls_cert_file, told.tls_private_key_file)
    tls.load_verify_locations(told.client_ca_file)
    tls.verify_mode = ssl.CERT_OPTIONAL
    store = Store(Path(told.etcd_data_dir))
    Handler.store = store
    Handler.members = Members(store, f"https://{told.advertise_address}:{told.secure_port}")
    objects.seed(store, told.service_cluster_ip_range)
    gateway.Gateway.members = Handler.members
    etcd = Server(PORT, gateway.tls(), gateway.Gateway)
    threading.Thread(target=etcd.serve_forever, daemon=True).start()
    server = Server(told.secure_port, tls, Handler)
    stop = threading.Event()
    threading.Thread(target=controllers.run, args=(store, stop), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0
