"""A bundle carried to a machine without any network builds the disk image from it: the same packages, no socket."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from imgbuild.bundle.read import open_bundle
from tests.support.checking import ADMIN
from tests.support.command import imgbuild
from tests.support.cri.pause_image import pause_image
from tests.support.registry import docker_registry, push

pytestmark = [
    pytest.mark.image,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("docker-registry") is None, reason="builds an image"),
]


def test_a_bundle_builds_in_an_empty_network_namespace(tmp_path: Path) -> None:
    here, there, site = tmp_path / "here", tmp_path / "there", tmp_path / "site"
    site.mkdir()
    with docker_registry(tmp_path / "registry") as port:
        push(port, "pause:3.6", pause_image(tmp_path / "pause.tar", "x"))
        registry = f'containerd.registries."registry.k8s.io"={{server: "http://127.0.0.1:{port}"}}'
        (site / "node.yaml").write_text(
            "extends: [debian12-efi, distro-containerd, container-host]\nimage: {formats: [raw]}\n"
        )
        sets = ("-p", "node.yaml", "--set", ADMIN, "--set", registry)
        imgbuild(here, "lock", *sets, cwd=site)
        imgbuild(here, "bundle", *sets, "-o", "node.bundle", "--no-wheels", cwd=site)
    shutil.rmtree(here)
    bundle = tmp_path / "node.bundle"
    (site / "node.bundle").rename(bundle)
    shutil.rmtree(site)

    imgbuild(there, "bundle", "unpack", str(bundle), "unpacked", "--unsigned", cwd=tmp_path)
    options = open_bundle(bundle).contents.options
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=socket", "-e", "signal=none", "-o", str(trace))
    imgbuild(
        there, *options, "--offline", "--store", str(bundle), "-o", str(tmp_path / "out"),
        cwd=tmp_path / "unpacked/profile", before=("unshare", "--net", *strace),
    )  # fmt: skip
    image = tmp_path / "out/node/image"
    assert (image / "node.raw").exists()
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []

    lock = yaml.safe_load((tmp_path / "unpacked/profile/imgbuild.lock").read_text())
    wanted = {tuple(line.split()[:3]) for line in lock["profiles"]["node"]["packages"]["installed"]}
    (bill,) = image.glob("*.cdx.json")
    found = {
        (each["name"], each["version"], each["purl"].partition("arch=")[2].partition("&")[0])
        for each in json.loads(bill.read_text())["components"]
        if each.get("purl", "").startswith("pkg:deb/")
    }
    assert len(found) > 200 and found == wanted
