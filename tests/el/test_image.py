"""Disk images of CentOS, by the command that users know, from the stand-in base; booted, with the guest's own checks.

Real: the profile, diskimage-builder, dnf and rpm, dracut, GRUB, QEMU, cloud-init, containerd. What stands in for what
is said in base.sh, rpms.py and nerdctl.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.image.partition import read_table
from builder.image.rootfs import Rootfs
from tests.el.base import base_tar
from tests.el.world import World, make_world
from tests.image.conftest import rootfs as rootfs
from tests.install.conftest import serving

pytestmark = [pytest.mark.image, pytest.mark.boot]

IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))
OTHER = {"bios": "efi", "efi": "bios"}


@dataclass(frozen=True)
class Made:
    """One image, and what it was made of."""

    world: World
    profile: str
    folder: Path
    said: str
    cache: Path

    def disk(self, target: Path) -> Path:
        """The image as a raw disk."""
        source = self.folder / "image" / f"{self.profile}.qcow2"
        subprocess.run(["qemu-img", "convert", "-O", "raw", source, target], check=True)
        return target


def imgbuild(*words: str | Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "IMGBUILD_CACHE": str(cache), "COLUMNS": "200"}
    return subprocess.run(
        [IMGBUILD, *words], capture_output=True, text=True, check=False, env=environment, timeout=1500
    )


def build(world: World, firmware: str, folder: Path) -> Made:
    profile, cache = f"centos{world.release}-{firmware}", folder / "cache"
    done = imgbuild("--profile", profile, "--layer", world.layer, "--output", folder, cache=cache)
    assert done.returncode == 0, done.stderr[-4000:]
    return Made(world, profile, folder / profile, done.stderr, cache)


@pytest.fixture(scope="module", params=["8-efi", "7-bios"], ids=["centos8-efi", "centos7-bios"])
def made(request: pytest.FixtureRequest, rootfs: Rootfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    release, firmware = request.param.split("-")
    folder = tmp_path_factory.mktemp(f"centos{release}")
    tar = base_tar(rootfs, release)
    with tar.open("rb") as data, serving(folder / "mirror") as mirror:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        yield build(make_world(mirror, release, tar, digest, folder), firmware, folder)
    shutil.rmtree(folder)


def debugfs(disk: Path, command: str) -> str:
    argv = ["debugfs", "-R", command, f"{disk}?offset={read_table(disk)[-1].start}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_it_boots_and_every_check_in_the_guest_passes(made: Made) -> None:
    done = imgbuild("boot", made.folder, "--check", "--seconds", "1200", cache=made.cache)
    (report,) = (made.folder / "image").glob("*/checks.json")
    states = {check["name"]: check["ok"] for check in json.loads(report.read_text())["checks"]}
    # The base's systemd takes cgroup v2 by itself; CentOS 7's own, 219, has none. The guest's check sees just that.
    foreign = {"cgroup"} if made.world.release == "7" else set()
    assert {name for name, ok in states.items() if ok is False} == foreign, done.stdout + done.stderr[-3000:]
    assert done.returncode == (3 if foreign else 0)
    # A check that is not made cannot fail.
    wanted = {"kernel", "boot-default", "cloud-init", "containerd", "kubelet", "helm", "stargz", "root-grown", "bpffs"}
    assert all(states[name] is True for name in wanted)


def test_the_manifest_has_the_kernel_and_where_each_package_came_from(made: Made) -> None:
    image = json.loads((made.folder / "manifest.json").read_text())["groups"]["image"]
    assert image["kernel"] == made.world.kernel
    assert f"{'efi' if 'efi' in made.profile else 'bios'} starts {made.world.kernel}" in made.said
    packages = image["packages"]
    assert (packages["kernel-ml"]["repository"], packages["kernel-ml"]["origin"]) == ("elrepo-kernel", "profile")
    assert (packages["kubernetes-cni"]["repository"], packages["kubernetes-cni"]["origin"]) == (
        "kubernetes",
        "dependency",
    )


def test_every_file_has_its_label_a_node_file_too(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    for path, label in {
        "/etc/shadow": "shadow_t",
        "/etc/imgbuild/verify.conf": "etc_t",
        "/usr/libexec/imgbuild/verify": "bin_t",
        f"/boot/vmlinuz-{made.world.kernel}": "boot_t",
        "/var/lib": "var_t",
    }.items():
        assert f"system_u:object_r:{label}:s0" in debugfs(disk, f"ea_get {path} security.selinux"), path


def test_nothing_of_the_build_is_left(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    assert "Size: 0" in debugfs(disk, "stat /etc/machine-id")
    assert "127.0.0.1" not in debugfs(disk, "cat /etc/resolv.conf")
    assert "ssh_host" not in debugfs(disk, "ls -p /etc/ssh")
    assert "imgbuild" not in debugfs(disk, "ls -p /var/cache")
    assert "enabled=0" in debugfs(disk, "cat /etc/yum.repos.d/CentOS-Base.repo")
    assert ".log" not in debugfs(disk, "ls -p /var/log")


def test_the_boot_loader_lies_where_its_own_tools_look(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    environment = debugfs(disk, "stat /boot/grub2/grubenv")
    if "bios" in made.profile:
        assert "Size: 1024" in environment
        return
    assert 'Fast link dest: "../efi/EFI/centos/grubenv"' in environment
    argv = ["mdir", "-/", "-b", "-i", f"{disk}@@{read_table(disk)[0].start}", "::/"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert {
        "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/BOOT/grubx64.efi", "::/EFI/BOOT/grub.cfg",
        "::/EFI/centos/shimx64.efi", "::/EFI/centos/grubx64.efi", "::/EFI/centos/grub.cfg", "::/EFI/centos/grubenv",
    } == {name for name in listed if not name.endswith("/")}  # fmt: skip


def test_the_other_firmware_is_made_of_the_same_root_file_system(made: Made) -> None:
    other = build(made.world, OTHER[made.profile.rpartition("-")[2]], made.folder.parent)
    assert "is in the cache" in other.said
    assert "diskimage-builder" not in other.said
    assert f"starts {made.world.kernel}" in other.said


def test_a_dead_first_mirror_is_said(made: Made) -> None:
    (log,) = (made.cache / "logs").glob("*.log")
    assert "http://127.0.0.1:9/gone/" in log.read_text()
