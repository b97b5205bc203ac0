"""TLS, proxies and logins; who is told what."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imgbuild.fetch.address import shown
from imgbuild.fetch.ask import ask
from imgbuild.fetch.failure import FetchError
from tests.support.fetch_server import CONTENT, Server, Talk, raw, right, status
from tests.support.fetching import download
from tests.support.image.recorder import Recorder
from tests.unit.fetch.test_misbehaviour import LOGIN, QUICK, SUM

BASIC = b64encode(f"me:{LOGIN}".encode()).decode()
Variables = Callable[..., None]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    """Set exactly these proxy variables."""

    def put(**values: str) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    put()
    return put


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "server.pem"
    path.write_bytes(pem)
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_is_not_trusted_is_final(variables: Variables, certificate: Path, tmp_path: Path) -> None:
    with Server(right, tls=tls(certificate)) as server, pytest.raises(FetchError, match="certificate is not trusted"):
        download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
    assert server.connections == 1


def test_tls_that_the_host_trusts(
    variables: Variables, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own certificates count, not a list of a library's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Server(right, tls=tls(certificate)) as server:
        download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
    assert (tmp_path / "base").read_bytes() == CONTENT


def test_https_to_a_server_of_http(variables: Variables, tmp_path: Path) -> None:
    answer = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with Server(answer, greet=True) as server, pytest.raises(FetchError, match="no TLS connection"):
        download(server.url.replace("http:", "https:"), tmp_path / "base", SUM, Recorder(), QUICK)
    assert server.connections == 1


def test_a_handshake_a_byte_at_a_time_ends(variables: Variables, tmp_path: Path) -> None:
    """TLS has taken the socket over by then; no timeout of a socket ends it."""

    def drip(talk: Talk) -> None:
        talk.drip(b"\x16\x03\x03\x40\x00" + bytes(10_000))

    with Server(drip, greet=True) as server, pytest.raises(FetchError, match="stalled"):
        download(server.url.replace("http:", "https:"), tmp_path / "base", SUM, Recorder(), QUICK)


def test_https_is_not_left(
    variables: Variables, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Server(right) as plain:
        leave = status("302 Found", f"Location: {plain.url}?token={LOGIN}")
        with Server(leave, tls=tls(certificate)) as server:
            with pytest.raises(FetchError, match="redirects from https to http://127") as caught:
                download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
            assert LOGIN not in str(caught.value)
        assert not plain.requests


def test_a_login_is_told_to_its_own_server_only(variables: Variables, tmp_path: Path) -> None:
    with Server(right) as other:
        with Server(status("302 X", "Location: /further"), status("302 X", f"Location: {other.url}")) as server:
            url = server.url.replace("//", f"//me:{LOGIN}@")
            download(url, tmp_path / "base", SUM, Recorder(), QUICK)
            assert [f"Basic {BASIC}" in r for r in server.requests] == [True, True]
            assert not any("@" in r or LOGIN in r for r in server.requests)
        assert "Authorization" not in other.requests[0]
        assert BASIC not in other.requests[0]
    with Server(right) as other, Server(status("302 X", f"Location: {other.url}")) as server:
        ask(server.url, headers={"Authorization": f"Bearer {LOGIN}", "Cookie": LOGIN, "Accept": "x"}, limits=QUICK)
        assert LOGIN in server.requests[0]
        assert LOGIN not in other.requests[0]
        assert "Accept: x" in other.requests[0]


def test_a_login_in_a_redirect_is_not_used(variables: Variables, tmp_path: Path) -> None:
    with Server(right) as other:
        with Server(status("302 X", f"Location: {other.url.replace('//', f'//me:{LOGIN}@')}")) as server:
            download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
        assert "Authorization" not in other.requests[0]


def test_a_proxy_with_a_login(variables: Variables, tmp_path: Path) -> None:
    with Server(right) as proxy:
        variables(http_proxy=proxy.url.replace("//", f"//me:{LOGIN}@"))
        download("http://mirror.invalid/base.qcow2", tmp_path / "base", SUM, Recorder(), QUICK)
        assert proxy.requests[0].startswith("GET http://mirror.invalid/base.qcow2 ")
        assert f"proxy-authorization: Basic {BASIC}" in proxy.requests[0]
    assert (tmp_path / "base").read_bytes() == CONTENT


def test_no_proxy(variables: Variables, tmp_path: Path) -> None:
    with Server(right) as server:
        variables(http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.1")
        download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
        assert server.requests[0].startswith("GET /base.qcow2 ")


BAD = {
    "refuses": ("http", status("407 X"), "the proxy requires a login"),
    "refuses a tunnel": ("https", status("407 X"), "the proxy: Tunnel connection failed: 407"),
    "has no such host": ("https", status("502 X"), r"the proxy: Tunnel connection failed: 502 X \(tried 3 times\)"),
    "is not a proxy": ("https", raw(b"SSH-2.0-OpenSSH\r\n"), "the proxy|not valid HTTP"),
    "closes": ("https", raw(b""), "the proxy|closed|not valid HTTP"),
    "hangs": ("https", Talk.hang, "stalled|no answer in time"),
    "drips": ("https", lambda talk: talk.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9999), "stalled"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_proxy_that_misbehaves(kind: str, variables: Variables, tmp_path: Path) -> None:
    scheme, act, words = BAD[kind]
    with Server(act) as proxy:
        address = proxy.url.replace("//", f"//me:{LOGIN}@")
        variables(http_proxy=address, https_proxy=address)
        with pytest.raises(FetchError, match=words) as caught:
            download(f"{scheme}://mirror.invalid/x", tmp_path / "base", SUM, Recorder(), QUICK)
    assert LOGIN not in f"{caught.value}{caught.value.hint}"
    assert BASIC not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    "address", [f"socks5://me:{LOGIN}@h:1", f"http://me:{LOGIN}@[::1", f"http://me:{LOGIN}@h:x", f"//{LOGIN}@:0", ":"]
)
def test_a_proxy_variable_that_cannot_be_used(address: str, variables: Variables, tmp_path: Path) -> None:
    variables(http_proxy=address)
    with pytest.raises(FetchError, match="the proxy in http_proxy is") as caught:
        download("http://mirror.invalid/x", tmp_path / "base", SUM, Recorder(), QUICK)
    assert LOGIN not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///nowhere/at/all", "cannot be read on this host: No such file"),
        ("file:///etc", "not a regular file"),
        ("ftp://h/x", "ftp is not fetched"),
        ("http://", "not a valid address"),
        ("http://[::1", "cannot be read"),
        (f"http://me:{LOGIN}@h:99999/", "not a valid address"),
        ("http://" + "a" * 64 + ".example/", "not a valid address"),
        ("http://a..example/", "not a valid address"),
        ("http://h /", "not a valid address"),
        ("http://h/\r\nX: y", "not a valid address"),
        ("http://nobody.invalid/", "cannot be resolved"),
    ],
)
def test_an_address_that_cannot_be_fetched(url: str, words: str, variables: Variables, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=words) as caught:
        download(url, tmp_path / "base", SUM, Recorder(), replace(QUICK, tries=1))
    assert LOGIN not in str(caught.value)


def test_what_is_shown_of_an_address() -> None:
    assert shown(f"https://me:{LOGIN}@h.example:8/a/b?X-Signature={LOGIN}#{LOGIN}") == "https://h.example:8/a/b"
    assert shown("https://h/a\x1b[31m") == "https://h/a?[31m"


def test_an_answer_that_is_too_large_is_not_read(variables: Variables) -> None:
    with Server(right) as server, pytest.raises(FetchError, match="more than 1000 bytes"):
        ask(server.url, limits=replace(QUICK, max_bytes=1000))
    with Server(right) as server:
        answer = ask(server.url, limits=QUICK)
    assert (answer.status, hashlib.sha256(answer.body).hexdigest()) == (200, SUM)
    assert answer.headers["etag"] == '"one"'
