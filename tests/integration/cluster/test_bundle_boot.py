"""A bundle carried to a place without any network: the image that is built from it boots in QEMU and has every image.

Real: imgbuild's lock, bundle and build, docker-registry, skopeo, apt, the disk image, containerd. Stand-ins: kubeadm,
kubelet, crictl and the API server (tests/support/cluster/standins); one tiny image under all names.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from imgbuild.bundle.read import open_bundle
from imgbuild.config.lock_file import read_lock
from imgbuild.diagnostics.findings import Findings
from imgbuild.machine import MachineSpec
from imgbuild.pipeline import Request, prepare
from tests.support.checking import ADMIN
from tests.support.cluster.acting import act, said
from tests.support.cluster.world import make_layer
from tests.support.command import imgbuild
from tests.support.cri.pause_image import pause_image
from tests.support.mirror import serving
from tests.support.registry import docker_registry, push_each

pytestmark = [
    pytest.mark.slow,
    pytest.mark.image,
    pytest.mark.boot,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("docker-registry") is None, reason="builds an image"),
]
POD = "shop.test/web/shop:1.4.2"
PROFILE = {
    "extends": ["debian12-bios", "distro-containerd"],
    "images": {"preload": True, "extra": [POD]},
    "image": {"formats": ["qcow2-zstd"]},
}


def make_bundle(site: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, set[str]]:
    """The bundle, made where there is a network, and its images as containerd names them. The servers are gone then."""
    with serving(site / "mirror") as mirror, docker_registry(site / "registry") as port:
        monkeypatch.chdir(site)
        Path("node.yaml").write_text(yaml.safe_dump(PROFILE))
        make_layer(mirror, site / "world.yaml")
        ready = prepare(Request("node.yaml", ("world.yaml",), (ADMIN,)), Findings())
        sets = (ADMIN, push_each(port, ready.preload, pause_image(site / "image.tar", "x")))
        words = ("--profile", "node.yaml", "--layer", "world.yaml", *(w for one in sets for w in ("--set", one)))
        imgbuild(site / "cache", "lock", *words, cwd=site)
        imgbuild(site / "cache", "bundle", *words, "--output", "node.bundle", "--no-wheels", cwd=site)
        lock = read_lock(site / "imgbuild.lock", Findings())
        assert lock is not None
        pins = lock.lock.profiles["node"].images
        names = {name for each in ready.preload for name in each.stored_as(pins[each.reference].digest)}
        return site / "node.bundle", names


def test_a_node_from_a_bundle_has_its_images_and_runs_the_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, there = tmp_path / "site", tmp_path / "there"
    site.mkdir()
    there.mkdir()
    made, names = make_bundle(site, monkeypatch)
    assert POD in names and len(names) > 7
    monkeypatch.chdir(tmp_path)
    bundle = made.rename(there / "node.bundle")
    shutil.rmtree(site)

    cache, options = there / "cache", open_bundle(bundle).contents.options
    imgbuild(cache, "bundle", "unpack", bundle, "unpacked", "--unsigned", cwd=there)
    imgbuild(
        cache, *options, "--offline", "--store", bundle, "--output", there / "out",
        cwd=there / "unpacked/profile", before=("unshare", "--net"),
    )  # fmt: skip

    out = there / "out/node"
    spec = MachineSpec(
        "bios", out / "image/node.zstd.qcow2", out / "nodes/node1/seed.iso", overlay=tmp_path / "kept.qcow2"
    )
    pod = said(act(spec, f"pod {POD}", tmp_path))["pod"]
    assert names - set(pod["pinned"]) == set()
    assert pod["state"] == "RUNNING"
    assert "FAIL" not in pod["verify"]
