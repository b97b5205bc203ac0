"""What makes the codes that no pair of files can make: an old secrets file, a damaged installation."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated

import pytest

from imgbuild.bundle.profile import carried
from imgbuild.checks import check
from imgbuild.cli.token import renew
from imgbuild.config import renamed
from imgbuild.config.cluster import DEFAULT
from imgbuild.config.dereference import in_document
from imgbuild.config.fields import Model
from imgbuild.config.kept_secrets import load_secrets
from imgbuild.config.load import load
from imgbuild.config.lock import NAME
from imgbuild.config.moment import Moment, read_moment
from imgbuild.config.reference import SecretText
from imgbuild.config.renamed import Renamed
from imgbuild.config.secrets import make
from imgbuild.config.setting import Setting
from imgbuild.config.source import parse
from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.facts.registries import Source
from imgbuild.facts.resolved import resolve
from imgbuild.fetch.registry import AnswerError, Registries
from imgbuild.fetch.store import Store
from imgbuild.pipeline import Request, prepare
from imgbuild.pipeline.disk import images_found
from tests.support import exporting
from tests.support.checking import ADMIN, look
from tests.support.locks import whole_lock
from tests.support.mirror_login import Authority

SetUp = Callable[[Path, pytest.MonkeyPatch], tuple[Sequence[Finding], Sequence[Finding]]]
"""In an empty folder: the findings with the code, and those without it."""
_CLUSTER = "name: lab\nnodes: [{name: cp1, role: control-plane}]\n"
_DAY = 86400


def _said(request: Request) -> list[Finding]:
    findings = Findings()
    try:
        prepare(request, findings)
    except InvalidInput as error:
        return error.findings.items
    return findings.items


def _with_secrets(
    folder: Path, change: Callable[[Path], None], *, days: float = 0
) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """A run with good secrets, and one after ``change`` and so many days."""
    (folder / "lab.yaml").write_text(_CLUSTER)
    path, now = folder / "lab.secrets.yaml", int(time.time())
    kept = load_secrets(path, "lab", now, Findings())
    assert kept is not None
    kept.save()
    request = Request("debian12-efi", (), [ADMIN], None, folder / "lab.yaml")
    good = _said(request)
    change(path)
    moment = read_moment()
    return _said(replace(request, moment=replace(moment, now=moment.now + int(days * _DAY)))), good


def _text(change: Callable[[str], str]) -> Callable[[Path], None]:
    def to(path: Path) -> None:
        path.write_text(change(path.read_text()))

    return to


def _swapped(text: str) -> str:
    """The keys of two authorities in each other's place."""
    first, second, third = text.partition("front_proxy_ca:")
    mine = first[first.index("private_key: |") :]
    after = third.index("private_key: |")
    end = third.index("etcd_ca:")
    other = third[after:end]
    return first.replace(mine, other) + second + third[:after] + mine + third[end:]


def _expired_token(text: str) -> str:
    line = next(line for line in text.splitlines() if line.startswith("bootstrap_token_expires"))
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return text.replace(line, f"bootstrap_token_expires: {before:%Y-%m-%dT%H:%M:%SZ}")


def _nothing(path: Path) -> None:
    """As it was made."""


