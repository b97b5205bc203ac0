"""Logins at package mirrors: what is wrong with them, and where they are in what is rendered."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from imgbuild.config.moment import Moment
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.pipeline import Request, prepare
from tests.support import travels
from tests.support.checking import ADMIN, findings
from tests.support.mirror_login import LOGIN, Authority

URL = "https://a.example/el8/x86_64/"
SECRET = "hunter2"
PAIR = "{username: n, password: {file: p}}"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def found(
    folder: Path, login: str = PAIR, *, host: str = "a.example", url: str = URL, more: str = "",
    base: str = "centos8-efi", secret: str = SECRET, days: int = 0,
) -> list[Finding]:  # fmt: skip
    """The findings for one login at a mirror of ELRepo's, or of Kubernetes' on Debian."""
    (folder / "p").write_text(f"{secret}\n")
    kind = "kubernetes" if base.startswith("debian") else "elrepo"
    (folder / "node.yaml").write_text(
        f"extends: {base}\nrepositories: {{{kind}: ['{url}'], logins: {{'{host}': {login}}}}}\n{more}\n"
    )
    said = findings(str(folder / "node.yaml"), moment=Moment(int(time.time()) + days * 86400))
    assert secret not in repr(said)
    return [f for f in said if f.code not in ("IB228", "IB438", "IB445")]


def certified(folder: Path, certificate: str, key: str) -> str:
    (folder / "c.crt").write_text(certificate)
    (folder / "c.key").write_text(key)
    return "{client_certificate: {file: c.crt}, client_key: {file: c.key}}"


def codes(said: list[Finding]) -> list[str]:
    return sorted(f.code for f in said)


@pytest.mark.parametrize("base", ["centos7-efi", "centos8-efi", "debian12-efi"])
def test_good_logins_give_no_finding(tmp_path: Path, authority: Authority, base: str) -> None:
    pair = certified(tmp_path, *authority.issue("node", kind="rsa"))
    assert not found(tmp_path, base=base)
    assert not found(tmp_path, pair, base=base)
    assert not found(tmp_path, f"{PAIR[:-1]}, {pair[1:]}", base=base)
    assert not found(tmp_path, "null", base=base)
    assert not found(tmp_path, host="a.example:8443", url="https://a.example:8443/x/", base=base)
    if base != "centos7-efi":
        assert not found(tmp_path, certified(tmp_path, *authority.issue("node")), base=base)


@pytest.mark.parametrize(
    ("login", "key"),
    [
        ("{username: n}", "password"), ("{password: {file: p}}", "username"), ("{}", "a.example"),
        ("{client_certificate: {file: c.crt}}", "client_key"), ("{client_key: {file: c.key}}", "client_certificate"),
        ("{username: n, password: {file: p}, client_key: {file: c.key}}", "client_certificate"),
    ],
)  # fmt: skip
def test_half_a_login(tmp_path: Path, authority: Authority, login: str, key: str) -> None:
    certified(tmp_path, *authority.issue("node"))
    (error,) = found(tmp_path, login)
    assert error.code == "IB535" and key in (error.key or "").replace('"', "")


@pytest.mark.parametrize(
    ("name", "text", "fix"),
    [
        ("c.crt", "KEY+CERT", "belongs in client_key"), ("c.crt", "nothing", "BEGIN CERTIFICATE"),
        ("c.crt", "CUT", "copy the certificate again"), ("c.key", "CERT", "BEGIN PRIVATE KEY"),
        ("c.key", "CUTKEY", "copy the private key again"), ("c.key", "LOCKED", "openssl pkey"),
        ("c.key", "KEY+KEY", "one private key"),
    ],
)  # fmt: skip
def test_pem_that_is_something_else(tmp_path: Path, authority: Authority, name: str, text: str, fix: str) -> None:
    certificate, key = authority.issue("node")
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pin")
    )
    texts = {
        "KEY+CERT": key + certificate, "nothing": "nothing", "CERT": certificate,
        "CUT": certificate.replace("MII", "", 1),
        "CUTKEY": key.replace("M", "", 1), "LOCKED": locked.decode(), "KEY+KEY": key + key,
    }  # fmt: skip
    login = certified(tmp_path, certificate, key)
    (tmp_path / name).write_text(texts[text])
    said = [f for f in found(tmp_path, login) if f.severity is Severity.ERROR]
    assert len(said) == 1 and fix in said[0].hint, said
    assert key.splitlines()[1] not in repr(said)


def test_everything_at_once(tmp_path: Path, authority: Authority) -> None:
    """Ten mistakes, ten findings: none hides another."""
    certificate, _ = authority.issue("node", end=-1)
    pair = certified(tmp_path, certificate, authority.issue("other")[1])
    more = (
        "base: {source: 'https://n:hunter2@b.example/x.qcow2', sha256: '" + "a" * 64 + "'}\n"
        "cilium: {repository: 'http://a.example/charts'}\n"
        'files: [{path: /etc/yum.repos.d/x.repo, content: "[x]\\nbaseurl=http://a.example/\\npassword=hunter2\\n"}]'
    )
    said = found(tmp_path, f"{{username: 'n m', password: 'hunter2', {pair[1:]}", more=more)
    assert codes(said) == ["IB118", "IB536", "IB537", "IB538", "IB538", "IB540", "IB543", "IB545", "IB545"]


@pytest.mark.parametrize(("days", "severity"), [(0, None), (340, Severity.WARNING), (400, Severity.ERROR)])
def test_a_certificate_that_expires(tmp_path: Path, authority: Authority, days: int, severity: Severity | None) -> None:
    said = found(tmp_path, certified(tmp_path, *authority.issue("node")), days=days)
    assert [(f.code, f.severity) for f in said] == ([("IB537", severity)] if severity else [])


@pytest.mark.parametrize(
    ("name", "password", "base", "wrong"),
    [
        ("n", "hunter 2", "debian12-efi", True), ("n", "pä", "debian12-efi", True),
        ("n:m", "pass", "debian12-efi", True),
        ("n", LOGIN[1], "debian12-efi", False), ("n", LOGIN[1], "centos8-efi", False),
        ("n", "p%(x)s", "centos7-efi", True),
        ("n", "a$releasever", "centos8-efi", True), ("n", "a${arch}b", "centos8-efi", True),
        ("n", "a$releasever", "debian12-efi", False), ("n", "a$archive", "centos8-efi", False),
    ],
)  # fmt: skip
def test_characters_that_a_program_would_misread(
    tmp_path: Path, name: str, password: str, base: str, wrong: bool
) -> None:
    said = found(tmp_path, f"{{username: '{name}', password: {{file: p}}}}", secret=password, base=base)
    assert codes(said) == (["IB540"] if wrong else [])


def test_a_login_of_another_host(tmp_path: Path) -> None:
    (told,) = found(tmp_path, host="aa.example")
    assert told.code == "IB539" and "a.example" in told.hint
    assert codes(found(tmp_path, host="a.example:8443")) == ["IB539"]
    own = 'files: [{path: /etc/yum.repos.d/x.repo, content: "[x]\\nbaseurl=https://b.example/\\n"}]'
    assert not found(tmp_path, host="b.example", more=own)


@pytest.mark.parametrize(
    ("host", "fix"),
    [
        *((host, "write a.example") for host in ("https://a.example", "A.example", "a.example/x", "n@a.example")),
        *((host, "and the port if the address has one: mirror.example.com:8443") for host in ("a.example:0", "")),
    ],
)
def test_a_host_is_written_as_in_the_address(tmp_path: Path, host: str, fix: str) -> None:
    hints = [f.hint for f in found(tmp_path, host=host) if f.severity is Severity.ERROR]
    assert any(hint.endswith(fix) for hint in hints)


def test_a_file_at_the_place_of_the_logins(tmp_path: Path) -> None:
    for name, wrong in (("auth.conf.d/imgbuild.conf", True), ("apt.conf.d/90imgbuild-logins", True),
                        ("auth.conf.d/other.conf", False)):  # fmt: skip
        own = f"files: [{{path: /etc/apt/{name}, content: x}}]"
        assert codes(found(tmp_path, more=own, base="debian12-efi")) == (["IB545"] if wrong else [])
        assert not found(tmp_path, "null", more=own, base="debian12-efi")


def test_a_login_in_an_address_names_the_key(tmp_path: Path) -> None:
    said = found(tmp_path, "null", url="https://n:hunter2@a.example/x/")
    assert codes(said) == ["IB113"] and "repositories.logins" in said[0].hint


def test_one_login_for_a_repository_of_dnf(tmp_path: Path) -> None:
    two = "https://a.example/x/', 'https://b.example/x/"
    assert codes(found(tmp_path, url=two)) == ["IB544"]
    assert not found(tmp_path, f"{PAIR}, b.example: {PAIR}", url=two)  # the same at both
    assert not found(tmp_path, url="https://a.example/deb/', 'https://b.example/deb/", base="debian12-efi")


def test_apt_has_one_certificate_for_a_name(tmp_path: Path, authority: Authority) -> None:
    pair = certified(tmp_path, *authority.issue("node"))
    other, key = authority.issue("other")
    (tmp_path / "d.crt").write_text(other)
    (tmp_path / "d.key").write_text(key)
    second = pair.replace("c.", "d.")
    urls = "https://a.example/deb/', 'https://a.example:8443/deb/"
    assert codes(found(tmp_path, f"{pair}, 'a.example:8443': {second}", url=urls, base="debian12-efi")) == ["IB544"]
    assert not found(tmp_path, f"{pair}, 'a.example:8443': {pair}", url=urls, base="debian12-efi")


def test_a_chart_behind_a_login(tmp_path: Path) -> None:
    addon = "addons: [{name: x, chart: x, version: 1.0.0, repository: 'https://a.example/charts'}]"
    assert [f.key for f in found(tmp_path, more=addon) if f.code == "IB543"] == ["addons[0].repository"]


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("base", ["centos8-efi", "debian12-efi"])
def test_the_seed_alone_has_the_login(tmp_path: Path, authority: Authority, base: str, mode: str) -> None:
    pair = certified(tmp_path, *authority.issue("node"))
    key = (tmp_path / "c.key").read_text()
    kind = "kubernetes" if base.startswith("debian") else "elrepo"
    (tmp_path / "p").write_text("hunter2\n")
    (tmp_path / "node.yaml").write_text(
        f"extends: {base}\nrepositories: {{{kind}: ['{URL}'], logins: {{a.example: {PAIR[:-1]}, {pair[1:]}}}}}\n"
    )
    ready = prepare(Request(str(tmp_path / "node.yaml"), (), [ADMIN], mode), Findings())
    seen = set()
    for group, files in ready.rendered.groups.items():
        for name, file in files.items():
            content = file.content if isinstance(file.content, bytes) else b""
            if b"hunter2" in content or key.splitlines()[1].encode() in content:
                seen.add(f"{group}/{name}")
                assert file.mode & 0o077 == 0, name
    # In stock mode it is in the archive of the node, which is a control plane: nothing else may have it in the clear.
    assert bool(seen) == (mode == "baked")
    assert all(name.rpartition("/")[2] in ("user-data", "user-data.mime", "seed.iso") for name in seen), seen
    data = yaml.safe_load(ready.rendered.groups["nodes"]["node1/user-data"].content)
    written = {each["path"]: each for each in travels.files(data)}
    holders = [path for path, each in written.items() if "hunter2" in each.get("content", "")]
    assert holders
    for path, each in written.items():
        text = each.get("content", "")
        if "hunter2" in text or "PRIVATE KEY" in text:
            assert each["permissions"] == "0600", path
    assert "hunter2" not in json.dumps(written.get("/etc/yum.repos.d/imgbuild.repo", ""))


def test_a_later_layer_removes_a_login(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("hunter2\n")
    (tmp_path / "node.yaml").write_text(
        f"extends: debian12-efi\nrepositories: {{kubernetes: ['{URL}'], logins: {{a.example: {PAIR}}}}}\n"
    )
    (tmp_path / "off.yaml").write_text("repositories: {logins: {a.example: null}}\n")
    for layers, there in (((), True), ((str(tmp_path / "off.yaml"),), False)):
        ready = prepare(Request(str(tmp_path / "node.yaml"), layers, [ADMIN]), Findings())
        assert (b"/etc/imgbuild/logins" in ready.rendered.groups["nodes"]["node1/user-data"].content) == there
