"""A new root file system from a lock and a store, without a network: chosen by real apt from the host's own mirror,
then built in a network namespace that has not even a loopback device, and without a socket.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from imgbuild.config.lock import FORMAT, Lock, Section
from imgbuild.config.lock_file import lock_text, read_lock
from imgbuild.config.lock_packages import Packages
from imgbuild.diagnostics.findings import Findings
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
from imgbuild.image.cache import default_cache
from imgbuild.image.closure.solve import solve_packages
from imgbuild.image.rootfs.locked import locked_files
from imgbuild.image.surroundings import surroundings
from imgbuild.pipeline import Request, prepare
from tests.support.deadline import HUNG
from tests.support.image.recorder import Recorder
from tests.support.locks import whole_lock

pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="builds an image")]

PROFILE = {
    "extends": ["debian12-efi", "distro-containerd", "container-host"],
    "users": [],
    "image": {"formats": ["raw"]},
}


def lock(packages: Packages) -> None:
    """imgbuild.lock, with the made-up digest of an image that is not fetched."""
    Path("imgbuild.lock").unlink(missing_ok=True)
    Path("imgbuild.lock").write_text(whole_lock("node.yaml"))
    read = read_lock(Path("imgbuild.lock"), Findings())
    assert read is not None
    section = read.lock.profiles["node"].model_copy(update={"packages": packages})
    Path("imgbuild.lock").write_text(lock_text(Lock(format=FORMAT, profiles={"node": Section(**dict(section))})))


def build(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    imgbuild = str(Path(sys.executable).with_name("imgbuild"))
    words = ["-p", "node.yaml", "-o", str(folder / "out"), "--offline", "--store", str(folder / "store")]
    cache = {**os.environ, "IMGBUILD_CACHE": str(folder / "cache")}
    argv = ["unshare", "--net", *before, imgbuild, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=HUNG, env=cache)


def test_a_root_file_system_is_built_from_the_lock_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("node.yaml").write_text(yaml.safe_dump(PROFILE))
    resolved = prepare(Request("node.yaml"), Findings()).resolved
    store = Store(tmp_path / "store")
    with surroundings(resolved.profile) as site:
        packages = solve_packages(resolved, store, default_cache(), Recorder(), site)
        fetch_all(locked_files(resolved, packages), store, Recorder())

    gone = next(line for line in packages.installed if line.startswith("bash-completion "))
    lock(packages.model_copy(update={"installed": [line for line in packages.installed if line != gone]}))
    done = build(tmp_path)
    assert done.returncode == 3 and "bash-completion" in done.stderr, done.stderr[-3000:]
    assert not (tmp_path / "out/node/image").exists()

    lock(packages)
    trace = tmp_path / "trace"
    done = build(tmp_path, "strace", "-f", "-qq", "-e", "trace=socket", "-e", "signal=none", "-o", str(trace))
    assert done.returncode == 0, done.stderr[-3000:]
    lines = trace.read_text().splitlines()
    assert lines and [line for line in lines if "AF_INET" in line] == []
    image = json.loads((tmp_path / "out/node/manifest.json").read_text())["groups"]["image"]
    wanted = {(one.name, one.version) for one in packages.packages}
    assert {(name, found["version"]) for name, found in image["packages"].items()} == wanted
    bill = json.loads((tmp_path / "out/node/image/node.cdx.json").read_text())["components"]
    sums = {each["name"]: each["hashes"][0]["content"] for each in bill if each.get("purl", "").startswith("pkg:deb")}
    assert sums == {one.name: one.sha256 for one in packages.packages}
