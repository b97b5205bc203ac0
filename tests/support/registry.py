"""A real registry (Debian's docker-registry) behind a front that records what it is asked, as Harbor would serve it."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.client
import http.server
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imgbuild.facts.images import Image
from tests.support.deadline import HUNG, Deadline

_CONFIG = """
version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
"""
_TLS = ", tls: {{certificate: {}, key: {}}}"
_LOGIN = "auth: {{htpasswd: {{realm: test, path: {}}}}}\n"
ROBOT = "robot:secret"
"""The login of `docker_registry` with ``login``."""
_HTPASSWD = "robot:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def docker_registry(folder: Path, *, tls: Authority | None = None, login: bool = False) -> Iterator[int]:
    """docker-registry with an empty storage below ``folder``; gives its port.

    ``tls``: over https with this certificate, else over plain http. ``login``: it requires that of `ROBOT`.
    """
    folder.mkdir()
    port = free_port()
    (folder / "htpasswd").write_text(_HTPASSWD)
    text = _CONFIG.format(
        folder=folder / "storage", port=port, tls=_TLS.format(tls.server, tls.key) if tls is not None else ""
    )
    (folder / "config.yml").write_text(text + (_LOGIN.format(folder / "htpasswd") if login else ""))
    # REGISTRY_AUTH_FILE is skopeo's, and docker-registry would take it for its own key auth.file.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    argv = ["docker-registry", "serve", str(folder / "config.yml")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
    try:
        deadline = Deadline(60)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and not deadline.passed(), (folder / "log").read_text()
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=HUNG)


def push(port: int, name: str, archive: Path) -> None:
    """Put the image of an OCI layout (a tar) into a registry, as ``name``: path:tag."""
    path, _, tag = name.rpartition(":")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(method: str, place: str, body: bytes = b"", kind: str = "application/octet-stream") -> str:
        connection.request(method, place, body, {"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (201, 202), f"{method} {place}: {answer.status}"
        return answer.getheader("Location") or ""

    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        text = {found: file.read() for found, file in files.items() if file is not None}
    (entry,) = json.loads(text["index.json"])["manifests"]
    manifest = text[f"blobs/sha256/{entry['digest'][7:]}"]
    parsed = json.loads(manifest)
    for blob in (parsed["config"], *parsed["layers"]):
        place = urlsplit(ask("POST", f"/v2/{path}/blobs/uploads/"))
        query = f"{place.query}&digest={blob['digest']}"
        ask("PUT", f"{place.path}?{query}", text[f"blobs/sha256/{blob['digest'][7:]}"])
    ask("PUT", f"/v2/{path}/manifests/{tag}", manifest, parsed["mediaType"])
    connection.close()


def push_each(port: int, images: Sequence[Image], archive: Path) -> str:
    """Push one archive under all these names; gives the --set by which a profile gets them from there."""
    for image in images:
        push(port, f"{image.path}:{image.tag}", archive)
    here = {"server": f"http://127.0.0.1:{port}"}
    return f"containerd.registries={json.dumps({image.registry: here for image in images})}"


def push_index(port: int, name: str, archives: dict[str, Path]) -> str:
    """Put an image of several platforms (architecture: OCI layout) into a registry; gives the index's digest."""
    path, _, tag = name.rpartition(":")
    entries = []
    for architecture, archive in archives.items():
        push(port, f"{path}:{architecture}", archive)
        with tarfile.open(archive) as tar:
            file = tar.extractfile("index.json")
            assert file is not None
            (entry,) = json.loads(file.read())["manifests"]
        platform = {"os": "linux", "architecture": architecture}
        entries.append({key: entry[key] for key in ("mediaType", "digest", "size")} | {"platform": platform})
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", f"/v2/{path}/manifests/{tag}", index, {"Content-Type": kind})
    assert connection.getresponse().status == 201
    connection.close()
    return f"sha256:{hashlib.sha256(index).hexdigest()}"


@dataclass(frozen=True)
class Authority:
    """An authority of one's own and a server certificate that it signed."""

    certificate: str
    server: Path
    key: Path


def authority(folder: Path, *hosts: str, expired: bool = False) -> Authority:
    """A new one, with a certificate for ``hosts``, by default 127.0.0.1; ``expired``: one of last year."""
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)
    names = {"ca": f"imgbuild test CA {folder.name}", "server": "a server"}
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in names}
    subject = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for name, text in names.items()}

    def signed(name: str, extension: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder().subject_name(subject[name]).issuer_name(subject["ca"])
        builder = builder.public_key(keys[name].public_key()).serial_number(x509.random_serial_number())
        day = datetime.timedelta(days=1)
        until = now - 300 * day if expired and name == "server" else now + 2 * day
        builder = builder.not_valid_before(now - 365 * day).not_valid_after(until)
        builder = builder.add_extension(extension, critical=True)
        return builder.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    own: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    alternative = x509.SubjectAlternativeName(own or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    (folder / "server.crt").write_bytes(signed("server", alternative))
    secret = keys["server"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(secret)
    ca = signed("ca", x509.BasicConstraints(ca=True, path_length=0)).decode()
    return Authority(ca, folder / "server.crt", folder / "server.key")


@dataclass
class Front:
    """``asked`` has the method and path of each request, and whether it came with the right login."""

    port: int = 0
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """The paths, without the query that names the registry that is mirrored."""
        return [path.partition("?")[0] for _, path, _ in self.asked]


@contextmanager
def front(
    backend: int, *, project: str = "", login: str = "", bearer: bool = False, tls: Authority | None = None
) -> Iterator[Front]:
    """A front on a port of its own: images are below ``/v2/project``; ``login`` (user:password) is required.

    ``bearer``: the login is exchanged for a token first, as at Docker Hub and Harbor.
    """
    found = Front()
    prefix = f"/v2/{project}/" if project else "/v2/"

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            basic = "Basic " + base64.b64encode(login.encode()).decode()
            right = not login or given == ("Bearer good" if bearer else basic)
            found.asked.append((self.command, self.path, right))
            if bearer and self.path.startswith("/token"):
                self.answer(*((200, {"token": "good"}) if given == basic else (401, {})))
            elif not right:
                realm = f'Bearer realm="{scheme}://{found.host}/token",service="test"' if bearer else 'Basic realm="x"'
                self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": realm})
            elif self.path.startswith(prefix):
                self.forward("/v2/" + self.path[len(prefix) :])
            else:
                self.answer(404, {"errors": [{"code": "NAME_UNKNOWN"}]})

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:
            """OAuth 2: containerd asks this way first."""
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            right = [form.get(key) for key in ("username", "password")] == [[word] for word in login.split(":")]
            found.asked.append((self.command, self.path, right))
            self.answer(*((200, {"access_token": "good"}) if right else (401, {})))

        def answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def forward(self, path: str) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", backend, timeout=30)
            connection.request(self.command, path, headers={"Accept": ", ".join(self.headers.get_all("Accept") or [])})
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name in ("Content-Type", "Docker-Content-Digest", "Content-Length"):
                if answer.getheader(name) is not None:
                    self.send_header(name, str(answer.getheader(name)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    scheme = "https" if tls is not None else "http"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
