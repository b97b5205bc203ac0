"""Addons: what they apply, that they are pinned, and that kubectl can read their manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.config.redact import is_private
from tests.support.checking import codes, findings, well_formed

ON = "debian12-efi"
SHA = "a" * 64
NS = "manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: a}}'"
REPO = "repository: 'https://c.example'"


@pytest.mark.parametrize(
    "addon",
    [
        f"name: a, {NS}",
        "name: a, manifest: '{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a}}]}'",
        f"name: a, url: 'https://x.example/a.yaml', sha256: {SHA}, namespace: team",
        f"name: a, chart: web, {REPO}, version: 1.0.0, values: {{a: 1}}",
        f"name: a, chart: web, {REPO}, version: v1.0.0-rc.1, sha256: {SHA}",
        "name: a, chart: 'oci://ghcr.io/x/charts/web', version: 1.0.0, namespace: kube-system",
        f"name: a, chart: web, url: 'https://x.example/web-1.0.0.tgz', sha256: {SHA}",
    ],
)
def test_every_kind_of_addon(addon: str) -> None:
    assert findings(ON, [f"addons=[{{{addon}}}]"]) == []


@pytest.mark.parametrize(
    ("addon", "code", "key", "hint"),
    [
        ("name: a", "IB681", "name", "one of manifest"),
        (f"name: a, {NS}, url: 'https://x.example/a', sha256: {SHA}", "IB681", "url", "one of manifest"),
        (f"name: a, {NS}, chart: web", "IB681", "chart", "one of manifest"),
        ("name: a, chart: web, version: 1.0.0", "IB681", "chart", "add repository"),
        (f"name: a, chart: web, {REPO}", "IB682", "chart", "add version"),
        ("name: a, url: 'https://x.example/a'", "IB682", "url", "sha256sum"),
        (f"name: a, {NS}, version: 1.0.0", "IB683", "version", "remove version"),
        (f"name: a, {NS}, sha256: {SHA}", "IB683", "sha256", "remove sha256"),
        (f"name: a, {NS}, values: {{a: 1}}", "IB683", "values", "remove values"),
        (f"name: a, chart: 'oci://x.example/c', version: 1.0.0, {REPO}", "IB683", "repository", "remove repository"),
        ("name: a, manifest: '{kind: Pod, metadata: {name: a}}'", "IB684", "manifest", "kubectl apply"),
        ("name: a, manifest: 'kind: ['", "IB684", "manifest", "indentation"),
        ("name: a, manifest: '# nothing'", "IB684", "manifest", "write objects"),
        ("name: a, manifest: text", "IB684", "manifest", "apiVersion"),
        (f"name: a, {NS.replace('name: a}', 'name: a, namespace: b}')}, namespace: c", "IB684", "manifest", "remove"),
        (f"name: a, chart: w, {REPO}, version: 1.0.0, secret_values: text", "IB684", "secret_values", "KEY: VALUE"),
        (f"name: cilium, {NS}", "IB680", "name", "another name"),
        (f"name: a, {NS}, namespace: kube-public", "IB680", "namespace", "kube-system"),
    ],
)
def test_each_mistake_has_its_finding(addon: str, code: str, key: str, hint: str) -> None:
    (found,) = [f for f in findings(ON, [f"addons=[{{{addon}}}]"]) if f.code != "IB118"]
    well_formed([found])
    assert (found.code, found.key) == (code, f"addons[0].{key}")
    assert hint in found.hint


@pytest.mark.parametrize("version", ["latest", "^1.0.0", "1.x", ">=1"])
def test_ranges_are_no_versions(version: str) -> None:
    (found,) = findings(ON, [f"addons=[{{name: a, chart: web, {REPO}, version: '{version}'}}]"])
    assert found.key == "addons[0].version" and "not a range" in found.message + found.hint


def test_names_are_unique_and_charts_need_helm() -> None:
    assert codes(findings(ON, [f"addons=[{{name: a, {NS}}}, {{name: a, {NS}}}]"])) == {"IB680"}
    chart = f"addons=[{{name: a, chart: web, {REPO}, version: 1.0.0}}]"
    off = ("helm.enabled=false", "cilium.enabled=false", "kubernetes.kube_proxy=true")
    assert codes(findings(ON, [chart, *off])) == {"IB681"}
    assert codes(findings(ON, [chart], ["container-host"])) == {"IB266"}


def test_texts_of_addons_are_private(tmp_path: Path) -> None:
    for key in ("manifest", "values", "secret_values"):
        assert is_private(("addons", 0, key))
    assert is_private(("addons", 0, "values", "adminPassword"))
    assert not is_private(("addons", 0, "version"))
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: x}\n"
    (tmp_path / "p.yaml").write_text(
        "extends: debian12-efi\naddons:\n  - name: a\n    manifest: |\n"
        + "".join(f"      {line}\n" for line in secret.splitlines())
    )
    assert codes(findings(str(tmp_path / "p.yaml"))) == {"IB118"}
    (tmp_path / "secret.yaml").write_text(secret)
    (tmp_path / "secret.yaml").chmod(0o600)
    (tmp_path / "p.yaml").write_text("extends: debian12-efi\naddons: [{name: a, manifest: {file: secret.yaml}}]\n")
    assert findings(str(tmp_path / "p.yaml")) == []
