"""A client of the API server, by a kubeconfig."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_ANSWER = 120
"""Seconds: client-go waits for as long as it takes, and an emulated server beside another one takes its time."""


class ApiError(Exception):
    """The server's answer, when it is no success."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def kubeconfig(server: str, ca: bytes, user: str, credentials: dict[str, Any], cluster: str = "kubernetes") -> str:
    """As kubeadm writes them: one cluster, one user, one context."""
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "clusters": [
            {
                "cluster": {"certificate-authority-data": base64.b64encode(ca).decode(), "server": server},
                "name": cluster,
            }
        ],
        "contexts": [{"context": {"cluster": cluster, "user": user}, "name": f"{user}@{cluster}"}],
        "current-context": f"{user}@{cluster}",
        "kind": "Config",
        "preferences": {},
        "users": [{"name": user, "user": credentials}],
    }
    return yaml.safe_dump(document, width=1_000_000)


def certificate_user(certificate: bytes, key: bytes) -> dict[str, str]:
    return {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }


class Client:
    """Calls one server. Raises ApiError for an answer that is no success, OSError when there is none."""

    def __init__(self, server: str, ca: bytes | None, certificate: bytes = b"", token: str = "") -> None:
        """``certificate`` is PEM, its key behind it. Without a CA the server is not verified."""
        self.server = urlsplit(server)
        self._token = token
        if ca is None:
            self._tls = ssl._create_unverified_context()  # noqa: S323 - before the CA is known, as kubeadm
        else:
            self._tls = ssl.create_default_context(cadata=ca.decode())
        if certificate:
            with tempfile.NamedTemporaryFile() as pem:
                pem.write(certificate)
                pem.flush()
                self._tls.load_cert_chain(pem.name)

    @classmethod
    def of(cls, path: Path) -> Client:
        """By the kubeconfig at ``path``."""
        document = yaml.safe_load(path.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        ca = base64.b64decode(cluster["certificate-authority-data"])
        pem = b""
        if "client-certificate-data" in user:
            pem = b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
        elif "client-certificate" in user:
            pem = Path(user["client-certificate"]).read_bytes()
        return cls(cluster["server"], ca, pem, user.get("token", ""))

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """JSON in, JSON out (text, where the server sends text)."""
        host, port = self.server.hostname or "", self.server.port or 443
        connection = http.client.HTTPSConnection(host, port, timeout=10, context=self._tls)
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        try:
            connection.connect()
            connection.sock.settimeout(_ANSWER)
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if answer.status >= 300:
            try:
                text = json.loads(data)["message"]
            except (ValueError, KeyError, TypeError):
                text = data.decode(errors="replace")
            raise ApiError(answer.status, text)
        return (
            json.loads(data) if answer.getheader("Content-Type", "").startswith("application/json") else data.decode()
        )

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def put(self, path: str, name: str, body: dict[str, Any]) -> Any:
        """Create it below ``path``, or put it in the place of what is there."""
        try:
            return self.call("POST", path, body)
        except ApiError as error:
            if error.code != 409:
                raise
            return self.call("PUT", f"{path}/{name}", body)

    def merge(self, path: str, body: dict[str, Any]) -> Any:
        return self.call("PATCH", path, body, "application/merge-patch+json")
