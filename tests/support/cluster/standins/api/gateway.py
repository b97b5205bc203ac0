"""etcd's JSON gateway, as far as first boot asks it: the list of members, and one taken out. etcd 3.6.5's words."""

from __future__ import annotations

import json
import ssl
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from tests.support.cluster.standins import place
from tests.support.cluster.standins.api.members import PORT, Members, NoQuorum, host, identity

_CALLS = "/v3/cluster/member/"


class Gateway(BaseHTTPRequestHandler):
    """Only who has a certificate of etcd's CA comes here."""

    protocol_version = "HTTP/1.1"
    members: ClassVar[Members]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class has
        return

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        try:
            self.members.need_quorum()
            self._send(*self._answer(self.path.removeprefix(_CALLS), data))
        except NoQuorum as error:
            self._send(503, {"code": 14, "message": str(error)})

    def _answer(self, call: str, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        known = {identity(server): server for server in self.members.listed()}
        if call == "remove":
            if data.get("ID") not in known:
                return 404, {"code": 5, "message": "etcdserver: member not found"}
            self.members.leave(known.pop(data["ID"]))
        elif call != "list":
            return 404, {"code": 5, "message": "Not Found"}
        listed = [
            {
                "ID": number,
                "name": host(server),
                "peerURLs": [f"https://{host(server)}:2380"],
                "clientURLs": [f"https://{host(server)}:{PORT}"],
            }
            for number, server in known.items()
        ]
        return 200, {"header": {"cluster_id": "1", "member_id": "2", "raft_term": "3"}, "members": listed}

    def _send(self, code: int, document: dict[str, Any]) -> None:
        data = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def tls() -> ssl.SSLContext:
    """kubeadm's --client-cert-auth=true."""
    folder = place.PKI / "etcd"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
