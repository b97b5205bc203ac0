"""A package mirror that asks for a login or a client certificate, with an authority of its own."""

from __future__ import annotations

import base64
import datetime
import functools
import http.server
import io
import ipaddress
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from imgbuild.fetch.exchange import exchange
from imgbuild.fetch.limits import Limits
from tests.support.mirror import Mirror

LOGIN = ("nodes", 'p%40s:"s\\w#r;d$1')
"""With everything that a file of a login could misread, but blanks."""
DAY = datetime.timedelta(days=1)


class Authority:
    """It signs certificates; ``pem`` is its own."""

    def __init__(self, name: str = "Mirrors CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._signed(self._name, self._key, ca=True, end=3650)

    def issue(self, name: str, *, kind: str = "ec", end: int = 365) -> tuple[str, str]:
        """A certificate and its key, for a client as for a server on the loopback interface."""
        key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        form = serialization.PrivateFormat.PKCS8
        text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        return self._signed(subject, key, ca=False, end=end), text

    def _signed(
        self, subject: x509.Name, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, ca: bool, end: int
    ) -> str:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 400 * DAY)
            .not_valid_after(now + end * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()


@contextmanager
def asking(
    folder: Path, place: Path, authority: Authority | None = None, *, login: tuple[str, str] | None = None,
    certificate: bool = False, behind: Mapping[str, str] | None = None,
) -> Iterator[Mirror]:  # fmt: skip
    """A mirror of ``folder``: over https with an ``authority``, asking for a login, a client certificate or both.

    ``asked`` has the paths that were given out. Its own key is kept in ``place``. ``behind``: where folders come from
    another mirror, its address by their name.
    """
    asked: list[str] = []
    wanted = "Basic " + base64.b64encode(":".join(login).encode()).decode() if login else ""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def send_head(self):  # type: ignore[no-untyped-def]
            if wanted and self.headers.get("Authorization", "") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            asked.append(self.path)
            name, _, rest = self.path[1:].partition("/")
            if behind is None or name not in behind:
                return super().send_head()
            with exchange(self.command, f"{behind[name]}/{rest}", {}, Limits()) as reply:
                self.send_response(reply.status)
                self.send_header("Content-Length", str(reply.length or 0))
                self.end_headers()
                return io.BytesIO(b"".join(reply.blocks()) if reply.length else b"")

        def log_message(self, *args: object) -> None:
            """Nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: who shows no certificate is refused."""

    folder.mkdir(parents=True, exist_ok=True)
    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            own, key = authority.issue("mirror")
            place.mkdir(parents=True, exist_ok=True)
            (place / "server.pem").write_text(own + key)
            (place / "ca.pem").write_text(authority.pem)
            context.load_cert_chain(place / "server.pem")
            if certificate:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(place / "ca.pem")
            # The handshake belongs to the thread of the request: one client must not block the others.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        scheme = "http" if authority is None else "https"
        try:
            yield Mirror(folder, f"{scheme}://localhost:{server.server_address[1]}", asked)
        finally:
            server.shutdown()
            thread.join()