def _unreadable(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    (folder / "lab.yaml").write_text(_CLUSTER)
    request = Request("debian12-efi", (), [ADMIN], None, folder / "lab.yaml")
    return _said(replace(request, secrets=folder / ("x" * 300) / "s.yaml")), _said(request)


def _no_token(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    (folder / "lab.yaml").write_text(_CLUSTER)
    findings = Findings()
    try:
        renew(folder / "lab.yaml", None, findings, keep=False)
    except InvalidInput as error:
        findings = error.findings
    return findings.items, []


def _older_kubeadm(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """Secrets with ECDSA keys, and with those that this Kubernetes gets."""
    (folder / "lab.yaml").write_text(
        "name: lab\nvip: {address: 10.0.0.10}\n"
        "nodes: [{name: cp1, role: control-plane}, {name: cp2, role: control-plane}]\n"
    )
    request = Request("debian12-efi", (), [ADMIN, "kubernetes.version=1.25.16"], None, folder / "lab.yaml")
    good = _said(request)
    kept = load_secrets(folder / "lab.secrets.yaml", "lab", int(time.time()), Findings())
    assert kept is not None
    kept.save()
    return _said(request), good


def _damaged_target(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    (folder / "targets").mkdir()
    (folder / "targets/mine.yaml").write_text("name: 5\n")
    patch.setattr("imgbuild.config.target.data_dir", lambda room: folder)
    with pytest.raises(InvalidInput) as caught:
        load_target.__wrapped__("mine")
    return caught.value.findings.items, []


def _beside(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    good, bad = Findings(), Findings()
    load("debian12-efi", (), (), None, good)
    (folder / "debian12-efi.yaml").write_text("extends: debian12-efi\n")
    load("debian12-efi", (), (), None, bad)
    return bad.items, good.items


def _renamed(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    patch.setattr(renamed, "PROFILE", (Renamed(("swap", "on"), ("swap", "enabled"), "9.9"),))
    found = []
    for key in ("on", "enabled"):
        (folder / "node.yaml").write_text(f"extends: centos7-efi\nswap: {{{key}: false}}\n")
        findings = Findings()
        look(Request("node.yaml"), findings)
        found.append(findings.items)
    return found[0], found[1]


def _no_key(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    loaded = load("centos7-efi", (), (), None, Findings())
    assert loaded is not None
    target = loaded.target.model_copy(deep=True)
    for keys in target.repositories.key_files.values():
        for key in keys:
            object.__setattr__(key, "shipped", False)
            object.__setattr__(key, "sources", [])
    found = []
    for each in (replace(loaded, target=target), loaded):
        findings = Findings()
        check(resolve(each), DEFAULT, None, findings, read_moment())
        found.append(findings.items)
    return found[0], found[1]


def _many_routes(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    found = []
    for count in (250, 2):
        routes = ", ".join(f"{{to: 10.{n}.0.0/16, via: 192.168.1.{n}}}" for n in range(1, count))
        (folder / "lab.yaml").write_text(
            "name: lab\nnodes:\n  - name: cp1\n    role: control-plane\n    network: {dns: [1.1.1.1], "
            "interfaces: [{name: eth0, "
            f"mac: '52:54:00:00:00:01', addresses: [192.168.1.254/24], gateway: 192.168.1.1, routes: [{routes}]}}]}}\n"
        )
        found.append(_said(Request("centos7-efi", (), [ADMIN], None, folder / "lab.yaml")))
    return found[0], found[1]


class _Pet(Model):
    pin: Annotated[SecretText, Setting("Number that opens its cage.", secret=True)]


def _literal(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    (folder / "pin.txt").write_text("4711\n")
    found = []
    for text in ("pin: '4711'\n", "pin: {file: pin.txt}\n"):
        findings = Findings()
        document = parse(text, "pet.yaml", findings)
        assert document is not None
        in_document(document, _Pet, folder, findings)
        found.append(findings.items)
    return found[0], found[1]


def _trusted(folder: Path, certificate: str, times: int, moment: Moment) -> Sequence[Finding]:
    (folder / "ca.pem").write_text(certificate)
    items = ", ".join(["{file: ca.pem}"] * times)
    (folder / "node.yaml").write_text(f"extends: debian12-efi\ntrust: {{certificates: [{items}]}}\n")
    findings = Findings()
    look(Request("node.yaml", moment=moment), findings)
    return findings.items


def _certificate(
    now: int, times: int, folder: Path, patch: pytest.MonkeyPatch
) -> tuple[Sequence[Finding], Sequence[Finding]]:
    moment = read_moment()
    made = make("lab", moment.now).ca.certificate
    bad = _trusted(folder, made, times, replace(moment, now=moment.now + now * _DAY))
    return bad, _trusted(folder, made, 1, moment)


def _include_before_trust(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    (folder / "ca.pem").write_text(make("lab", read_moment().now).ca.certificate)
    found = []
    for scheme in ("https", "http"):
        (folder / "node.yaml").write_text(
            "extends: debian12-efi\nmode: stock\ntrust: {certificates: [{file: ca.pem}]}\n"
            f"cloud: {{include_url: '{scheme}://files.example.com/files.tar.gz'}}\n"
        )
        findings = Findings()
        look(Request("node.yaml"), findings)
        found.append(findings.items)
    return found[0], found[1]


def _locked(
    change: Callable[[str], str], more: str, folder: Path, patch: pytest.MonkeyPatch
) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """A build beside a lock of all that node.yaml needs; and with another lock, or with ``more`` in the profile."""
    head = "extends: debian12-efi\nusers: []\n"
    (folder / "node.yaml").write_text(head)
    (folder / NAME).write_text(whole_lock("node.yaml", packages=True))
    request = Request("node.yaml")
    good = _said(request)
    (folder / "node.yaml").write_text(head + more)
    (folder / NAME).write_text(change((folder / NAME).read_text()))
    return _said(request), good


def _same(text: str) -> str:
    return text


_ARM = {"platform": {"os": "linux", "architecture": "arm64"}}


def _preloaded(
    answer: str | dict[str, object], folder: Path, patch: pytest.MonkeyPatch
) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """A build whose registries have this index for an image of the user's own, or answer this; and one without it."""
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{'0' * 64}", "size": 1}
    good = json.dumps({"schemaVersion": 2, "config": layer, "layers": [layer]}).encode()

    def manifest(self: Registries, source: Source, place: str) -> bytes:
        if not place.startswith("shop:"):
            return good
        if isinstance(answer, str):
            raise AnswerError(answer)
        return json.dumps(answer).encode()

    patch.setattr(Registries, "manifest", manifest)
    patch.setattr(Registries, "config", lambda *_: b'{"os": "linux", "architecture": "amd64"}')
    found: list[Sequence[Finding]] = []
    for extra in ("shop.test/shop:1", "shop.test/other:1"):
        request = Request("debian12-efi", (), [ADMIN, "images.preload=true", f"images.extra=[{extra}]"])
        try:
            images_found(prepare(request, Findings()), Store(folder / "store"), PlainSteps(StringIO()))
            found.append([])
        except InvalidInput as error:
            found.append(error.findings.items)
    return found[0], found[1]


def _mirror_login(bad: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """``bad``: which certificate and key, beside an RSA certificate with its own key."""
    authority = Authority()
    pairs = {
        "good": authority.issue("node", kind="rsa"), "other": authority.issue("other", kind="rsa"),
        "ec": authority.issue("node"), "old": authority.issue("node", kind="rsa", end=-1),
    }  # fmt: skip
    pairs["mixed"] = (pairs["good"][0], pairs["other"][1])
    found = []
    for name in (bad, "good"):
        (folder / "node.crt").write_text(pairs[name][0])
        (folder / "node.key").write_text(pairs[name][1])
        (folder / "node.yaml").write_text(
            "extends: centos7-efi\nrepositories:\n  elrepo: ['https://a.example/el7/x86_64/']\n"
            "  logins: {a.example: {client_certificate: {file: node.crt}, client_key: {file: node.key}}}\n"
        )
        findings = Findings()
        look(Request("node.yaml"), findings)
        found.append(findings.items)
    return found[0], found[1]


def _carried_secret(folder: Path, _: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """A bundle of a profile with a file for few, whose content is in the profile, and in a file of its own."""
    found = []
    (folder / "k.txt").write_text("secret")
    for form in ("content: secret", "source: k.txt"):
        (folder / "node.yaml").write_text(
            f"extends: centos7-efi\nfiles: [{{path: /etc/k, mode: '0600', {form}}}]\n"
        )  # fmt: skip
        findings = Findings()
        carried("node.yaml", (), (), None, None, findings)
        found.append(findings.items)
    return found[0], found[1]


SETUPS: dict[str, SetUp] = {
    "IB110": _damaged_target,
    "IB114": _beside,
    "IB115": _renamed,
    "IB118": _literal,
    "IB437": _no_key,
    "IB491": partial(_certificate, 11 * 365, 1),
    "IB492": partial(_certificate, 0, 2),
    "IB498": _include_before_trust,
    "IB536": partial(_mirror_login, "mixed"),
    "IB537": partial(_mirror_login, "old"),
    "IB546": partial(_mirror_login, "ec"),
    "IB804": _many_routes,
    "IB810": partial(_locked, lambda text: text.replace("format: 1", "format: 2"), ""),
    "IB811": partial(_locked, lambda text: text.replace("  node:", "  other:"), ""),
    "IB812": partial(_locked, _same, "helm: {version: 4.2.0}\n"),
    "IB813": partial(_locked, _same, f"helm: {{sha256: {'a' * 64}}}\n"),
    "IB814": partial(_locked, lambda text: text.replace("      helm:", "      tool:"), ""),
    "IB815": partial(_locked, _same, "cilium: {enabled: false}\nkubernetes: {kube_proxy: true}\n"),
    "IB817": partial(_locked, lambda text: text.replace("target: debian12", "target: centos8"), ""),
    "IB818": partial(_locked, _same, "packages: {install: [htop]}\n"),
    "IB823": _carried_secret,
    "IB837": partial(_preloaded, "manifest unknown"),
    "IB838": partial(_preloaded, "connection refused"),
    "IB839": partial(_preloaded, {"manifests": [_ARM]}),
    **{code: partial(exporting.set_up, code) for code in exporting.SETUPS},
    "IB547": _older_kubeadm,
    "IB901": _unreadable,
    "IB902": lambda folder, _: _with_secrets(folder, lambda path: path.chmod(0o644)),
    "IB903": lambda folder, _: _with_secrets(folder, _text(lambda text: text.replace("cluster: lab", "cluster: prod"))),
    "IB904": lambda folder, _: _with_secrets(folder, _text(_swapped)),
    "IB905": lambda folder, _: _with_secrets(folder, _nothing, days=11 * 365),
    "IB906": lambda folder, _: _with_secrets(folder, _text(_expired_token)),
    "IB910": _no_token,
}
"""By the codes whose rows have a ``setup``."""
