"""The site: proxies, certificate authorities, names; what is wrong with them, and what is done by hand."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imgbuild.config.moment import Moment
from imgbuild.diagnostics.findings import Finding
from tests.support.checking import findings

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


def pem(name: str = "Corp CA", *, ca: bool = True, issuer: str = "", start: int = -1, end: int = 3650) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + start * DAY)
        .not_valid_after(NOW + end * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def key_pem() -> str:
    form = serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def found(folder: Path, text: str) -> list[Finding]:
    profile = folder / "node.yaml"
    profile.write_text(f"extends: debian12-efi\n{text}\n")
    said = findings(str(profile), moment=Moment(int(time.time())))
    return [f for f in said if f.code not in ("IB228", "IB438")]


def trusted(folder: Path, *texts: str) -> list[Finding]:
    for number, text in enumerate(texts):
        (folder / f"{number}.pem").write_text(text)
    items = ", ".join(f"{{file: {number}.pem}}" for number in range(len(texts)))
    return found(folder, f"trust: {{certificates: [{items}]}}")


def test_a_good_site_gives_no_finding(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("http://bob:p%40ss@proxy.example:3128/\n")
    (tmp_path / "ca.pem").write_text("# Corp\n" + pem() + "\n# Other\n" + pem("Other CA").replace("\n", "\r\n"))
    assert not found(
        tmp_path,
        "proxy: {http: {file: proxy}, https: {file: proxy}, no_proxy: [.corp, a.example, 10.0.0.0/8, '::1']}\n"
        "trust: {certificates: [{file: ca.pem}]}\nhosts: {a.example: 10.0.0.1, b.example: '2001:db8::1'}",
    )


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("https://proxy.example:3128", "write http://HOST:PORT"),
        ("socks5://proxy.example:1080", "HTTP proxy"),
        ("http://proxy.example", "with the port"),
        ("proxy.example:3128", "http://HOST:PORT"),
        ("http://a:b@c@proxy.example:3128", "%40 for @"),
        ("http://a:b$c@proxy.example:3128", "as in a URL"),
        ("http://a:~b@proxy.example:3128", "as in a URL"),
        ("http://proxy.example:99999", "1 to 65535"),
        ("http://proxy.example:3128/path", "http://HOST:PORT"),
    ],
)
def test_an_address_that_some_program_would_misread_is_an_error(tmp_path: Path, url: str, fix: str) -> None:
    (tmp_path / "proxy").write_text(url)
    errors = found(tmp_path, "proxy: {http: {file: proxy}, https: 'http://p.example:1'}")
    assert [f.key for f in errors if f.severity.name == "ERROR"] == ["proxy.http"]
    assert fix in errors[0].hint and "b@c" not in repr(errors) and "b$c" not in repr(errors)


def test_a_login_in_the_profile_is_a_warning_and_is_never_shown(tmp_path: Path) -> None:
    url = "http://bob:hunter2@proxy.example:3128"
    said = found(tmp_path, f"proxy: {{http: '{url}', https: '{url}'}}")
    assert [(f.code, f.key) for f in said] == [("IB118", "proxy.http"), ("IB118", "proxy.https")]
    assert "hunter2" not in repr(said)


@pytest.mark.parametrize(
    ("part", "fix"), [("'*'", "leave proxy"), ("'*.corp.example'", "write .corp.example"), ("10.0.0/8", "CIDR")]
)
def test_exceptions_that_curl_does_not_know_are_errors(tmp_path: Path, part: str, fix: str) -> None:
    both = "http: 'http://p.example:1', https: 'http://p.example:1'"
    (error,) = found(tmp_path, f"proxy: {{{both}, no_proxy: [{part}]}}")
    assert error.key == "proxy.no_proxy[0]" and fix in error.hint


@pytest.mark.parametrize("keys", ["http: 'http://p.example:1'", "https: 'http://p.example:1'", "no_proxy: [.corp]"])
def test_half_a_proxy_is_a_warning(tmp_path: Path, keys: str) -> None:
    assert [f.code for f in found(tmp_path, f"proxy: {{{keys}}}")] == ["IB490"]


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (lambda: "garbage", "write a certificate in PEM"),
        (key_pem, "remove the private key"),
        (lambda: pem() + key_pem(), "remove the private key"),
        (lambda: pem("server.example", ca=False, issuer="Corp CA"), "server.example is not an authority"),
        (lambda: pem().replace("MII", "MI", 1), "copy the certificate again"),
        (lambda: pem()[:-20], "write a certificate in PEM"),
        (lambda: pem() + pem()[:200], "each whole"),
        (lambda: "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----", "not the request"),
    ],
)
def test_what_is_no_authority_is_an_error(tmp_path: Path, text: Callable[[], str], fix: str) -> None:
    said = trusted(tmp_path, text())
    assert [(f.code, f.key) for f in said] == [("IB113", "trust.certificates[0]")]
    assert fix in said[0].hint and "BEGIN PRIVATE" not in repr(said)


def test_dates_and_twins(tmp_path: Path) -> None:
    twin = pem("Twin")
    said = trusted(tmp_path, pem("Old", start=-9, end=-2), pem("Soon", end=5), pem("Young", start=3), twin, twin)
    assert [(f.code, f.key, f.severity.name) for f in said] == [
        ("IB491", "trust.certificates[0]", "ERROR"),
        ("IB491", "trust.certificates[1]", "WARNING"),
        ("IB491", "trust.certificates[2]", "ERROR"),
        ("IB492", "trust.certificates[4]", "WARNING"),
    ]


@pytest.mark.parametrize(
    ("row", "severity"),
    [("localhost: 10.0.0.1", "ERROR"), ("a.example: '0.0.0.0'", "ERROR"), ("a.example: 127.0.0.1", "WARNING")],
)
def test_names_that_lead_nowhere(tmp_path: Path, row: str, severity: str) -> None:
    assert [(f.code, f.severity.name) for f in found(tmp_path, f"hosts: {{{row}}}")] == [("IB496", severity)]


@pytest.mark.parametrize(
    ("url", "codes"),
    [
        ("http://files.lab.example/f.tar.gz", ["IB497"]),
        ("https://files.lab.example/f.tar.gz", ["IB497", "IB498"]),
        ("https://files.example.com/f.tar.gz", ["IB498"]),
        ("http://10.0.0.5/f.tar.gz", []),
    ],
)
def test_files_that_are_fetched_before_names_and_certificates_are_there(
    tmp_path: Path, url: str, codes: list[str]
) -> None:
    (tmp_path / "0.pem").write_text(pem())
    site = "trust: {certificates: [{file: 0.pem}]}\nhosts: {files.lab.example: 10.0.0.5, files.example.com: null}"
    said = found(tmp_path, f"mode: stock\n{site}\ncloud: {{include_url: '{url}'}}")
    assert [f.code for f in said if f.code.startswith("IB49")] == codes
    baked = found(tmp_path, f"{site}\ncloud: {{include_url: '{url}'}}")
    assert not [f.code for f in baked if f.code.startswith("IB49")]


LAB = """name: lab
endpoint: k8s.lab:6443
{settings}
nodes:
  - {{name: a, role: control-plane, network: {{{dns}interfaces: [{{name: e0, mac: "52:54:00:00:00:01",
      addresses: [10.0.0.1/24], gateway: 10.0.0.9}}]}}}}
"""


@pytest.mark.parametrize(
    ("settings", "dns", "codes"),
    [
        ("", "", ["IB425", "IB495"]),
        ("", "dns: [10.0.0.2], ", []),
        ("settings: {hosts: {k8s.lab: 10.0.0.1}}", "", ["IB425"]),
        ("settings: {hosts: {other.lab: 10.0.0.1}}", "", ["IB425", "IB495"]),
    ],
)
def test_an_endpoint_that_nodes_cannot_resolve(tmp_path: Path, settings: str, dns: str, codes: list[str]) -> None:
    lab = tmp_path / "lab.yaml"
    lab.write_text(LAB.format(settings=settings, dns=dns))
    said = [f for f in findings("debian12-efi", cluster=lab) if f.code in ("IB425", "IB495")]
    assert [f.code for f in said] == codes
    if "IB495" in codes:
        # No advice that only silences it.
        assert not [f for f in said if "any address" in f.hint]
        assert "hosts: {k8s.lab: ADDRESS}" in said[-1].hint and "settings:" in said[-1].hint
