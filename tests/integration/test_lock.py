"""Pinned images: from Debian's docker-registry through skopeo, and still the same after a tag has moved."""

from __future__ import annotations

import json
import shutil
import subprocess
from io import StringIO
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.fetch.store import Store
from imgbuild.pipeline import Request, prepare
from imgbuild.pipeline.disk import images_found
from tests.support.checking import ADMIN
from tests.support.cri.pause_image import pause_image
from tests.support.publishers import publishers, sha256
from tests.support.registry import docker_registry, push, push_index

if shutil.which("docker-registry") is None or shutil.which("skopeo") is None:
    pytest.skip("needs docker-registry and skopeo", allow_module_level=True)

PAUSE = "registry.k8s.io/pause:3.10.1"


def lock(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["lock", "--profile", "node.yaml", "--no-packages", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def digests() -> dict[str, str]:
    found = yaml.safe_load(Path("imgbuild.lock").read_text())["profiles"]["node"]["images"]
    return {name: pin["digest"] for name, pin in found.items()}


def test_a_moved_tag_changes_nothing_until_it_is_pinned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMGBUILD_STORE", raising=False)
    old = pause_image(tmp_path / "amd64.tar", "x")
    other = pause_image(tmp_path / "arm64.tar", "x", "arm64")
    with publishers() as servers, docker_registry(tmp_path / "registry") as port:
        servers.helm("4.3.0")
        servers.chart("cilium", "1.19.6")
        server = json.dumps({"server": f"http://127.0.0.1:{port}", "mirrors": []})
        text = {
            "extends": ["debian12-efi", "distro-containerd"],
            "users": yaml.safe_load(ADMIN.partition("=")[2]),
            "helm": {"urls": [f"{servers.url}/helm/helm-v4.3.0-linux-amd64.tar.gz"], "sha256": sha256(b"helm4.3.0")},
            "cilium": {"repository": f"{servers.url}/charts"},
            "containerd": {"registries": {name: json.loads(server) for name in ("registry.k8s.io", "quay.io")}},
            "images": {"preload": True},
        }
        Path("node.yaml").write_text(yaml.safe_dump(text))
        every = prepare(Request("node.yaml"), Findings()).preload
        for image in every[1:]:
            push(port, f"{image.path}:{image.tag}", old)
        said = lock(code=3)
        assert f"{every[0].name}: 127.0.0.1:{port}: " in said and "unknown" in said
        push(port, f"{every[0].path}:{every[0].tag}", old)
        lock()
        before = digests()
        assert set(before) == {image.reference for image in every} and len(set(before.values())) == 1
        there = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://127.0.0.1:{port}/pause:3.10.1"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert before[PAUSE] == there.stdout.strip()

        push_index(port, "pause:3.10.1", {"amd64": old, "arm64": other})
        assert "none changed" in lock()
        ready = prepare(Request("node.yaml"), Findings())
        found = {
            one.image.name: one.digest for one in images_found(ready, Store(tmp_path / "store"), PlainSteps(StringIO()))
        }
        assert found == before
        unpinned = prepare(Request("node.yaml", lock=False), Findings())
        moved = {
            one.image.name: one.digest
            for one in images_found(unpinned, Store(tmp_path / "store"), PlainSteps(StringIO()))
        }
        assert moved[PAUSE] != before[PAUSE]

        assert f"changed {PAUSE}" in lock("--update", PAUSE)
        assert digests() == moved
