"""Archives at a `file://` address: whether the file is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.pipeline import Request
from tests.support.checking import ADMIN, look

SHA = "a" * 64


def missing(tmp_path: Path, text: str, mode: str | None = None) -> list[Finding]:
    file, found = tmp_path / "p.yaml", Findings()
    file.write_text(f"extends: debian12-efi\n{text}\n")
    look(Request(str(file), sets=(ADMIN,), mode=mode), found)
    return [each for each in found.items if each.code == "IB447"]


ARCHIVES = [
    ("helm: {{urls: [{url}]}}", "helm.urls[0]"),
    (f"cilium: {{{{chart: {{{{urls: [{{url}}], sha256: {SHA}}}}}}}}}", "cilium.chart.urls[0]"),
    (f"containerd: {{{{images: [{{{{name: x, urls: [{{url}}], sha256: {SHA}}}}}]}}}}", "containerd.images[0].urls[0]"),
    ("containerd: {{nerdctl_full: {{urls: [{url}]}}}}", "containerd.nerdctl_full.urls[0]"),
    (
        f"kubernetes: {{{{source: binaries, binaries: {{{{kubectl: {{{{urls: [{{url}}], sha256: {SHA}}}}}}}}}}}}}",
        "kubernetes.binaries.kubectl.urls[0]",
    ),
]


@pytest.mark.parametrize(("text", "key"), ARCHIVES)
def test_an_archive_that_is_not_there(text: str, key: str, tmp_path: Path) -> None:
    url, there = f"file://{tmp_path}/nowhere.tgz", tmp_path / "there.tgz"
    there.touch()
    (found,) = missing(tmp_path, text.format(url=url))
    assert found.key == key and found.mark is not None and found.severity == "warning"
    assert f"there is no file {tmp_path}/nowhere.tgz on this machine" in found.message
    assert missing(tmp_path, text.format(url=f"file://{there}")) == []
    assert missing(tmp_path, text.format(url=f"{url}, https://m.example.com/x.tgz")) == []
    (found,) = missing(tmp_path, text.format(url=f"file://{there}"), "stock")
    assert "each node reads" in found.message and found.hint.startswith("give an http or https address")
    own = f"files: [{{path: {there}, source: {there}}}]\n"
    assert missing(tmp_path, own + text.format(url=f"file://{there}"), "stock") == []


def test_an_archive_that_is_not_used(tmp_path: Path) -> None:
    url = "file:///nowhere/x.tgz"
    assert missing(tmp_path, f"cilium: {{enabled: false}}\nhelm: {{enabled: false, urls: [{url}]}}") == []
    binaries = f"kubernetes: {{binaries: {{kubectl: {{urls: [{url}], sha256: {SHA}}}}}}}"
    assert missing(tmp_path, binaries) == []


def test_a_similar_name_is_offered(tmp_path: Path) -> None:
    (tmp_path / "helm-4.tgz").touch()
    (found,) = missing(tmp_path, f"helm: {{urls: ['file://{tmp_path}/helm4.tgz']}}")
    assert found.hint == f"did you mean file://{tmp_path}/helm-4.tgz?"
